"""Patched resources: each PATCH of a transaction as the PUT of what it makes, under the resource's lock.

What a patch makes passes what a PUT passes: the gate, ownership, references.

http://hl7.org/fhir/R4/http.html#patch
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Connection

from fhir_profiles import gate, reading
from service.fhir import fhirpath_patch, json_patch
from service.fhir.entries import Entry
from service.fhir.json_patch import CannotBePatched
from service.fhir.refusals import Ambiguous, Gone, Issue, NotFound, NotReadable, NotValid
from service.store import resources
from service.store.resources import Identity, Stored, VersionConflict

Json = Mapping[str, Any]


#: the media types of a patch: a JSON Patch, and a FHIRPath Patch as Parameters
FORMS = (json_patch.MEDIA_TYPE, "application/fhir+json")

NOT_ONE = (
    f"a patch is a JSON Patch ({json_patch.MEDIA_TYPE}, in a Bundle a Binary with that contentType) "
    f"or a FHIRPath Patch (Parameters, {FORMS[1]}); XML Patch and JSON Merge Patch are not read"
)

#: makes of a resource what the patch says
_Change = Callable[[Json], Any]


def read(body: bytes, *, media_type: str) -> dict[str, Any]:
    """Return the patch that is the body of a request, as a Bundle carries it.

    Some clients send all JSON as `application/json`; no other patch than a JSON Patch is a list.

    Raises:
        Unreadable: the body is no JSON.
    """
    is_list = body.lstrip()[:1] == b"["
    if media_type == json_patch.MEDIA_TYPE or (media_type == "application/json" and is_list):
        return carried(body)
    return reading.read(body)


def is_one(carried: Json) -> bool:
    """Return whether it is what a Bundle carries a patch as."""
    type_ = carried.get("resourceType")
    return type_ == "Parameters" or (
        type_ == "Binary" and carried.get("contentType") == json_patch.MEDIA_TYPE
    )


def carried(patch: bytes) -> dict[str, Any]:
    """Return a JSON Patch as a Bundle carries it; a FHIRPath Patch is carried as it is.

    http://hl7.org/fhir/R4/http.html#patch (in a Bundle the patch is a Binary)
    """
    data = base64.b64encode(patch).decode()
    return {"resourceType": "Binary", "contentType": json_patch.MEDIA_TYPE, "data": data}


def applied(tx: Connection, entries: Sequence[Entry], *, tenant: int) -> list[Entry]:
    """Return the entries with each PATCH as the PUT of what it makes; what is patched is locked.

    Raises:
        NotFound, Gone, Ambiguous: there is no such resource, or there are several.
        VersionConflict: it has another version than the one named.
        NotValid: the patch does not fit.
        NotReadable: it is neither a JSON Patch nor a FHIRPath Patch.
    """
    patches = {entry.index: _change(entry) for entry in entries if entry.method == "PATCH"}
    named = {
        (entry.type, *entry.identifier) for entry in entries if entry.index in patches and entry.identifier
    }
    found = resources.by_identifier(tx, named, tenant=tenant)
    targets: dict[int, Identity] = {}
    for entry in entries:
        if entry.index in patches:
            targets[entry.index] = (entry.type, entry.id or _only(entry, found))
    locked = resources.lock(tx, set(targets.values()), tenant=tenant)
    return [
        _patched(entry, locked.get(targets[entry.index]), patches[entry.index])
        if entry.index in patches
        else entry
        for entry in entries
    ]


def _only(entry: Entry, found: Mapping[resources.Name, Sequence[resources.Head]]) -> str:
    assert entry.identifier is not None
    heads = found.get((entry.type, *entry.identifier), ())
    if len(heads) > 1:
        text = f"{len(heads)} resources match the condition; name one by its id"
        raise Ambiguous(Issue(code="multiple-matches", text=text, expression=_url(entry)))
    if not heads:
        raise _missing(entry)
    return heads[0].id


def _missing(entry: Entry) -> NotFound:
    text = "there is no such resource to patch; send a PUT to create one"
    return NotFound(Issue(code="not-found", text=text, expression=_url(entry)))


def _url(entry: Entry) -> str:
    return f"Bundle.entry[{entry.index}].request.url"


def _change(entry: Entry) -> _Change:
    resource = entry.resource
    if resource.get("resourceType") == "Parameters":
        return _by_paths(entry)
    if not is_one(resource):
        raise NotReadable(Issue(code="not-supported", text=NOT_ONE, expression=entry.at))
    try:
        sent = base64.b64decode(str(resource.get("data", "")), validate=True)
        operations = json_patch.read(reading.read_list(sent))
        return lambda stored: json_patch.apply(stored, operations)
    except (ValueError, CannotBePatched, reading.Unreadable) as error:
        raise NotValid(Issue(code="value", text=_why(error), expression=entry.at)) from None


def _by_paths(entry: Entry) -> _Change:
    faults = gate.check(dict(entry.resource))
    if faults:
        raise NotValid(
            *(Issue(code=f.code, text=f"{f.expression}: {f.text}", expression=entry.at) for f in faults)
        )
    try:
        operations = fhirpath_patch.read(entry.resource)
    except CannotBePatched as error:
        raise NotValid(Issue(code="value", text=str(error), expression=entry.at)) from None
    return lambda stored: fhirpath_patch.apply(stored, operations)


def _why(error: Exception) -> str:
    if isinstance(error, reading.Unreadable):
        return f"the patch is not read: {error.detail}"
    return str(error) if isinstance(error, CannotBePatched) else "data is base64"


def _patched(entry: Entry, stored: Stored | None, change: _Change) -> Entry:
    if stored is None:
        raise _missing(entry)
    if stored.deleted:
        text = "the resource was removed; a PUT brings it back"
        raise Gone(Issue(code="deleted", text=text, expression=_url(entry)))
    if entry.if_version is not None and entry.if_version != stored.version:
        raise VersionConflict((stored.type, stored.id))
    try:
        patched = change(stored.resource)
        # What is stored has passed the limits of what is read, whoever made it.
        patched = reading.read(reading.write(patched))
    except (CannotBePatched, reading.Unreadable) as error:
        raise NotValid(Issue(code="processing", text=_why(error), expression=entry.at)) from None
    if (patched.get("resourceType"), patched.get("id")) != (stored.type, stored.id):
        text = "a patch changes neither resourceType nor id"
        raise NotValid(Issue(code="business-rule", text=text, expression=entry.at))
    return structs.replace(
        entry,
        method="PUT",
        id=stored.id,
        identifier=None,
        resource=patched,
        if_version=stored.version,
        sent=entry.resource,
    )
