"""The operation `$validate`: whether a resource would do, and whether a write of it would be accepted.

    no mode ................ the resource itself
    create, update, delete . also the write, for those who may: it is carried out and rolled back

http://hl7.org/fhir/R4/resource-operation-validate.html
OperationDefinition: fhir_profiles/definitions/OperationDefinition-Resource-validate.json
"""

from typing import Any

from flask import Response, current_app, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import accessed
from service.auth import calling
from service.fhir import admission, blueprint, entries, operations, transaction, validation
from service.fhir.blueprint import fhir, needs
from service.fhir.refusals import Gone, Issue, NotExchanged, NotFound, Refusal
from service.store import resources
from service.store.senders import READ, WRITE

PARAMETERS = ("resource", "mode", "profile")
METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE"}


class _Tried(Exception):
    """The write would be accepted; raised so that the transaction is rolled back."""


@fhir.post("/<type_>/$validate")
@needs(READ)
def validate_of_type(type_: str) -> Response:
    """Validate a resource of the type."""
    return _validate(type_, None)


@fhir.get("/<type_>/<id_>/$validate")
@fhir.post("/<type_>/<id_>/$validate")
@needs(READ)
def validate_of_instance(type_: str, id_: str) -> Response:
    """Validate what is sent as the next version of a resource, or the one that is stored."""
    return _validate(type_, id_)


def _validate(type_: str, id_: str | None) -> Response:
    given = operations.given(PARAMETERS, takes_alone=True)
    mode = given.text("mode")
    if mode not in (None, *METHODS):
        raise NotExchanged(Issue(code="code-invalid", text=f"mode is one of {', '.join(METHODS)}"))
    if mode is not None:
        # Whether a write would do tells of what is there, and it takes the turns of a write.
        calling.require(WRITE)
    if (mode in ("update", "delete")) != (id_ is not None) and mode is not None:
        raise NotExchanged(
            Issue(code="invalid", text="create is asked of a type, update and delete of an instance")
        )
    profile = validation.wanted(given.text("profile"), blueprint.known(type_))
    resource = given.alone if given.alone is not None else given.resource("resource")
    if mode == "delete":
        return _answer(_refused(None, mode, type_, id_), [], mode)
    if resource is None and mode is None and id_ is not None:
        resource = _stored(type_, id_)
    if resource is None:
        raise NotExchanged(Issue(code="required", text="the resource to validate is missing"))
    wrong = validation.errors(resource, type_, profile)
    doubtful = [] if wrong else list(validation.doubts(resource))
    if mode is not None and not wrong:
        wrong = _refused(resource, mode, type_, id_)
    return _answer(wrong, doubtful, mode)


def _stored(type_: str, id_: str) -> dict[str, Any]:
    with blueprint.database().transaction() as tx:
        stored = resources.current(tx, type_, id_, tenant=blueprint.TENANT)
    if stored is None:
        raise NotFound(Issue(code="not-found", text="there is no such resource"))
    if stored.deleted:
        raise Gone(Issue(code="deleted", text="the resource was removed"))
    accessed.note([stored.patient], stored.reference)
    return reading.read(stored.body.encode())


def _refused(resource: dict[str, Any] | None, mode: str, type_: str, id_: str | None) -> list[Issue]:
    """Return for what the write would be refused now; it is tried and taken back."""
    try:
        bundle = entries.one(resource, method=METHODS[mode], type_=type_, id_=id_, condition=None)
        asked_for = transaction.read(bundle, base=blueprint.base())

        def attempt(tx: Connection) -> None:
            transaction.store(
                tx,
                asked_for,
                tenant=blueprint.TENANT,
                sender=calling.caller().name,
                base=blueprint.base(),
                repeatable=False,
            )
            raise _Tried

        with current_app.extensions["hipway"].intake.turn(admission.sender_of(request)):
            blueprint.database().run(attempt)
    except _Tried:
        pass
    except Refusal as refusal:
        return list(blueprint.renamed(refusal, type_).issues)
    return []


def _answer(wrong: list[Issue], doubtful: list[Issue], mode: str | None) -> Response:
    text = f"a {mode} would be accepted now" if mode else "all is well"
    found = validation.outcome(wrong, doubtful, text=text)
    return blueprint.resource(reading.write(found).decode())
