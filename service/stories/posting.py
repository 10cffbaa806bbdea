"""What a person wants to post: a Bundle, or one resource; and whom it is about."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from service.stories.collecting import Search

Json = Mapping[str, Any]


class CannotBePosted(Exception):
    """What was read is neither a Bundle nor a resource."""


def bundle(read: Json) -> Json:
    """Return the Bundle itself, or a transaction that puts the one resource.

    Raises:
        CannotBePosted: it has no type.
    """
    kind = read.get("resourceType")
    if not isinstance(kind, str):
        raise CannotBePosted("it has no resourceType")
    if kind == "Bundle":
        return read
    return {"resourceType": "Bundle", "type": "transaction", "entry": [{**_request(kind, read)}]}


def patient(posted: Json, search: Search) -> str | None:
    """Return the id of the patient of the Bundle, if the service knows that patient.

    None: the Bundle is about nobody, or about somebody new.
    """
    for entry in posted.get("entry", ()):
        url, condition = _target(entry)
        if url == "Patient" and condition:
            identifiers = parse_qs(condition).get("identifier", [])
            found = search("Patient", {"identifier": identifiers[0]}) if identifiers else []
            if found:
                return str(found[0]["id"])
        elif url.startswith("Patient/"):
            return url.removeprefix("Patient/")
    return next(_mentioned(posted), None)


def stored_patient(posted: Json, response: Json) -> str | None:
    """Return the id of the patient of the Bundle, as the service answered."""
    for answered in response.get("entry", ()):
        kind, _, rest = answered.get("response", {}).get("location", "").partition("/")
        if kind == "Patient":
            return str(rest.partition("/")[0])
    return next(_mentioned(posted), None)


def _request(kind: str, resource: Json) -> dict[str, Any]:
    if "id" in resource:
        return {"resource": resource, "request": {"method": "PUT", "url": f"{kind}/{resource['id']}"}}
    for identifier in resource.get("identifier") or ():
        if isinstance(identifier, dict) and identifier.get("system") and identifier.get("value"):
            url = f"{kind}?identifier={identifier['system']}|{identifier['value']}"
            return {"resource": resource, "request": {"method": "PUT", "url": url}}
    return {"resource": resource, "request": {"method": "POST", "url": kind}}


def _target(entry: Json) -> tuple[str, str]:
    """Return where an entry goes and on which condition."""
    request = entry.get("request", {})
    url, _, condition = str(request.get("url", "")).partition("?")
    return url, condition or str(request.get("ifNoneExist", ""))


def _mentioned(value: Any) -> Iterator[str]:
    """Return every literal reference to a patient."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith("Patient/"):
            yield reference.removeprefix("Patient/").partition("/")[0]
        for part in value.values():
            yield from _mentioned(part)
    elif isinstance(value, list):
        for part in value:
            yield from _mentioned(part)
