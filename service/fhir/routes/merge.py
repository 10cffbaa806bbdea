"""The operations `Patient/$merge` and `Patient/[id]/$unmerge`: two records that are one person's, and back.

http://hl7.org/fhir/R5/patient-operation-merge.html
OperationDefinitions: fhir_profiles/definitions/OperationDefinition-Patient-merge.json, -Patient-unmerge.json
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Response, current_app, request
from sqlalchemy import Connection

from fhir_profiles import gate, reading
from service import accessed, broker
from service.auth import calling
from service.fhir import admission, blueprint, merging, operations, references, sent
from service.fhir.blueprint import fhir
from service.fhir.operations import Given
from service.fhir.refusals import Issue, NotExchanged, NotValid
from service.fhir.sent import Sent
from service.joining import join, part, persons
from service.store import resources
from service.store.resources import Head
from service.store.senders import READ

PARAMETERS = (
    "source-patient",
    "source-patient-identifier",
    "target-patient",
    "target-patient-identifier",
    "result-patient",
    "preview",
)
OF_UNDOING = ("source-patient", "source-resource", "rest-stays", "preview")

_T = TypeVar("_T")


class _Seen(Exception):
    """What would happen is known; raised so that the transaction is rolled back."""


@fhir.post("/Patient/$merge")
def merge() -> Response:
    """Join the record of the source into that of the target."""
    noted = sent.begin()
    given = operations.given(PARAMETERS)
    preview = _flag(given, "preview")
    source, target = _named(given, "source"), _named(given, "target")
    base = blueprint.base()
    result = given.resource("result-patient")
    if result is not None:
        _check_result(result)

    def work(tx: Connection) -> tuple[join.Outcome, str]:
        join.announce(tx)
        goes, stays = (merging.find(tx, who, tenant=blueprint.TENANT) for who in (source, target))
        _note(noted, goes, stays)
        asked = result
        if asked is not None:
            asked = merging.settled_result(tx, asked, goes, stays, base=base, tenant=blueprint.TENANT)
        done = join.join(tx, goes, stays, tenant=blueprint.TENANT, who=_who(), result=asked)
        return done, _body(tx, done.result)

    done, body = _run(work, preview=preview)
    if done.changed and not preview:
        _wake(done.target)
    return _answer(merging.of_join(done, preview=preview, may_read=calling.may(READ)), body)


@fhir.post("/Patient/<id_>/$unmerge")
def unmerge(id_: str) -> Response:
    """Part the record of a source from this one; whoever asks is told what others have sent."""
    noted = sent.begin()
    given = operations.given(OF_UNDOING)
    preview = _flag(given, "preview")
    source = _reference(given, "source-patient")
    if source is None:
        raise NotExchanged(Issue(code="required", text="source-patient is a reference to a Patient"))
    base = blueprint.base()
    to_source = [part.reference(text, base) for text in given.texts.get("source-resource", ())]
    rest_stays = _flag(given, "rest-stays")
    _note(noted, source, id_)
    calling.require(READ)

    def work(tx: Connection) -> tuple[part.Outcome, str]:
        join.announce(tx)
        done = part.part(
            tx,
            source,
            id_,
            tenant=blueprint.TENANT,
            who=_who(),
            to_source=to_source,
            rest_stays=rest_stays,
        )
        return done, _body(tx, done.result)

    done, body = _run(work, preview=preview)
    if not preview:
        _wake(done.source)
        _wake(done.target)
    return _answer(merging.of_part(done, preview=preview), body)


def _run(work: Callable[[Connection], _T], *, preview: bool) -> _T:
    """Return what the work returns; of a preview, all it did is taken back."""
    kept: list[_T] = []

    def attempt(tx: Connection) -> None:
        kept[:] = [work(tx)]
        if preview:
            raise _Seen

    with current_app.extensions["hipway"].intake.turn(admission.sender_of(request)):
        try:
            blueprint.database().run(attempt)
        except _Seen:
            pass
    return kept[0]


def _note(noted: Sent, source: str, target: str) -> None:
    """Note who is asked about before anything is answered: a refusal tells of them, too."""
    noted.entries, noted.patients = 1, [source, target]
    accessed.note(noted.patients, f"Patient/{target}")


def _who() -> str:
    return calling.caller().name


def _body(tx: Connection, head: Head) -> str:
    stored = resources.version(tx, head.type, head.id, head.version, tenant=blueprint.TENANT)
    assert stored is not None
    return stored.body


def _wake(patient: str) -> None:
    broker.wake(current_app.extensions["hipway"].settings, blueprint.TENANT, patient)


def _answer(outcome: Mapping[str, Any], body: str) -> Response:
    parts: list[dict[str, Any]] = [{"name": "outcome", "resource": outcome}]
    # Who may only write is not told what others have written.
    if calling.may(READ):
        parts.append({"name": "result", "resource": reading.read(body.encode())})
    return blueprint.resource(reading.write({"resourceType": "Parameters", "parameter": parts}).decode())


def _flag(given: Given, name: str) -> bool:
    text = given.text(name)
    if text not in (None, "true", "false", "True", "False"):
        raise NotExchanged(Issue(code="value", text=f"{name} is true or false", expression=name))
    return text in ("true", "True")


def _named(given: Given, which: str) -> merging.Named:
    identifiers = given.values.get(f"{which}-patient-identifier", ())
    id_ = _reference(given, f"{which}-patient")
    if id_ is None and not identifiers:
        text = f"{which}-patient or {which}-patient-identifier says who is meant"
        raise NotExchanged(Issue(code="required", text=text, expression=f"{which}-patient"))
    for identifier in identifiers:
        if not isinstance(identifier.get("value"), str):
            text = "an identifier that is looked for has a value"
            at = f"{which}-patient-identifier"
            raise NotExchanged(Issue(code="required", text=text, expression=at))
    tokens = tuple((str(i.get("system") or ""), str(i["value"])) for i in identifiers)
    return merging.Named(which=which, id=id_, identifiers=tokens)


def _reference(given: Given, name: str) -> str | None:
    text = given.text(name)
    if text is None:
        return None
    reference = text.removeprefix(blueprint.base())
    if not re.fullmatch(rf"Patient/{references.ID}", reference):
        raise NotExchanged(Issue(code="value", text=f"{name} is a reference as Patient/id", expression=name))
    return reference.partition("/")[2]


def _check_result(result: dict[str, Any]) -> None:
    if result.get("resourceType") != "Patient":
        text = "result-patient is a Patient"
        raise NotExchanged(Issue(code="structure", text=text, expression="result-patient"))
    if faults := gate.check(result):
        raise NotValid(
            *(
                Issue(
                    code=f.code, text=f.text, expression=f.expression.replace("Patient", "result-patient", 1)
                )
                for f in faults
            )
        )
    if persons.is_replaced(result):
        text = "the Patient that stays is replaced by nobody"
        raise NotValid(Issue(code="business-rule", text=text, expression="result-patient.link"))
