"""FHIR history of one resource, of a type and of all types, newest version first.

Nothing is missed by whoever polls a type or all of them: a page ends at the horizon below which no
version can still appear (`service.store.horizon`), and its `meta.lastUpdated` is the last moment below it.
The next poll asks with that, or with the newest `lastModified` it has seen, as `_since`. One resource
needs no horizon: its versions follow one another under its lock.

http://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from flask import Response, request

from fhir_profiles import reading
from service import accessed
from service.fhir import blueprint, histories, paging
from service.fhir.blueprint import fhir
from service.fhir.histories import Asked
from service.fhir.refusals import Issue, NotFound
from service.fhir.searching import TYPES
from service.store import changes, content, horizon, resources
from service.store.resources import Stored

#: from the horizon to the last moment below it: moments have milliseconds
LAST = timedelta(milliseconds=1)


@fhir.get("/<type_>/<id_>/_history")
def history(type_: str, id_: str) -> Response:
    """Return the versions of the resource."""
    asked = _asked(of_one=True)
    with blueprint.database().transaction() as tx:
        versions = resources.history(tx, blueprint.known(type_), id_, tenant=blueprint.TENANT)
    if not versions:
        raise NotFound(Issue(code="not-found", text="there is no such resource"))
    matching = _matching(versions, asked)
    page = [version for version in matching if asked.below is None or version.version < asked.below]
    shown = page[: asked.count]
    more = str(shown[-1].version) if shown and len(page) > len(shown) else None
    return _answer(f"{type_}/{id_}/_history", asked, shown, total=len(matching), more=more)


@fhir.get("/<type_>/_history")
def history_of_type(type_: str) -> Response:
    """Return what changed in the resources of one type."""
    return _of_many(f"{blueprint.known(type_)}/_history", [type_])


@fhir.get("/_history")
def history_of_system() -> Response:
    """Return what changed in all resources."""
    return _of_many("_history", TYPES)


def _of_many(path: str, types: Sequence[str]) -> Response:
    asked = _asked(of_one=False)
    with blueprint.database().transaction() as tx:
        seen = horizon.read(tx)
    # A client cannot look past the horizon by a page of its own making.
    until = min(asked.until or seen, seen)
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        found = changes.page(
            tx,
            types,
            tenant=blueprint.TENANT,
            until=until,
            since=asked.since,
            after=asked.after,
            count=asked.count,
        )
    more = histories.next_page(until, found.next_after) if found.next_after else None
    return _answer(path, asked, found.versions, total=found.total, more=more, until=until)


def _asked(*, of_one: bool) -> Asked:
    return histories.read(request.args.items(multi=True), of_one=of_one, lenient=blueprint.lenient())


def _matching(versions: Sequence[Stored], asked: Asked) -> list[Stored]:
    """Return, of all versions of one resource, those of the time that was asked for."""
    found = []
    replaced: datetime | None = None
    for version in versions:
        current_in = asked.at is None or (
            version.received < asked.at[1] and (replaced is None or replaced > asked.at[0])
        )
        if current_in and (asked.since is None or version.received >= asked.since):
            found.append(version)
        replaced = version.received
    return found


def _answer(
    path: str,
    asked: Asked,
    versions: Sequence[Stored],
    *,
    total: int,
    more: str | None,
    until: datetime | None = None,
) -> Response:
    given = [*asked.used, ("_count", str(asked.count))]
    links = [{"relation": "self", "url": _url(path, given)}]
    if more is not None:
        links.append({"relation": "next", "url": _url(path, [*given, ("_page", more)])})
    bundle: dict[str, Any] = {"resourceType": "Bundle"}
    if until is not None:
        bundle["meta"] = {"lastUpdated": content.instant(until - LAST)}
    bundle |= {"type": "history", "total": total, "link": links}
    accessed.note(version.patient for version in versions)
    if versions:
        bundle["entry"] = [_entry(version) for version in versions]
    return blueprint.resource(reading.write(bundle).decode())


def _url(path: str, asked: Sequence[tuple[str, str]]) -> str:
    return paging.url(f"{blueprint.base()}{path}", asked)


def _entry(version: Stored) -> dict[str, Any]:
    entry: dict[str, Any] = {"fullUrl": f"{blueprint.base()}{version.reference}"}
    first = version.version == 1
    if version.deleted:
        done, status = {"method": "DELETE", "url": version.reference}, "204 No Content"
    elif first and version.posted:
        done, status = {"method": "POST", "url": version.type}, "201 Created"
    else:
        # What is not known to be a POST has the effect of a PUT.
        done, status = {"method": "PUT", "url": version.reference}, "201 Created" if first else "200 OK"
    if not version.deleted:
        entry["resource"] = msgspec.Raw(version.body.encode())
    response = {
        "status": status,
        "etag": f'W/"{version.version}"',
        "lastModified": content.instant(version.received),
    }
    return {**entry, "request": done, "response": response}
