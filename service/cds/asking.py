"""A call of a service: read, checked, and turned into resources that rules may read.

What comes along passes the same gate as what is stored, must be about one patient, and be complete: a service
that lacks data answers 412, one that is sent nonsense 400. No answer repeats a value.

https://cds-hooks.hl7.org/2.0/#calling-a-cds-service
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pathways.record import Entry
from service import supplied
from service.cds import services
from service.cds.services import Service
from service.fhir import references
from service.fhir.refusals import Issue, NotExchanged

Json = Mapping[str, Any]

MOST_ORDERS = 50


class Lacking(Exception):
    """Data that a service needs did not come along; the message names the prefetch key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a client asks."""

    service: Service
    patient: str
    #: of the prefetch, with relative references
    resources: tuple[Json, ...]
    #: of order-sign: what is about to be signed
    orders: tuple[Entry, ...]


def read(service: Service, body: Json) -> Call:
    """Return the call that a body makes of the service.

    Raises:
        NotExchanged: it is no call of this service, or a resource in it is not valid R4.
        Lacking: something that is needed did not come along.
    """
    if body.get("hook") != service.hook:
        raise _malformed("hook", f"this service is called on {service.hook}")
    if not _is_uuid(body.get("hookInstance")):
        raise _malformed("hookInstance", "hookInstance is a UUID")
    context = _object(body, "context", "context is an object")
    patient = context.get("patientId")
    if not isinstance(patient, str) or not re.fullmatch(references.ID, patient):
        raise _malformed("context.patientId", "patientId is the id of a Patient")
    if not isinstance(context.get("userId"), str) or not context["userId"]:
        raise _malformed("context.userId", "userId is a reference to the user")
    base = _base(body)
    prefetch = body.get("prefetch") or {}
    if not isinstance(prefetch, dict):
        raise _malformed("prefetch", "prefetch is an object")
    resources = tuple(_prefetched(prefetch, patient, base))
    if not any(r["resourceType"] == "Patient" for r in resources):
        raise Lacking("the prefetch patient is needed, and it is a Patient")
    orders = tuple(_orders(context, patient, base)) if service is services.SIGN else ()
    return Call(service=service, patient=patient, resources=resources, orders=orders)


def _base(body: Json) -> str:
    base = body.get("fhirServer", "")
    if not isinstance(base, str) or (base and not base.startswith(("http://", "https://"))):
        raise _malformed("fhirServer", "fhirServer is the base URL of a FHIR server")
    return f"{base.rstrip('/')}/" if base else ""


def _prefetched(prefetch: Json, patient: str, base: str) -> Iterator[Json]:
    """Yield each resource once, as it was sent last in the order of the keys."""
    found: dict[tuple[str, str], Json] = {}
    for key in services.KEYS:
        value = prefetch.get(key)
        if key not in prefetch or _failed(value):
            if key in services.REQUIRED:
                raise Lacking(f"the prefetch {key} is needed; send null where there is nothing")
            continue
        for where, resource in _resources(key, value):
            taken = supplied.taken(where, resource, patient, base, NotExchanged)
            found[taken["resourceType"], taken["id"]] = taken
    yield from found.values()


def _failed(value: object) -> bool:
    """Return whether the client says that it could not read the data."""
    return isinstance(value, dict) and value.get("resourceType") == "OperationOutcome"


def _resources(key: str, value: object) -> Iterator[tuple[str, Json]]:
    at = f"prefetch.{key}"
    if value is None:
        return
    if not isinstance(value, dict):
        raise _malformed(at, f"{at} is a resource, a Bundle or null")
    supplied.check_gate(at, value, NotExchanged)
    if value["resourceType"] != "Bundle":
        yield at, value
        return
    if any(link.get("relation") == "next" for link in value.get("link", ())):
        raise Lacking(f"the prefetch {key} is one page of several; send all of it")
    for where, resource in supplied.entries(at, value):
        if _failed(resource):
            raise Lacking(f"the prefetch {key} could not be read completely")
        yield where, resource


def _orders(context: Json, patient: str, base: str) -> Iterator[Entry]:
    at = "context.draftOrders"
    bundle = _object(context, "draftOrders", f"{at} is a Bundle", at)
    # A Bundle of this context often has no type, which says nothing here.
    typed = {"type": "collection", **bundle}
    supplied.check_gate(at, typed, NotExchanged)
    if typed["resourceType"] != "Bundle":
        raise _malformed(at, f"{at} is a Bundle")
    found = [(where, r) for where, r in supplied.entries(at, typed) if r["resourceType"] == "ServiceRequest"]
    if len(found) > MOST_ORDERS:
        raise _malformed(at, f"at most {MOST_ORDERS} orders are looked at")
    for number, (where, resource) in enumerate(found):
        taken = supplied.taken(where, resource, patient, base, NotExchanged)
        yield Entry(
            type=taken["resourceType"],
            id=taken["id"],
            version=1,
            seq=number,
            # When a draft was received says nothing of it.
            received=datetime.min.replace(tzinfo=UTC),
            body=dict(taken),
        )


def _object(holder: Json, name: str, text: str, at: str = "") -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise _malformed(at or name, text)
    return value


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _malformed(at: str, text: str) -> NotExchanged:
    return NotExchanged(Issue(code="invalid", text=text, expression=at))
