"""The topics that other systems may subscribe to, read from `topics/`: one Basic resource each.

R4 has no SubscriptionTopic; the guide wraps it in a Basic, with the extensions that R5 elements have in R4.

http://hl7.org/fhir/uv/subscriptions-backport/components.html#subscription-topics-in-r4
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

_FOLDER = Path(__file__).parent / "topics"
_ELEMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic."

STAGE_ENTERED = "stage-entered"
PROPOSAL_MADE = "proposal-made"
ORDER_SIGNED = "order-signed"
TASK_OVERDUE = "task-overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What one topic is about."""

    #: the id of its resource; the last part of its URL
    name: str
    #: the canonical URL, without a version
    url: str
    version: str
    title: str
    #: the type of what its events are about
    resource: str
    #: by what a Subscription may narrow it
    filters: tuple[str, ...]


@cache
def resources() -> tuple[Json, ...]:
    """Return the topics as they are published, by id."""
    return tuple(json.loads(file.read_bytes()) for file in sorted(_FOLDER.glob("*.json")))


@cache
def topics() -> tuple[Topic, ...]:
    """Return every topic, by name."""
    return tuple(map(_topic, resources()))


def known(canonical: str) -> Topic | None:
    """Return the topic of a canonical URL, with or without a version; None: there is none of ours."""
    url, _, version = canonical.partition("|")
    return next((t for t in topics() if t.url == url and version in ("", t.version)), None)


def _topic(resource: Json) -> Topic:
    return Topic(
        name=resource["id"],
        url=_value(resource, "url"),
        version=_value(resource, "version"),
        title=_value(resource, "title"),
        resource=_inner(resource, "resourceTrigger", "resource").rpartition("/")[2],
        filters=tuple(_all(resource, "canFilterBy", "filterParameter")),
    )


def _value(resource: Json, element: str) -> str:
    return next(text for url, text in _values(resource["extension"]) if url == _ELEMENT + element)


def _inner(resource: Json, element: str, part: str) -> str:
    return next(_all(resource, element, part))


def _all(resource: Json, element: str, part: str) -> Iterator[str]:
    for extension in resource["extension"]:
        if extension["url"] == _ELEMENT + element:
            yield from (text for url, text in _values(extension["extension"]) if url == part)


def _values(extensions: list[Json]) -> Iterator[tuple[str, str]]:
    for extension in extensions:
        yield from (
            (extension["url"], str(value)) for name, value in extension.items() if name.startswith("value")
        )
