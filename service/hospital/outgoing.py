"""What is sent to the hospital, and how a reference is written there.

Our own resources keep their ids. What was read from the hospital's server is named by the id and the version
that it has there. Of what was posted the id is the hospital's own, but nobody knows which version that is
there: it is named without one, and with an identifier where it has one. What came to us without an id has one
of ours, which the hospital does not know: it is named by its identifier alone.

http://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.fhir.ownership import ENGINE
from service.store import driver, origins, resources
from service.store.ledger import Output
from service.store.resources import Identity, Stored

Json = Mapping[str, Any]

#: what a hospital gets, what is referred to before what refers to it
TYPES = (
    "Device",
    "Condition",
    "Goal",
    "CarePlan",
    "ServiceRequest",
    "Task",
    "CommunicationRequest",
    "Flag",
    "DetectedIssue",
    "Provenance",
)

#: outputs of all patients refer to it
SHARED = (ENGINE,)

REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(/_history/[A-Za-z0-9.-]{1,64})?")

#: of a resource, and of a version
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
ETAG = re.compile(r'(?:W/)?"([A-Za-z0-9.-]{1,64})"')
VERSION_IN_LOCATION = re.compile(r"/_history/([A-Za-z0-9.-]{1,64})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Targets:
    """What some resources refer to, and how that is called on the other side."""

    known: Mapping[Identity, Stored]
    #: of these the id was made here
    made_here: frozenset[Identity]
    #: the ids there of what was read from there
    their_ids: Mapping[Identity, str]
    #: the versions there, by type, id and version here
    their_versions: Mapping[tuple[str, str, int], str]

    def called(self, identity: Identity) -> str:
        """Return how a resource is called there."""
        return f"{identity[0]}/{self.their_ids.get(identity, identity[1])}"


def prepared(tx: Connection, bodies: Sequence[Json], *, tenant: int, server: str) -> list[dict[str, Any]]:
    """Return the resources as they are sent to a server."""
    targets = _targets(tx, bodies, tenant=tenant, server=server)
    return [_rewritten(_bare(body), targets) for body in bodies]


def meant(
    tx: Connection, bodies: Sequence[Json], *, tenant: int, server: str
) -> dict[tuple[str, str, str], str]:
    """Return, of what the bodies refer to by identifier alone, what its identifiers have meant.

    What was sent holds the identifier of then, and the resource may have another by now. An identifier
    that two resources have had means neither.
    """
    targets = _targets(tx, bodies, tenant=tenant, server=server)
    found: dict[tuple[str, str, str], set[str]] = {}
    for type_, id in targets.made_here:
        for version in resources.history(tx, type_, id, tenant=tenant):
            if identifier := _identifier(version.resource):
                name = (type_, identifier["system"], identifier["value"])
                found.setdefault(name, set()).add(targets.called((type_, id)))
    return {name: next(iter(of)) for name, of in found.items() if len(of) == 1}


def bundle(outputs: Sequence[Output], bodies: Sequence[Json], *, base: str) -> dict[str, Any]:
    """Return the transaction that puts them, each only over the version that we know of."""
    entries = []
    for output, body in zip(outputs, bodies, strict=True):
        reference = output.stored.reference
        request = {"method": "PUT", "url": reference}
        if output.their_version:
            request["ifMatch"] = f'W/"{output.their_version}"'
        entries.append({"fullUrl": f"{base}/{reference}", "resource": body, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def versions(response: Json) -> list[str | None]:
    """Return the server's own version of each entry of a transaction-response; None where it says none."""
    return [_their_version(entry["response"]) for entry in response["entry"]]


def _their_version(response: Json) -> str | None:
    etag, location = response.get("etag"), response.get("location")
    if isinstance(etag, str) and (match := ETAG.fullmatch(etag)):
        return match[1]
    if isinstance(location, str) and (match := VERSION_IN_LOCATION.search(location)):
        return match[1]
    return None


def references(value: Any) -> set[Identity]:
    """Return what a resource, or a part of one, refers to."""
    if isinstance(value, Mapping):
        found = {identity for part in value.values() for identity in references(part)}
        match = REFERENCE.fullmatch(value["reference"]) if isinstance(value.get("reference"), str) else None
        return found | {(match[1], match[2])} if match else found
    if isinstance(value, list):
        return {identity for part in value for identity in references(part)}
    return set()


def _bare(body: Json) -> Json:
    """Return the resource without the stamps of our record, which are not the other side's."""
    meta = {n: v for n, v in body.get("meta", {}).items() if n not in ("versionId", "lastUpdated")}
    rest = {name: value for name, value in body.items() if name != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _targets(tx: Connection, bodies: Sequence[Json], *, tenant: int, server: str) -> _Targets:
    """Return what the bodies refer to, and how that is called there.

    Nobody but the record knows who made an id: those of a hospital may have the form of ours.
    """
    named = {identity for body in bodies for identity in references(body)}
    with driver.together(tx):
        asked = resources.ask_all(tx, sorted(named), tenant=tenant)
    known = asked()
    of_others = [identity for identity, target in known.items() if not target.owned]
    first = resources.versions(tx, [(type_, id, 1) for type_, id in of_others], tenant=tenant)
    versions = {name for body in bodies for name in _versions(body) if name[:2] in known}
    return _Targets(
        known=known,
        made_here=frozenset((one.type, one.id) for one in first.values() if one.posted),
        their_ids=origins.of_ours(tx, of_others, tenant=tenant, server=server),
        their_versions=origins.of_versions(tx, sorted(versions), tenant=tenant, server=server),
    )


def _versions(value: Any) -> set[tuple[str, str, int]]:
    """Return which versions of ours a resource, or a part of one, refers to."""
    if isinstance(value, Mapping):
        found = {name for part in value.values() for name in _versions(part)}
        match = REFERENCE.fullmatch(value["reference"]) if isinstance(value.get("reference"), str) else None
        number = _number(match)
        return found | {(match[1], match[2], number)} if match and number is not None else found
    if isinstance(value, list):
        return {name for part in value for name in _versions(part)}
    return set()


def _number(match: re.Match[str] | None) -> int | None:
    """Return the number of the version in a reference of ours."""
    text = (match[3] or "").rpartition("/")[2] if match else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _rewritten(value: Any, targets: _Targets) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _rewritten(part, targets) for name, part in value.items()}
        match = REFERENCE.fullmatch(value["reference"]) if isinstance(value.get("reference"), str) else None
        return parts if match is None else _named(parts, (match[1], match[2]), _number(match), targets)
    if isinstance(value, list):
        return [_rewritten(part, targets) for part in value]
    return value


def _named(parts: Json, identity: Identity, version: int | None, targets: _Targets) -> dict[str, Any]:
    """Return how the parts of a Reference are written on the other side.

    Args:
        version: of ours that is meant; None: whichever it is.
    """
    type_, target = identity[0], targets.known.get(identity)
    plain = {**parts, "reference": targets.called(identity)}
    if target is None or target.owned:
        return plain
    identifier = parts.get("identifier") or _identifier(target.resource)
    if identity in targets.their_ids:
        theirs = targets.their_versions.get((*identity, version)) if version is not None else None
        if theirs is not None:
            return {**plain, "reference": f"{plain['reference']}/_history/{theirs}"}
        return {**plain, "identifier": identifier} if identifier else plain
    if identifier is None:
        return plain
    if identity in targets.made_here:
        return {
            **{n: v for n, v in parts.items() if n != "reference"},
            "type": type_,
            "identifier": identifier,
        }
    return {**plain, "identifier": identifier}


def _identifier(resource: Json) -> Json | None:
    """Return system and value of the first identifier that has both."""
    for given in resource.get("identifier") or ():
        if isinstance(given, Mapping) and given.get("system") and given.get("value"):
            return {"system": given["system"], "value": given["value"]}
    return None
