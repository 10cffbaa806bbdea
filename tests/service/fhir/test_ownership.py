"""What the engine made is changed from outside only where the hospital knows more."""

from datetime import UTC, datetime

import pytest
from fhir_visits import bundle, patient, put, visit

from service.store import resources
from service.store.resources import Write

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)

TASK = {
    "resourceType": "Task",
    "id": "our-task",
    "status": "requested",
    "intent": "plan",
    "code": {"coding": [{"system": "ours", "code": "work"}]},
    "for": {"reference": "Patient/own"},
}
REQUEST = {
    "resourceType": "ServiceRequest",
    "status": "draft",
    "intent": "proposal",
    "subject": {"reference": "Patient/own"},
}
PROPOSAL = {**REQUEST, "id": "proposal"}
ORDER = {**REQUEST, "id": "order", "status": "active", "intent": "order"}


@pytest.fixture(autouse=True)
def _engine(database, send):
    assert send(visit("own")).status_code == 200
    ours = [
        Write(type=body["resourceType"], id=body["id"], body=body, patient="own", owned=True)
        for body in (TASK, PROPOSAL, ORDER)
    ]
    with database.transaction() as tx:
        resources.save(tx, ours, tenant=0, now=NOW)


def read(client, reference):
    return client.get(f"/fhir/{reference}").get_json()


@pytest.mark.parametrize(
    "change",
    [
        {"status": "in-progress"},
        {"businessStatus": {"text": "patient called"}},
        {"owner": {"reference": "Practitioner/x"}},
        {"output": [{"type": {"text": "result"}, "valueString": "done"}]},
        {"status": "completed", "lastModified": "2026-01-06T09:00:00Z"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_hospital_says_how_far_a_task_has_come(change, send, client, database):
    response = send(bundle(put({**TASK, **change})))

    assert response.status_code == 200, response.get_json()
    stored = read(client, "Task/our-task")
    assert {name: stored[name] for name in change} == change
    with database.transaction() as tx:
        assert resources.current(tx, "Task", "our-task", tenant=0).owned


def test_a_signed_order_is_completed_by_the_hospital(send, client):
    assert send(bundle(put({**ORDER, "status": "completed"}))).status_code == 200
    assert read(client, "ServiceRequest/order")["status"] == "completed"


@pytest.mark.parametrize(
    ("resource", "element"),
    [
        pytest.param({**TASK, "priority": "stat"}, "priority", id="another element of a task"),
        pytest.param({**TASK, "code": {"text": "else"}}, "code", id="what a task is"),
        pytest.param({**PROPOSAL, "status": "active"}, "status", id="signing a proposal"),
        pytest.param({**ORDER, "intent": "plan"}, "intent", id="what an order is"),
    ],
)
def test_the_rest_is_the_engines_and_the_answer_says_how_to_do_it(resource, element, send, nothing_stored):
    response = send(bundle(put(patient("own")), put(resource)))

    assert response.status_code == 403
    (issue,) = response.get_json()["issue"]
    assert issue["expression"] == [f"Bundle.entry[1].resource.{element}"]
    assert "send a completed Task" in issue["diagnostics"]


def test_sending_back_what_was_read_changes_nothing(send, client, nothing_stored):
    assert send(bundle(put(read(client, "Task/our-task")))).status_code == 200


def test_a_change_of_the_hospital_keeps_what_the_engine_wrote_meanwhile(send, client, database):
    echoed = read(client, "Task/our-task")
    with database.transaction() as tx:
        body = {**TASK, "status": "completed"}
        write = Write(type="Task", id="our-task", body=body, patient="own", owned=True)
        resources.save(tx, [write], tenant=0, now=NOW)

    send(bundle(put({**echoed, "businessStatus": {"text": "late"}})))

    assert read(client, "Task/our-task")["businessStatus"] == {"text": "late"}


def test_if_match_protects_what_changed_since_it_was_read(send, database):
    entry = put({**TASK, "status": "in-progress"})
    entry["request"]["ifMatch"] = 'W/"999"'

    assert send(bundle(entry)).status_code == 412


def test_the_engines_own_device_cannot_be_written_before_it_exists(send):
    device = {"resourceType": "Device", "id": "hipway-engine", "status": "inactive"}

    answer = send(bundle(put(device)))

    assert answer.status_code == 403
    assert answer.get_json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.id"]


def test_nobody_else_gives_a_plan_an_identifier_of_the_pathway(send):
    plan = {
        "resourceType": "CarePlan",
        "id": "look-alike",
        "identifier": [{"system": "https://w3id.org/hipway/sid/care-plan", "value": "own.pathway.right"}],
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/own"},
    }

    answer = send(bundle(put(patient("own")), put(plan)))

    assert answer.status_code == 403
    assert answer.get_json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.identifier"]
