"""A Subscription as other systems send it, and what a subscriber makes of what it is sent."""

import hashlib
import hmac
import json
from typing import Any

from hospital_server import HospitalServer, Request

from fhir_profiles import canonical, gate
from service.subscriptions import backport

Json = dict[str, Any]

SECRET = "a secret that both of us know, and nobody else"


def subscription(endpoint: str, topic: str = "stage-entered", **more: Any) -> Json:
    """Return a Subscription as its sender writes it.

    Args:
        more: `filters`, `content`, `timeout`, `heartbeat`, `most`, `secret` (None: none), `header`; any other
            is an element.
    """
    numbers = {
        backport.TIMEOUT: ("valueUnsignedInt", more.pop("timeout", None)),
        backport.HEARTBEAT: ("valueUnsignedInt", more.pop("heartbeat", None)),
        backport.MAX_COUNT: ("valuePositiveInt", more.pop("most", None)),
        canonical.SUBSCRIPTION_SECRET: ("valueString", more.pop("secret", SECRET)),
    }
    extensions = [{"url": url, name: value} for url, (name, value) in numbers.items() if value is not None]
    filters = [{"url": backport.FILTER, "valueString": text} for text in more.pop("filters", ())]
    content = {"url": backport.CONTENT, "valueCode": more.pop("content", backport.ID_ONLY)}
    header = more.pop("header", [])
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to know how it goes on",
        "criteria": canonical.topic(topic),
        **({"_criteria": {"extension": filters}} if filters else {}),
        "channel": {
            **({"extension": extensions} if extensions else {}),
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            **({"header": header} if header else {}),
        },
        **more,
    }


def is_signed(request: Request, secret: str = SECRET) -> bool:
    """Compute the signature as the documentation tells a subscriber to."""
    timestamp = request.headers["X-Hipway-Timestamp"]
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + request.content, hashlib.sha256)
    return hmac.compare_digest(request.headers["X-Hipway-Signature"], f"sha256={signed.hexdigest()}")


def status(bundle: Json) -> Json:
    """Return what the status of a notification says: each parameter by its name, events as a list."""
    found: Json = {"events": []}
    for parameter in bundle["entry"][0]["resource"]["parameter"]:
        if parameter["name"] == "notification-event":
            found["events"].append({part["name"]: _value(part) for part in parameter["part"]})
        else:
            found[parameter["name"]] = _value(parameter)
    return found


def sent(server: HospitalServer) -> list[Json]:
    """Return the notifications that came, each valid and signed."""
    requests = [asked for asked in list(server.asked) if asked.command == "POST"]
    bundles = [json.loads(asked.content) for asked in requests]
    for asked, bundle in zip(requests, bundles, strict=True):
        assert is_signed(asked)
        assert gate.check(json.loads(asked.content)) == ()
        assert bundle["entry"][0]["resource"]["resourceType"] == "Parameters"
    return bundles


def types(server: HospitalServer) -> list[str]:
    """Return of which type each notification was."""
    return [status(bundle)["type"] for bundle in sent(server)]


def numbers(server: HospitalServer) -> list[int]:
    """Return the number of each event that came, in the order in which they came."""
    return [int(event["event-number"]) for bundle in sent(server) for event in status(bundle)["events"]]


def _value(part: Json) -> Any:
    value = next(value for name, value in part.items() if name.startswith("value"))
    return value["reference"] if isinstance(value, dict) and "reference" in value else value
