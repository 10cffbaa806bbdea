"""Idempotency-Key: a POST that is sent again is answered again, and nothing is stored twice.

For senders that cannot make their requests conditional. The key is known per tenant and
kept for `idempotency_keys.KEPT`, from the commit of the data on:

    first request              stored and answered, the answer kept with the data
    the same again             the first answer, byte for byte, with `Idempotent-Replayed: true`
    two at the same time       the second waits for the first and gets its answer
    the key of another request 422, nothing stored
    refused, or failed         nothing kept: a corrected request may use the key

The draft would answer 409 to the second of two at the same time; a sender that waits a
moment gets what it came for. `Idempotent-Replayed` is the name that Stripe gave it; the
draft has none. A key is no secret: who guesses one gets an answer only by sending the very
request that the answer is about.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Request, Response

from fhir_profiles import reading
from service import accessed, errors
from service.fhir import conditional
from service.fhir.refusals import Issue, KeyReused, NotExchanged
from service.store import search_index
from service.store.idempotency_keys import Kept

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

#: four times a UUID as text, and still short enough for the index that must find it
LONGEST_KEY = 255

#: what of an answer tells something about that which was stored
KEPT_HEADERS = ("Location", "ETag", "Last-Modified", "Evaluation-Due")

#: sf-string, https://www.rfc-editor.org/rfc/rfc8941#section-3.3.3
QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')

#: What many send in its place: the bare key. A comma would mean two fields, a semicolon parameters.
BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A request that is to be carried out once."""

    key: str
    #: of everything that makes the request what it is
    digest: bytes


def key_of(header: str | None) -> str | None:
    """Return the key in the header, without its quotes; None: there is no such header.

    Raises:
        NotExchanged: it holds no key that can be used.
    """
    if header is None:
        return None
    if quoted := QUOTED.fullmatch(header):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = header if BARE.fullmatch(header) else ""
    if not 0 < len(key) <= LONGEST_KEY:
        text = f"{HEADER} is one string of 1 to {LONGEST_KEY} ASCII characters, best a UUID in double quotes"
        raise NotExchanged(Issue(code="value", text=text))
    return key


def digest_of(request: Request, body: bytes) -> bytes:
    """Return by what the request is known again.

    Args:
        body: unpacked; packed again, the same body may have other bytes.
    """
    # A condition decides what is stored, so it belongs to the request; what `Prefer` asks for
    # decides how the answer looks, and a repetition gets the first one.
    parts = (
        request.method.encode(),
        request.path.rstrip("/").encode(),
        (request.headers.get(conditional.HEADER) or conditional.of_query(request.query_string)).encode(),
        body,
    )
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()


def kept(response: Response, once: Once) -> Kept:
    """Return what is kept of an answer."""
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return Kept(
        digest=once.digest,
        status=response.status_code,
        headers=headers,
        body=response.get_data(as_text=True),
    )


def replayed(answer: Kept, once: Once) -> Response:
    """Return the first answer again.

    Raises:
        KeyReused: it was the answer to another request.
    """
    if answer.digest != once.digest:
        text = f"this {HEADER} belongs to another request; send a new key with this one"
        raise KeyReused(Issue(code="business-rule", text=text))
    accessed.note(_people(answer.body))
    response = Response(answer.body, answer.status, content_type=errors.MEDIA_TYPE)
    response.headers.update(answer.headers)
    response.headers[REPLAYED] = "true"
    return response


def _people(body: str) -> Iterator[str]:
    """Yield whose data a kept answer holds: what a GET of a Bundle has read is in it."""
    answer = reading.read(body.encode()) if body else {}
    for entry in answer.get("entry", ()):
        resource = entry.get("resource", {})
        if resource.get("type") == "searchset":
            yield from filter(
                None, (search_index.about(e.get("resource", {})) for e in resource.get("entry", ()))
            )
        elif patient := search_index.about(resource):
            yield patient
