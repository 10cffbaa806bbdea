"""The operations `$meta`, `$meta-add` and `$meta-delete`: profiles, tags and security labels.

What they change is a new version, as every change is; superseded versions stay as they were written.

http://hl7.org/fhir/R4/resource-operation-meta.html
OperationDefinitions: fhir_profiles/definitions/OperationDefinition-Resource-meta*.json
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response
from sqlalchemy import Connection

from fhir_profiles import reading
from service import accessed, digits
from service.auth import calling
from service.fhir import (
    access_events,
    blueprint,
    entries,
    indexed,
    intake,
    labelling,
    operations,
    ownership,
)
from service.fhir.blueprint import TENANT, fhir, needs
from service.fhir.refusals import Gone, Issue, NotExchanged, NotFound, NotYours, OutOfDate, Refusal
from service.fhir.searching import TYPES
from service.fhir.transaction import Accepted
from service.store import labels, resources
from service.store.resources import Stored
from service.store.senders import READ

Json = Mapping[str, Any]

#: how often somebody else may change the same resource first
ATTEMPTS = 20


@fhir.get("/$meta")
@fhir.post("/$meta")
@needs(READ)
def meta_of_all() -> Response:
    """Return which labels there are."""
    return _labels(TYPES)


@fhir.get("/<type_>/$meta")
@fhir.post("/<type_>/$meta")
@needs(READ)
def meta_of_type(type_: str) -> Response:
    """Return which labels resources of the type carry."""
    return _labels([type_])


@fhir.get("/<type_>/<id_>/$meta")
@fhir.post("/<type_>/<id_>/$meta")
@needs(READ)
def meta_of_one(type_: str, id_: str) -> Response:
    """Return the meta of a resource."""
    operations.given(())
    if type_ == access_events.TYPE:
        with blueprint.database().transaction() as tx:
            if event := access_events.one(tx, id_, tenant=TENANT):
                return blueprint.resource(_parameters(event.get("meta", {})))
    return _answer(_there(_current(type_, id_)))


@fhir.get("/<type_>/<id_>/_history/<version>/$meta")
@fhir.post("/<type_>/<id_>/_history/<version>/$meta")
@needs(READ)
def meta_of_version(type_: str, id_: str, version: str) -> Response:
    """Return the meta of one version of a resource."""
    operations.given(())
    number = digits.read(version, most=9) or 0
    with blueprint.database().transaction() as tx:
        stored = resources.version(tx, type_, id_, number, tenant=TENANT)
    return _answer(_there(stored))


@fhir.post("/<type_>/<id_>/$meta-add")
def add_meta(type_: str, id_: str) -> Response:
    """Add labels to a resource."""
    return _change(type_, id_, labelling.added)


@fhir.post("/<type_>/<id_>/$meta-delete")
def delete_meta(type_: str, id_: str) -> Response:
    """Remove labels from a resource."""
    return _change(type_, id_, labelling.removed)


def _labels(types: Sequence[str]) -> Response:
    operations.given(())
    with blueprint.database().transaction() as tx:
        indexed.refuse_unindexed(tx, tenant=TENANT)
        try:
            found = labels.found(tx, types, tenant=TENANT)
        except labels.TooMany:
            text = (
                f"there are more than {labels.MOST} different ones of a type; search by _tag, or ask of one"
            )
            raise NotExchanged(Issue(code="too-costly", text=text)) from None
    return blueprint.resource(_parameters(labelling.carried(found)))


def _change(type_: str, id_: str, change: Callable[[Json, Json], dict[str, Any]]) -> Response:
    meta = operations.given(("meta",)).value("meta")
    if not isinstance(meta, dict):
        text = "meta is missing: what is to change, as valueMeta of the body's Parameters"
        raise NotExchanged(Issue(code="required", text=text))
    ownership.refuse_reserved({"resourceType": type_}, id_, at=type_)
    for left in reversed(range(ATTEMPTS)):
        stored = _there(_current(type_, id_))
        if stored.owned:
            text = f"this {type_} is kept by the pathway: its labels are not changed from outside"
            raise NotYours(Issue(code="forbidden", text=text, expression=f"{type_}.meta"))
        changed = change(stored.resource, meta)
        if changed == stored.resource:
            return _answer(stored)
        try:
            return intake.carry_out(_update(stored, changed), _of_accepted)
        except OutOfDate:
            # Somebody else was first; what is added now is added to what they made.
            if not left:
                raise
        except Refusal as refusal:
            raise blueprint.renamed(refusal, type_) from refusal
    raise AssertionError("the last attempt returns or raises")


def _update(stored: Stored, changed: Json) -> dict[str, Any]:
    bundle = entries.one(changed, method="PUT", type_=stored.type, id_=stored.id)
    bundle["entry"][0]["request"]["ifMatch"] = f'W/"{stored.version}"'
    return bundle


def _of_accepted(tx: Connection, accepted: Accepted) -> Response:
    (head,) = accepted.stored
    stored = resources.version(tx, head.type, head.id, head.version, tenant=TENANT)
    assert stored is not None
    return blueprint.due_header(_answer(stored), accepted)


def _answer(stored: Stored) -> Response:
    """Return the meta of a version; nothing to whoever may only write."""
    if not calling.may(READ):
        return blueprint.resource("", stored)
    accessed.note([stored.patient], stored.reference)
    return blueprint.resource(_parameters(stored.resource["meta"]), stored)


def _parameters(meta: Json) -> str:
    # A meta without anything is none, as no element of FHIR is empty.
    parts = [{"name": "return", "valueMeta": meta}] if meta else []
    found = {"resourceType": "Parameters", **({"parameter": parts} if parts else {})}
    return reading.write(found).decode()


def _current(type_: str, id_: str) -> Stored | None:
    with blueprint.database().transaction() as tx:
        return resources.current(tx, type_, id_, tenant=TENANT)


def _there(stored: Stored | None) -> Stored:
    if stored is None:
        raise NotFound(Issue(code="not-found", text="there is no such resource or version"))
    if stored.deleted:
        raise Gone(Issue(code="deleted", text="the resource was removed"))
    return stored
