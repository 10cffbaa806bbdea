"""A GET within a Bundle: a read, a read of a version, or a search, after everything else of the Bundle.

http://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from sqlalchemy import Connection

from fhir_profiles import reading
from service import accessed
from service.fhir import access_events, searching, searchset, subset, terminology
from service.fhir.entries import NOT_KEPT, Read
from service.fhir.refusals import Gone, Issue, NotExchanged, NotFound, Refusal, TooLarge
from service.store import content, horizon, resources
from service.store.resources import Stored

Json = Mapping[str, Any]

#: what one Bundle may ask for: what it reads is kept in memory until all of it is answered
MOST_READS = 100
MOST_COUNT = 100

_OK: Json = {"response": {"status": "200 OK"}}


def refuse_many(reads: int) -> None:
    """Refuse a Bundle that asks for more than is kept in memory at once.

    Raises:
        TooLarge: there are more than `MOST_READS`.
    """
    if reads > MOST_READS:
        text = f"a Bundle asks for at most {MOST_READS} reads and searches; send the others in further ones"
        raise TooLarge(Issue(code="too-costly", text=text))


def answer(tx: Connection, read: Read, *, base: str, tenant: int) -> dict[str, Any]:
    """Return the entry that answers the GET.

    Raises:
        NotFound, Gone: there is no such resource.
        NotExchanged: it is neither a read nor a search, or one that is not understood.
    """
    try:
        return _answer(tx, read, base=base, tenant=tenant)
    except Refusal as refusal:
        issues = (replace(issue, expression=issue.expression or read.at) for issue in refusal.issues)
        raise type(refusal)(*issues) from None


def _answer(tx: Connection, read: Read, *, base: str, tenant: int) -> dict[str, Any]:
    path, _, query = read.url.partition("?")
    # A plus is a plus: the query stands in JSON, not in a form.
    asked = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    match unquote(path).split("/"):
        case [type_]:
            return _search(tx, _kept(type_), asked, base=base, tenant=tenant)
        case [access_events.TYPE, id_] if event := access_events.one(tx, id_, tenant=tenant):
            return {"resource": _shaped(access_events.TYPE, reading.write(event).decode(), asked), **_OK}
        case [type_, id_]:
            stored = resources.current(tx, _kept(type_), id_, tenant=tenant)
        case [type_, id_, "_history", version] if version.isascii() and version.isdigit():
            number = int(version) if len(version) < 10 else 0
            stored = resources.version(tx, _kept(type_), id_, number, tenant=tenant)
        case _:
            text = "a GET in a Bundle is Type/id, Type/id/_history/version or Type?search"
            raise NotExchanged(Issue(code="not-supported", text=text))
    return _read(stored, read, asked)


def _kept(type_: str) -> str:
    if type_ not in searching.TYPES or type_ in NOT_KEPT:
        text = "R4 has no such type, or it is not kept here"
        raise NotFound(Issue(code="not-supported", text=text))
    return type_


def _search(
    tx: Connection, type_: str, asked: list[tuple[str, str]], *, base: str, tenant: int
) -> dict[str, Any]:
    if access_events.asked_for(type_, asked):
        accesses = access_events.read(asked, base=base, lenient=False)
        accesses = replace(accesses, count=min(accesses.count, MOST_COUNT))
        events = access_events.bundle(tx, accesses, base=base, tenant=tenant)
        return {"resource": msgspec.Raw(reading.write(events)), **_OK}
    known = terminology.of_transaction(tx, tenant=tenant)
    wanted = searching.read(type_, asked, base=base, lenient=False, terminology=known, tenant=tenant)
    wanted = replace(wanted, count=min(wanted.count, MOST_COUNT))
    if wanted.polls:
        wanted = wanted.until(horizon.read(tx))
    found = searchset.bundle(tx, wanted, base=base, tenant=tenant)
    return {"resource": msgspec.Raw(reading.write(found)), **_OK}


def _read(stored: Stored | None, read: Read, asked: list[tuple[str, str]]) -> dict[str, Any]:
    if stored is None:
        text = "there is no such resource or version"
        raise NotFound(Issue(code="not-found", text=text))
    if stored.deleted:
        raise Gone(Issue(code="deleted", text="the resource was removed"))
    accessed.note([stored.patient])
    etag = f'W/"{stored.version}"'
    response = {"etag": etag, "lastModified": content.instant(stored.received)}
    if read.if_none_match == etag:
        return {"response": {"status": "304 Not Modified", **response}}
    body = _shaped(stored.type, stored.body, asked)
    return {"resource": body, "response": {"status": "200 OK", **response}}


def _shaped(type_: str, body: str, asked: list[tuple[str, str]]) -> msgspec.Raw:
    """Return what of a resource is asked for."""
    shape = subset.read(asked, of_search=False)
    subset.check(type_, shape)
    return msgspec.Raw(subset.of(body, shape).encode())
