"""References to what a service made, by short name: `ServiceRequest/vignette.R.SR.MRI`.

A story is written before the service has given its ids, so it points to the newest matching
resource of the patient; among equally new ones, to the one that is still a draft.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from service.stories import shorthand
from service.stories.collecting import Record
from service.stories.shorthand import Orders

Json = Mapping[str, Any]

PATTERN = re.compile(r"[A-Za-z]+/vignette\.(?:(?P<side>[LR])\.)?(?P<name>[A-Za-z0-9.-]+)")


class NothingMatches(Exception):
    """The service has made nothing that the placeholder means."""

    def __init__(self, placeholder: str) -> None:
        super().__init__(f"{placeholder} means nothing: this patient has no such resource")
        self.placeholder = placeholder


def wanted(value: Any) -> frozenset[str]:
    """Return every placeholder of a resource."""
    return frozenset(_placeholders(value))


def replaced(value: Any, meanings: Mapping[str, str]) -> Any:
    """Return the resource with real references in place of its placeholders."""
    if isinstance(value, dict):
        return {key: replaced(part, meanings) for key, part in value.items()}
    if isinstance(value, list):
        return [replaced(part, meanings) for part in value]
    return meanings.get(value, value) if isinstance(value, str) else value


def meanings(found: Iterable[str], record: Record, orders: Orders) -> dict[str, str]:
    """Return the real reference of each placeholder.

    Raises:
        NothingMatches: for the first that has none.
    """
    return {placeholder: _meaning(placeholder, record, orders) for placeholder in sorted(found)}


def _placeholders(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _placeholders(part)
    elif isinstance(value, list):
        for part in value:
            yield from _placeholders(part)
    elif isinstance(value, str) and PATTERN.fullmatch(value):
        yield value


def _meaning(placeholder: str, record: Record, orders: Orders) -> str:
    match = PATTERN.fullmatch(placeholder)
    assert match
    letter, name = match["side"], match["name"]
    matching = [
        resource
        for resource in (*record.plans, *record.others)
        if _letter(resource) == letter and _name(resource, orders) == name
    ]
    if not matching:
        raise NothingMatches(placeholder)
    newest = max(matching, key=_age)
    return f"{newest['resourceType']}/{newest['id']}"


def _name(resource: Json, orders: Orders) -> str | None:
    """Return `SR.MRI`, `TK.divert`, `CarePlan`: the short name without side and detail."""
    if resource["resourceType"] == "CarePlan":
        return "CarePlan"
    short = shorthand.output(resource, orders)
    if short is None:
        return None
    kind, _, code = short.partition("(")[0].rpartition(":")
    return f"{kind.rpartition(':')[2]}.{code}"


def _letter(resource: Json) -> str | None:
    side = shorthand.side(resource)
    return side[0].upper() if side else None


def _age(resource: Json) -> tuple[datetime, bool]:
    made = resource.get("authoredOn") or resource.get("created") or resource["meta"]["lastUpdated"]
    return datetime.fromisoformat(made), resource.get("status") == "draft"
