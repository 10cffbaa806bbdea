"""What is sent to the hospital, and how a reference is written there.

Our own resources keep their ids. A hospital's own are named by its ids, without the number of a version,
since ours are not its, and with an identifier where they have one. What came to us without an id has one of
ours, which the hospital does not know: it is named by its identifier alone.

http://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from service.fhir.ownership import ENGINE
from service.store import resources
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


def prepared(tx: Connection, bodies: Sequence[Json], *, tenant: int) -> list[dict[str, Any]]:
    """Return the resources as they are sent."""
    known, made_here = _targets(tx, bodies, tenant=tenant)
    return [_rewritten(_bare(body), known, made_here) for body in bodies]


def meant(tx: Connection, bodies: Sequence[Json], *, tenant: int) -> dict[tuple[str, str, str], str]:
    """Return, of what the bodies refer to by identifier alone, what its identifiers have meant.

    What was sent holds the identifier of then, and the resource may have another by now. An identifier
    that two resources have had means neither.
    """
    _, made_here = _targets(tx, bodies, tenant=tenant)
    found: dict[tuple[str, str, str], set[str]] = {}
    for type_, id in made_here:
        for version in resources.history(tx, type_, id, tenant=tenant):
            if identifier := _identifier(version.resource):
                name = (type_, identifier["system"], identifier["value"])
                found.setdefault(name, set()).add(version.reference)
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


def _targets(
    tx: Connection, bodies: Sequence[Json], *, tenant: int
) -> tuple[dict[Identity, Stored], frozenset[Identity]]:
    """Return what the bodies refer to, and of which of that the id was made here.

    Nobody but the record knows who made an id: those of a hospital may have the form of ours.
    """
    named = {identity for body in bodies for identity in references(body)}
    with resources.together(tx):
        asked = resources.ask_all(tx, sorted(named), tenant=tenant)
    known = asked()
    of_others = [identity for identity, target in known.items() if not target.owned]
    first = resources.versions(tx, [(type_, id, 1) for type_, id in of_others], tenant=tenant)
    return known, frozenset((one.type, one.id) for one in first.values() if one.posted)


def _rewritten(value: Any, known: Mapping[Identity, Stored], made_here: Collection[Identity]) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _rewritten(part, known, made_here) for name, part in value.items()}
        match = REFERENCE.fullmatch(value["reference"]) if isinstance(value.get("reference"), str) else None
        if match is None:
            return parts
        identity = (match[1], match[2])
        return _named(parts, identity, known.get(identity), made_here=identity in made_here)
    if isinstance(value, list):
        return [_rewritten(part, known, made_here) for part in value]
    return value


def _named(parts: Json, identity: Identity, target: Stored | None, *, made_here: bool) -> dict[str, Any]:
    """Return how the parts of a Reference are written on the other side."""
    type_, id = identity
    plain = {**parts, "reference": f"{type_}/{id}"}
    if target is None or target.owned:
        return plain
    identifier = parts.get("identifier") or _identifier(target.resource)
    if identifier is None:
        return plain
    if made_here:
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
