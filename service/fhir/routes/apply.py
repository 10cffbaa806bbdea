"""The operation `PlanDefinition/$apply`: what a pathway proposes for a patient; nothing is stored.

http://hl7.org/fhir/R4/plandefinition-operation-apply.html
`url` and `data` are those of http://hl7.org/fhir/uv/cpg/OperationDefinition/cpg-plandefinition-apply.
OperationDefinition: fhir_profiles/definitions/OperationDefinition-PlanDefinition-apply.json
"""

import re
from typing import Any

from flask import Response
from sqlalchemy import Connection

from fhir_profiles import reading
from pathways.definition import Pathway
from service import accessed, consulting, supplied
from service.consulting import Consultation
from service.fhir import applying, blueprint, operations, references
from service.fhir.blueprint import fhir, needs
from service.fhir.operations import Given
from service.fhir.refusals import Issue, NotExchanged, NotFound, NotValid
from service.store.senders import READ

PARAMETERS = ("subject", "encounter", "practitioner", "data")


@fhir.get("/PlanDefinition/<id_>/$apply")
@fhir.post("/PlanDefinition/<id_>/$apply")
@needs(READ)
def apply_one(id_: str) -> Response:
    """Apply the pathway with this id."""
    given = operations.given(PARAMETERS)
    pathway = next((p for p in blueprint.pathways() if p.url.rpartition("/")[2] == id_), None)
    return _answer(pathway, given)


@fhir.get("/PlanDefinition/$apply")
@fhir.post("/PlanDefinition/$apply")
@needs(READ)
def apply_by_url() -> Response:
    """Apply the pathway with the canonical URL `url`, with or without its version."""
    given = operations.given((*PARAMETERS, "url"))
    url = given.text("url")
    if not url:
        raise NotExchanged(Issue(code="required", text="url names the PlanDefinition"))
    return _answer(next((p for p in blueprint.pathways() if url in (p.url, p.canonical)), None), given)


def _answer(pathway: Pathway | None, given: Given) -> Response:
    if pathway is None:
        raise NotFound(Issue(code="not-found", text="no pathway of this service has this PlanDefinition"))
    patient = _subject(given)
    encounter = _reference(given, "encounter", "Encounter")
    practitioner = _reference(given, "practitioner", "Practitioner|PractitionerRole")
    data = _data(given, patient)

    def look(tx: Connection) -> Consultation | None:
        if data is None:
            return consulting.of_stored(tx, patient, [pathway], tenant=blueprint.TENANT)
        return consulting.consult(tx, patient, data, [pathway], tenant=blueprint.TENANT)

    found = blueprint.database().run(look, isolation="REPEATABLE READ")
    if found is None:
        raise NotFound(Issue(code="not-found", text="there is no such Patient; give one in data"))
    if data is None or found.known:
        accessed.note([patient, found.patient])
    plan = applying.care_plan(
        found.standings[0], found.patient, known=found.known, encounter=encounter, practitioner=practitioner
    )
    return blueprint.resource(reading.write(plan).decode())


def _subject(given: Given) -> str:
    subject = _reference(given, "subject", "Patient")
    if subject is None:
        raise NotExchanged(Issue(code="required", text="subject is a reference to the Patient"))
    return subject.partition("/")[2]


def _reference(given: Given, name: str, types: str) -> str | None:
    text = given.text(name)
    if text is None:
        return None
    reference = text.removeprefix(blueprint.base())
    if not re.fullmatch(rf"({types})/{references.ID}", reference):
        raise NotExchanged(Issue(code="value", text=f"{name} is a reference as {types.split('|')[0]}/id"))
    return reference


def _data(given: Given, patient: str) -> list[Any] | None:
    bundle = given.resource("data")
    if bundle is None:
        return None
    if bundle.get("resourceType") != "Bundle":
        raise NotExchanged(Issue(code="structure", text="data is a Bundle", expression="data"))
    supplied.check_gate("data", bundle, NotValid)
    base = blueprint.base()
    found = [
        supplied.taken(where, resource, patient, base, NotValid)
        for where, resource in supplied.entries("data", bundle)
    ]
    if not any(resource["resourceType"] == "Patient" for resource in found):
        raise NotValid(Issue(code="required", text="data holds the Patient, too", expression="data"))
    # What is told twice is taken as it was told last.
    return list({(resource["resourceType"], resource["id"]): resource for resource in found}.values())
