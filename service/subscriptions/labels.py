"""By what events are narrowed: labels `filter=value` of an event, and the filters of a Subscription.

    CarePlan?patient=Patient/a&stage=imaging,surgical-referral      any of the values, all of the filters

http://hl7.org/fhir/uv/subscriptions-backport/components.html#subscription-filters
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import canonical
from fhir_profiles.topics import Topic

Json = Mapping[str, Any]

#: each asks for one of its labels
Filters = tuple[frozenset[str], ...]

_CRITERIA = re.compile(r"(?:(?P<type>[A-Z][A-Za-z]+)[?.])?(?P<asked>[^?]+)")
_LONGEST = 1_000


class NotUnderstood(Exception):
    """A filter cannot be read. The message says why and holds no value."""


def of(focus: Json, plan: Json | None, *, stage: str | None = None) -> tuple[str, ...]:
    """Return the labels of an event.

    Args:
        focus: the resource that it is about.
        plan: the CarePlan that this belongs to; None: it belongs to the person.
        stage: the stage that it is about; by default the one that the plan is in.
    """
    return tuple(dict.fromkeys(_labels(focus, plan or {}, stage)))


def read(criteria: str, topic: Topic) -> Filters:
    """Return the filters that one criterion of a Subscription names.

    Raises:
        NotUnderstood: it is not written as the guide has it, or the topic has no such filter.
    """
    match = _CRITERIA.fullmatch(criteria) if len(criteria) <= _LONGEST else None
    asked = parse_qsl(match["asked"], keep_blank_values=True) if match else []
    if match is None or not asked:
        raise NotUnderstood("a filter is written name=value, or Type?name=value&name=value")
    if match["type"] not in (None, topic.resource):
        raise NotUnderstood(f"events of this topic are about a {topic.resource}")
    return tuple(_read(name, values, topic) for name, values in asked)


def fit(labels: frozenset[str], filters: Iterable[frozenset[str]]) -> bool:
    """Return whether an event with these labels passes all filters."""
    return all(not labels.isdisjoint(alternatives) for alternatives in filters)


def _read(name: str, values: str, topic: Topic) -> frozenset[str]:
    if name not in topic.filters:
        # A modifier is part of the name: none is understood.
        raise NotUnderstood(f"the filters of this topic are {', '.join(topic.filters)}, without modifiers")
    found = [value.strip() for value in values.split(",") if value.strip()]
    if not found:
        raise NotUnderstood(f"the filter {name} has no value")
    return frozenset(f"{name}={_patient(value) if name == 'patient' else value}" for value in found)


def _labels(focus: Json, plan: Json, stage: str | None) -> Iterator[str]:
    whom = focus.get("subject") or focus.get("for") or {}
    if reference := whom.get("reference"):
        yield f"patient={_patient(reference)}"
    for url in _canonicals(plan) or _canonicals(focus):
        yield f"pathway={url}"
        yield f"pathway={url.partition('|')[0]}"
    if stage is not None:
        yield from _coded("stage", [{"system": canonical.STAGES, "code": stage}])
    else:
        yield from _coded("stage", _extended(plan, canonical.STAGE))
    yield from _coded("side", _extended(focus, canonical.SIDE) or _extended(plan, canonical.SIDE))
    yield from _coded("code", (focus.get("code") or {}).get("coding", ()))
    if "priority" in focus:
        yield f"priority={focus['priority']}"


def _canonicals(resource: Json) -> list[str]:
    """Return which pathways a resource follows; a Task names one, others a list."""
    found = resource.get("instantiatesCanonical", [])
    return [url for url in ([found] if isinstance(found, str) else found) if "/PlanDefinition/" in url]


def _extended(resource: Json, url: str) -> list[Json]:
    return [e["valueCoding"] for e in resource.get("extension", ()) if e.get("url") == url]


def _coded(name: str, codings: Iterable[Json]) -> Iterator[str]:
    for coding in codings:
        if "code" in coding:
            yield f"{name}={coding['code']}"
            yield f"{name}={coding.get('system', '')}|{coding['code']}"


def _patient(reference: str) -> str:
    """Return the id of a patient, however it is referred to."""
    return reference.rpartition("/")[2]
