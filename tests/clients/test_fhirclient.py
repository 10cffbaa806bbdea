"""A day with fhirclient, the client of SMART for Python, which knows the models of R4.

https://github.com/smart-on-fhir/client-py
"""

from contextlib import contextmanager

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.careplan import CarePlan
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.parameters import Parameters
from fhirclient.models.patient import Patient
from fhirclient.models.practitioner import Practitioner
from fhirclient.server import FHIRNotFoundException

from clients.records import FACTS, PAGE, both_kinds, identified, person, visit

WHO = "fhirclient"


@pytest.fixture(scope="module")
def server(base):
    client = FHIRClient(settings={"app_id": "hipway", "api_base": base})
    yield client.server
    client.server.session.close()


@pytest.fixture(scope="module")
def seen(server):
    """A visit was posted."""
    return Bundle(Bundle(visit(WHO)).create(server))


@contextmanager
def header(server, name, value):
    """Send one more header for the length of a block: the client itself knows no conditions."""
    server.session.headers[name] = value
    yield
    del server.session.headers[name]


def test_the_capability_statement_is_read_and_asks_for_no_authorization(server):
    found = server.capabilityStatement

    assert found.fhirVersion == "4.0.1"
    assert {resource.type for resource in found.rest[0].resource} >= {"Patient", "CarePlan"}
    assert server.ready


def test_a_resource_is_created_changed_read_in_each_version_and_deleted(server):
    made = Patient(Patient(person(f"{WHO}-life")).create(server))

    made.active = True
    changed = Patient(made.update(server))
    assert (made.meta.versionId, changed.meta.versionId) == ("1", "2")
    assert Patient.read(made.id, server).active is True
    assert Patient.read_from(f"Patient/{made.id}/_history/1", server).active is None
    assert Bundle.read_from(f"Patient/{made.id}/_history", server).total == 2

    assert changed.delete(server) is None
    with pytest.raises(requests.HTTPError) as gone:
        Patient.read(made.id, server)
    assert OperationOutcome(gone.value.response.json()).issue[0].code == "deleted"


def test_a_condition_creates_once(server):
    with header(server, "If-None-Exist", f"identifier={identified(f'{WHO}-once')}"):
        first, second = (Patient(person(f"{WHO}-once")).create(server) for _ in range(2))

    assert first == second


def test_an_update_of_an_old_version_is_refused(server):
    made = Patient(Patient(person(f"{WHO}-lost")).create(server))

    with header(server, "If-Match", f'W/"{made.meta.versionId}"'):
        made.active = True
        made.update(server)
        made.active = False
        with pytest.raises(requests.HTTPError) as refused:
            made.update(server)

    assert refused.value.response.status_code == 412
    assert OperationOutcome(refused.value.response.json()).issue[0].code == "conflict"
    assert Patient.read(made.id, server).active is True


def test_searches_chain_include_and_page(server, seen):
    chained = {"patient": {"$type": "Patient", "family": f"{WHO}-visit"}}

    pages = list(Observation.where({**chained, "_count": str(PAGE)}).perform_iter(server))
    assert [len(page.entry) for page in pages] == [PAGE, PAGE, FACTS % PAGE]
    found = {entry.resource.id for page in pages for entry in page.entry}
    assert found == {f"{WHO}-{n}" for n in range(FACTS)}

    search = Observation.where(chained | {"code": {"$or": ["http://loinc.org|72514-3", "x|y"]}})
    kinds = [
        type(resource)
        for resource in search.include("subject").include("performer").perform_resources_iter(server)
    ]
    assert (kinds.count(Observation), kinds.count(Patient), kinds.count(Practitioner)) == (FACTS, 1, 1)
    along = Patient.where({"_id": WHO}).include("subject", Observation, reverse=True)
    assert len(list(along.perform_resources_iter(server))) == FACTS + 1


def test_a_reference_is_followed(server, seen):
    fact = Observation.read(f"{WHO}-1", server)

    assert fact.subject.resolved(Patient).id == WHO
    assert fact.performer[0].resolved(Practitioner).name[0].family == "Berg"


def test_a_transaction_is_stored_once_and_a_batch_entry_by_entry(server, seen):
    assert {entry.response.status[:3] for entry in seen.entry} == {"201"}
    again = Bundle(Bundle(visit(WHO)).create(server))
    assert [each.response.location for each in again.entry] == [each.response.location for each in seen.entry]

    good, bad = Bundle(Bundle(both_kinds(WHO), strict=False).create(server)).entry
    assert (good.response.status[:3], bad.response.status[:3]) == ("201", "422")
    assert bad.response.outcome.issue[0].code == "code-invalid"


def test_operations_answer(server, seen, plan_id):
    record = Bundle.read_from(f"Patient/{WHO}/$everything", server)
    assert record.total == FACTS + 1

    answer = Parameters.read_from(f"CarePlan/{plan_id}/$why", server)
    assert {part.name for part in answer.parameter} >= {"stage", "way"}
    assert CarePlan.read(plan_id, server).status == "active"

    outcome = server.post_json("Patient/$validate", person(WHO, gender="m")).json()
    assert OperationOutcome(outcome).issue[0].code == "code-invalid"


def test_a_refusal_is_an_operation_outcome(server):
    with pytest.raises(requests.HTTPError) as refused:
        Patient(person(WHO, gender="m")).create(server)
    (issue,) = OperationOutcome(refused.value.response.json()).issue
    assert issue.expression == ["Patient.gender"]

    with pytest.raises(FHIRNotFoundException) as missing:
        Patient.read("nobody", server)
    assert OperationOutcome(missing.value.response.json()).issue[0].code == "not-found"
