"""The operation `$export`: what is kept as files, written by workers while the client asks how far they are.

    GET [base]/$export, Patient/$export, Group/[id]/$export   202 with the address of the status
    GET [base]/_export/[id] ................................   202 with X-Progress, then 200 with the manifest
    GET [base]/_export/[id]/[file] .........................   NDJSON, a piece at a time
    DELETE [base]/_export/[id] .............................   202; the files are removed

http://hl7.org/fhir/uv/bulkdata/STU2/export.html
OperationDefinitions: fhir_profiles/definitions/OperationDefinition-*export.json
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from flask import Response, current_app, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import accessed, broker, log
from service.auth import calling
from service.fhir import (
    access_events,
    blueprint,
    exporting,
    indexed,
    operations,
    outcome,
    placing,
    references,
    terminology,
    type_filters,
)
from service.fhir.blueprint import TENANT, fhir, needs
from service.fhir.operations import Given
from service.fhir.refusals import Gone, Issue, NotExchanged, NotFound, NotInScope, TooMany, WentWrong
from service.fhir.type_filters import Filters
from service.store import export_files, exports, horizon, leased, resources, search_index
from service.store.database import Database
from service.store.export_files import File
from service.store.exports import Asked, Export
from service.store.senders import READ

#: that one caller may have at a time: each is work, and a copy of what it holds
MOST = 10
#: seconds between two looks at the status, at least and at most; meanwhile a tenth of the time so far
LOOK_AFTER_S = (1, 60)

_NAME = re.compile(r"[A-Za-z]+\.([1-9]\d{0,8})\.ndjson")


@fhir.get("/$export")
@fhir.post("/$export")
@needs(READ)
def export_all() -> Response:
    """Begin to write all resources."""
    given = _given(())
    return _begin(given, of_patients=False, group=None)


@fhir.get("/Patient/$export")
@fhir.post("/Patient/$export")
@needs(READ)
def export_patients() -> Response:
    """Begin to write what belongs to patients."""
    return _begin(_given(("patient",)), of_patients=True, group=None)


@fhir.get("/Group/<id_>/$export")
@fhir.post("/Group/<id_>/$export")
@needs(READ)
def export_group(id_: str) -> Response:
    """Begin to write what belongs to the patients of a Group."""
    return _begin(_given(("patient",)), of_patients=True, group=id_)


@fhir.get(f"/{exporting.PATH}/<id_>")
@needs(READ)
def export_status(id_: str) -> Response:
    """Say how far the export is, or where its files are."""
    with blueprint.database().transaction() as tx:
        export = _own(tx, id_)
        files = export_files.of(tx, id_, tenant=TENANT)
    if export.outcome == "failed":
        text = f"the export could not be written: {export.failed_reason}; ask for it again"
        raise WentWrong(Issue(code="processing", text=text))
    if export.outcome is None:
        response = Response(status=202)
        response.headers["X-Progress"] = f"{export.percent} % done"
        least, most = LOOK_AFTER_S
        response.headers["Retry-After"] = str(int(min(most, max(least, export.age_s / 10))))
        return response
    manifest = exporting.manifest(
        export,
        files,
        base=blueprint.base(),
        requires_token=not current_app.extensions["hipway"].settings.sandbox,
    )
    response = Response(reading.write(manifest), content_type="application/json")
    response.expires = export.expires_at
    return response


@fhir.delete(f"/{exporting.PATH}/<id_>")
@needs(READ)
def cancel_export(id_: str) -> Response:
    """End the export, and have its files removed."""
    with blueprint.database().transaction() as tx:
        _own(tx, id_)
        leased.cancel(tx, "export", id_, tenant=TENANT)
    log.get().info("export_cancelled", export=id_, by=calling.caller().name)
    return blueprint.resource(
        reading.write(outcome.information("the export is ended, and its files are removed")).decode(),
        status=202,
    )


@fhir.get(f"/{exporting.PATH}/<id_>/<name>")
@needs(READ)
def export_file(id_: str, name: str) -> Response:
    """Return a file, a piece at a time; whose data are in it is written down before."""
    with blueprint.database().transaction() as tx:
        export = _own(tx, id_)
        match = _NAME.fullmatch(name)
        files = export_files.of(tx, id_, tenant=TENANT) if match and export.outcome == "finished" else []
        file = next((file for file in files if exporting.name_of(file) == name), None)
        if file is None:
            raise NotFound(Issue(code="not-found", text="the export has no such file"))
        patients = export_files.patients(tx, id_, file.number, tenant=TENANT)
    accessed.note(patients)
    pieces = _pieces(blueprint.database(), id_, file.number, file.chunks)
    response = Response(pieces, content_type=exporting.MEDIA_TYPE)
    response.content_length = file.size
    response.expires = export.expires_at
    return response


def _pieces(database: Database, id_: str, file: int, chunks: int) -> Iterator[bytes]:
    """Yield the pieces of a file, each of a transaction of its own: a slow client holds no connection."""
    for number in range(chunks):
        with database.transaction() as tx:
            body = export_files.chunk(tx, id_, file, number, tenant=TENANT)
        if body is None:
            # Cancelled meanwhile: the connection breaks, so that the part is not taken for the whole.
            raise ConnectionAbortedError
        yield body.encode()


def _given(more: tuple[str, ...]) -> Given:
    if request.method == "HEAD":
        # Flask takes it for a GET, and it must have no effect.
        raise NotExchanged(Issue(code="not-supported", text="HEAD begins no export: send GET or POST"))
    if blueprint.preferred("respond-async") is None:
        text = "an export is answered later: send Prefer: respond-async"
        raise NotExchanged(Issue(code="required", text=text))
    if calling.caller().name.startswith("Practitioner/"):
        # Whoever is signed in follows links of pages to single resources.
        raise NotInScope(Issue(code="forbidden", text="an export is asked for by a system, with its token"))
    # Patients are named in a body, never in an address.
    known = (*exporting.PARAMETERS, *(more if request.method == "POST" else ()))
    return operations.given(known)


def _begin(given: Given, *, of_patients: bool, group: str | None) -> Response:
    exporting.check_format(given.text("_outputFormat"))
    types = exporting.types_of(given.texts.get("_type", ()), of_patients=of_patients)
    elements = exporting.elements_of(given.texts.get("_elements", ()), types)
    filters = type_filters.read(
        given.texts.get("_typeFilter", ()),
        types,
        base=blueprint.base(),
        lenient=blueprint.lenient(),
        terminology=terminology.of_database(blueprint.database(), tenant=TENANT),
        tenant=TENANT,
    )
    since = _since(given)
    id_ = placing.new_id()
    caller = calling.caller().name

    def promise(tx: Connection) -> None:
        if filters.texts:
            # Whatever they ask, a worker reads the rows of this release: it would wait for them all the same.
            indexed.refuse_unindexed(tx, tenant=TENANT)
        # Of two requests at the same time one sees what the other asked for.
        resources.lock_identities(tx, TENANT, [("export", caller)])
        if exports.count_of(tx, caller, tenant=TENANT) >= MOST:
            text = f"there are {MOST} exports of yours; DELETE the status of one that you have read"
            raise TooMany(Issue(code="throttled", text=text))
        asked = Asked(
            caller=caller,
            request=f"{blueprint.base().removesuffix('/fhir/')}{request.full_path.removesuffix('?')}",
            types=types,
            of_patients=of_patients,
            patients=_patients(tx, given, group),
            elements=elements,
            filters=filters.texts,
            since=since,
            # Whoever works on it begins after this transaction, and so sees everything below.
            until=horizon.read(tx),
        )
        exports.ask(tx, id_, asked, tenant=TENANT)
        if told := [*_passed_over(given, filters), *_without_accesses(given, types)]:
            _tell(tx, id_, told)

    blueprint.database().run(promise)
    log.get().info("export_asked_for", export=id_, by=caller)
    broker.wake_export(current_app.extensions["hipway"].settings, TENANT, id_)
    text = "the export is being written; Content-Location says where to ask how far it is"
    response = blueprint.resource(reading.write(outcome.information(text)).decode(), status=202)
    response.headers["Content-Location"] = f"{blueprint.base()}{exporting.PATH}/{id_}"
    return response


def _passed_over(given: Given, filters: Filters) -> Iterator[str]:
    if given.passed_over:
        number = given.passed_over
        yield f"passed over, because they are not known here: {number} of the parameters of the request"
    if filters.passed_over:
        number = filters.passed_over
        yield f"passed over, because they limit nothing here: {number} of what is in _typeFilter"


def _without_accesses(given: Given, types: Sequence[str]) -> Iterator[str]:
    # Said to whoever asks for the type: that the files hold all of it is a fair guess then.
    if "_type" in given.texts and access_events.TYPE in types:
        yield (
            "AuditEvents of accesses (type rest) are in no export, as they are rendered when they are asked "
            "for: search AuditEvent?type=rest"
        )


def _tell(tx: Connection, id_: str, texts: Sequence[str]) -> None:
    """Write among the errors of the export what of the request has no effect, or less than expected."""
    body = "".join(f"{reading.write(outcome.information(text)).decode()}\n" for text in texts)
    file = File(number=1, kind="error", type="OperationOutcome", lines=0, size=0, chunks=0)
    export_files.add(tx, id_, file, body, len(texts), (), tenant=TENANT)


def _own(tx: Connection, id_: str) -> Export:
    """Return the export, if it is the caller's where callers are told apart."""
    export = exports.find(tx, id_, tenant=TENANT)
    caller = calling.caller()
    if export is None or (caller.is_known and caller.name != export.asked.caller):
        raise NotFound(Issue(code="not-found", text="there is no such export, or no longer"))
    return export


def _since(given: Given) -> datetime | None:
    text = given.text("_since")
    if text is None:
        return None
    # A plus before the zone arrives as a space when it was not escaped.
    found = search_index.instants(text.replace(" ", "+"))
    if found is None:
        raise NotExchanged(Issue(code="value", text="_since is an instant"))
    return found[0]


def _patients(tx: Connection, given: Given, group: str | None) -> tuple[str, ...] | None:
    """Return whose resources are written: None, everybody's."""
    members = _members(tx, group) if group is not None else None
    if "patient" not in given.texts:
        return members
    named = tuple(dict.fromkeys(map(_patient, given.texts["patient"])))
    there = resources.ask_all(tx, {("Patient", id_) for id_ in named}, tenant=TENANT)()
    known = {stored.id for stored in there.values() if not stored.deleted}
    if members is not None:
        known &= set(members)
    if missing := [id_ for id_ in named if id_ not in known]:
        where = "here" if members is None else "members of the Group"
        text = f"{len(missing)} of the patients in patient are not {where}"
        raise NotExchanged(Issue(code="not-found", text=text, expression="patient"))
    return named


def _members(tx: Connection, id_: str) -> tuple[str, ...]:
    group = resources.current(tx, "Group", id_, tenant=TENANT)
    if group is None:
        raise NotFound(Issue(code="not-found", text="there is no such Group"))
    if group.deleted:
        raise Gone(Issue(code="deleted", text="the Group was removed"))
    return exporting.members(group.resource)


def _patient(text: str) -> str:
    identity = references.local(text.removeprefix(blueprint.base()))
    if identity is None or identity[0] != "Patient":
        raise NotExchanged(Issue(code="value", text="patient is a reference, as Patient/id"))
    return identity[1]
