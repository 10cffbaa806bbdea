"""What a request is answered with: each status in words, with its headers and its shape."""

from collections.abc import Iterable, Mapping
from typing import Any

from service import errors
from service.openapi import shapes

Json = dict[str, Any]

#: what each refusal means, by status; `service.errors` gives them
REFUSALS: Mapping[int, str] = {
    400: "The request is not one of those that are exchanged; the issue says what is wrong with it.",
    401: "Nobody says who is calling, or not so that it could be believed.",
    403: "Whoever is calling may not do this; or the engine keeps what would be changed; or a page of "
    "another site sent this.",
    404: "There is no such resource, version, type or operation.",
    405: "This is not offered here; Allow names what is.",
    406: "The answer cannot be given in the form that was asked for: there is JSON.",
    409: "Something that is kept refers to what would be removed.",
    410: "There was such a resource, and it was removed.",
    412: "The resource has another version than If-Match names, or several match a condition; of CDS Hooks: "
    "data that are needed did not come along.",
    413: "The request is larger than what is read.",
    415: "The body is in a form that is not read: send JSON; to search, a form.",
    422: "A resource is not valid, a reference cannot be settled, or an Idempotency-Key is that of another "
    "request.",
    429: "More is sent than can be stored now, or the caller has as many exports as one may have. Nothing "
    "was stored.",
    500: "A fault of this service, with the id under which its log has it; of an export, why it could not be "
    "written.",
    503: "The database cannot be reached now, or what is stored is not yet indexed for this search. Nothing "
    "was stored.",
}

HEADERS: Mapping[str, Json] = {
    "ETag": {"schema": {"type": "string"}, "description": 'W/"version"'},
    "Last-Modified": {"schema": {"type": "string"}, "description": "when the version was received"},
    "Content-Location": {"schema": {"type": "string"}, "description": "where it is told how far it is"},
    "Location": {"schema": {"type": "string"}, "description": "the version that was stored"},
    "X-Progress": {"schema": {"type": "string"}, "description": "how far it is, in words"},
    "Expires": {"schema": {"type": "string"}, "description": "until when the files are there"},
    "Accept-Patch": {"schema": {"type": "string"}, "description": "of PATCH: the forms of a patch"},
    "Retry-After": {"schema": {"type": "string"}, "description": "seconds"},
    "Allow": {"schema": {"type": "string"}, "description": "the methods there are"},
    "WWW-Authenticate": {"schema": {"type": "string"}, "description": "how to say who is calling"},
    "Evaluation-Due": {
        "schema": {"type": "string"},
        "description": "when the patient is evaluated; only where an evaluation follows",
    },
    "Idempotent-Replayed": {
        "schema": {"type": "string"},
        "description": "true: the first answer to this Idempotency-Key, nothing was stored",
    },
}

#: beyond the body, by status
OF_REFUSALS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: ("Accept-Patch",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

FHIR, JSON, HTML = errors.MEDIA_TYPE, "application/json", "text/html"


def refusals(statuses: Iterable[int]) -> Json:
    """Return the answers with these statuses, each an OperationOutcome."""
    return {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in sorted(statuses)}


def components() -> Json:
    """Return what `refusals` refers to."""
    return {
        f"Refused{status}": good(text, "OperationOutcome", headers=OF_REFUSALS.get(status, ()))
        for status, text in REFUSALS.items()
    }


def good(
    text: str,
    shape: str | None = None,
    *,
    headers: Iterable[str] = (),
    media: str = FHIR,
    examples: Json | None = None,
) -> Json:
    """Return one answer.

    Args:
        shape: one of `shapes.ALL`; None: there is no body.
    """
    answer: Json = {"description": text}
    if names := list(headers):
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if shape is not None:
        content: Json = {"schema": shapes.ref(shape)}
        if examples:
            content["examples"] = examples
        answer["content"] = {media: content}
    return answer
