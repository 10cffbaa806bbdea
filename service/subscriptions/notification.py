"""What a subscriber is sent, and what it asks for: Bundles of status, events and what these are about.

http://hl7.org/fhir/uv/subscriptions-backport/notifications.html
http://hl7.org/fhir/uv/subscriptions-backport/payloads.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from fhir_profiles import canonical
from service.store import content
from service.store.subscriptions import Numbered
from service.subscriptions import backport

Json = Mapping[str, Any]

QUERY_STATUS, QUERY_EVENT = "query-status", "query-event"

#: a version of a resource: type, id and number, and its body
Bodies = Mapping[tuple[str, str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is told of a Subscription itself."""

    id: str
    status: str
    #: the name of its topic
    topic: str
    #: the last number that was given to an event
    numbered: int
    #: what went wrong, in our words; empty: nothing
    error: str = ""


def status(
    standing: Standing, type_: str, *, content_level: str, base: str, events: Sequence[Numbered] = ()
) -> dict[str, Any]:
    """Return the status of a Subscription as Parameters.

    Args:
        type_: which notification it belongs to, or `QUERY_STATUS`.
        content_level: how much may be told of events and topic.
        base: the service's own base, with a slash at its end.
    """
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [backport.STATUS]},
        "parameter": [
            {
                "name": "subscription",
                "valueReference": {"reference": f"{base}Subscription/{standing.id}"},
            },
            # What a Subscription is about is told with an empty payload no more than whom it is about.
            *(
                [{"name": "topic", "valueCanonical": canonical.topic(standing.topic)}]
                if content_level != backport.EMPTY
                else []
            ),
            {"name": "status", "valueCode": standing.status},
            {"name": "type", "valueCode": type_},
            {"name": "events-since-subscription-start", "valueString": str(standing.numbered)},
            *(_event(event, content_level, base) for event in events),
            *(
                [{"name": "error", "valueCodeableConcept": {"text": standing.error}}]
                if standing.error
                else []
            ),
        ],
    }


def bundle(
    standing: Standing,
    type_: str,
    *,
    id: UUID,
    now: datetime,
    content_level: str,
    base: str,
    events: Sequence[Numbered] = (),
    bodies: Bodies | None = None,
) -> dict[str, Any]:
    """Return a notification.

    Args:
        id: of its status; another for each.
        bodies: the versions that the events are about, where the content is `full-resource`; None elsewhere.
    """
    told = status(standing, type_, content_level=content_level, base=base, events=events)
    entry: dict[str, Any] = {
        "fullUrl": f"urn:uuid:{id}",
        "resource": {"resourceType": "Parameters", "id": str(id), **told},
        "request": {"method": "GET", "url": f"{base}Subscription/{standing.id}/$status"},
        "response": {"status": "200"},
    }
    about = {(event.type, event.id, event.version): None for event in events}
    shown = () if content_level == backport.EMPTY else about
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [backport.NOTIFICATION]},
        "type": "history",
        "timestamp": content.instant(now),
        "entry": [entry, *(_entry(version, base, bodies) for version in shown)],
    }


def searchset(
    found: Sequence[tuple[Standing, str]], *, base: str, self_url: str, ids: Sequence[UUID]
) -> dict[str, Any]:
    """Return the statuses of Subscriptions, each with its content level, as the answer to `$status`."""
    entries = [
        {
            "fullUrl": f"urn:uuid:{id}",
            "resource": {
                "resourceType": "Parameters",
                "id": str(id),
                **status(standing, QUERY_STATUS, content_level=level, base=base),
            },
            "search": {"mode": "match"},
        }
        for (standing, level), id in zip(found, ids, strict=True)
    ]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(entries),
        "link": [{"relation": "self", "url": self_url}],
        **({"entry": entries} if entries else {}),
    }


def _event(event: Numbered, content_level: str, base: str) -> Json:
    parts: list[Json] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": content.instant(event.at)},
    ]
    if content_level != backport.EMPTY:
        parts.append({"name": "focus", "valueReference": {"reference": f"{base}{event.reference}"}})
    return {"name": "notification-event", "part": parts}


def _entry(version: tuple[str, str, int], base: str, bodies: Bodies | None) -> dict[str, Any]:
    type_, id_, _ = version
    entry: dict[str, Any] = {"fullUrl": f"{base}{type_}/{id_}"}
    if bodies is not None and version in bodies:
        entry["resource"] = msgspec.Raw(bodies[version].encode())
    # One that was to be shown and is no longer there is told as such.
    found = bodies is None or version in bodies
    return {
        **entry,
        "request": {"method": "GET", "url": f"{type_}/{id_}"},
        "response": {"status": "200" if found else "404"},
    }
