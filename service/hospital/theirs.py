"""A resource as the hospital's server has it: whose it is, which version, and where it points.

Nothing of it is believed yet: it is JSON of any shape, and has not been at the gate.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard

from service.fhir import references
from service.hospital import outgoing
from service.store import content
from service.store.resources import Identity
from service.store.search_index import PATIENT_ELEMENTS

Json = Mapping[str, Any]

#: an identifier that was somebody's once, or for a while, says nothing of who it is
NOT_NOW = ("old", "temp")

_TYPE = re.compile(references.TYPE)


class ByIdentifier(NamedTuple):
    """A patient who is named by an identifier alone."""

    system: str
    value: str


#: whom a resource is about, as it says
Subject = Identity | ByIdentifier | None


def identity(resource: Json) -> Identity | None:
    """Return type and id; None where it has none that can be one."""
    type_, id_ = resource.get("resourceType"), resource.get("id")
    if not isinstance(type_, str) or not isinstance(id_, str):
        return None
    return (type_, id_) if _TYPE.fullmatch(type_) and outgoing.ID.fullmatch(id_) else None


def version(resource: Json) -> str | None:
    """Return the server's own number of the version; None where it gives none."""
    given = _meta(resource).get("versionId")
    return given if isinstance(given, str) and outgoing.ID.fullmatch(given) else None


def time(resource: Json) -> datetime | None:
    """Return when the server stored it, by its own clock; None where it does not say."""
    given = _meta(resource).get("lastUpdated")
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
    # A date alone is no instant; without a zone nobody knows when it was.
    return found.astimezone(UTC) if found and found.tzinfo else None


def stamp(resource: Json) -> str:
    """Return what tells this version from the others of the resource."""
    given = version(resource)
    if given is not None:
        return given
    stored = time(resource)
    return content.instant(stored) if stored else content.digest(resource).hex()


def codes(resource: Json) -> frozenset[tuple[str, str]]:
    """Return system and code of each coding of its code."""
    code = resource.get("code")
    codings = code.get("coding") if isinstance(code, Mapping) else None
    return frozenset(
        (str(c.get("system", "")), str(c.get("code", "")))
        for c in (codings if isinstance(codings, list) else ())
        if isinstance(c, Mapping)
    )


def identifiers(resource: Json) -> tuple[tuple[str, str], ...]:
    """Return system and value of the identifiers that it has now."""
    given = resource.get("identifier")
    found = given if isinstance(given, list) else [given]
    return tuple(
        (one["system"], one["value"])
        for one in found
        if isinstance(one, Mapping)
        and one.get("use") not in NOT_NOW
        and all(_is_text(one.get(name)) for name in ("system", "value"))
    )


def identifier_systems(resource: Json) -> frozenset[str]:
    """Return the systems of its identifiers, also of those that it had once."""
    given = resource.get("identifier")
    return frozenset(
        one["system"]
        for one in (given if isinstance(given, list) else ())
        if isinstance(one, Mapping) and _is_text(one.get("system"))
    )


def pointed(reference: object, base: str) -> Identity | None:
    """Return what of the server's own a reference means; None where it is anything else.

    Args:
        base: of the server, without a slash at the end.
    """
    if not isinstance(reference, str):
        return None
    return references.local(reference.removeprefix(f"{base}/"))


def subject(resource: Json, base: str) -> Subject:
    """Return whom a resource is about."""
    found = identity(resource)
    if found is None or found[0] == "Patient":
        return found
    for element in PATIENT_ELEMENTS.get(found[0], ()):
        holder = resource.get(element)
        if not isinstance(holder, Mapping):
            continue
        who = pointed(holder.get("reference"), base)
        if who is not None:
            return who if who[0] == "Patient" else None
        named = holder.get("identifier")
        if "reference" not in holder and isinstance(named, Mapping):
            system, value = named.get("system"), named.get("value")
            if _is_text(system) and _is_text(value):
                return ByIdentifier(system, value)
    return None


def results(report: Json, base: str) -> set[str]:
    """Return the results of a report, as `Type/id` there."""
    given = report.get("result")
    found = (
        one.get("reference") for one in (given if isinstance(given, list) else ()) if isinstance(one, Mapping)
    )
    return {"/".join(identity) for reference in found if (identity := pointed(reference, base))}


def of_patients(type_: str) -> bool:
    """Return whether resources of a type are about a patient."""
    return type_ in PATIENT_ELEMENTS


def resources(searchset: Json) -> Sequence[Json]:
    """Return what a searchset found, without what it brings along or says of itself."""
    entries = searchset.get("entry")
    return [
        entry["resource"]
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
        and isinstance(entry.get("resource"), Mapping)
        and _mode(entry) == "match"
        and entry["resource"].get("resourceType") != "OperationOutcome"
    ]


def next_page(searchset: Json) -> str | None:
    """Return where the next page of a searchset is; None: there is none."""
    links = searchset.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, Mapping) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(link["url"])
    return None


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether it is some text that the store can look for."""
    return isinstance(value, str) and value != "" and "\0" not in value


def _mode(entry: Json) -> str:
    search = entry.get("search")
    return str(search.get("mode", "match")) if isinstance(search, Mapping) else "match"


def _meta(resource: Json) -> Json:
    meta = resource.get("meta")
    return meta if isinstance(meta, Mapping) else {}
