"""A stored Bundle and the promise to evaluate its patient come together or not at all."""

from datetime import UTC, datetime, timedelta

import pytest
from fhir_visits import bundle, decision, encounter, practitioner, put, visit
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.store import parameters, promises, standings

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_waits(database):
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise"))
        clock.set_(tx, NOW, held=True)


def standing(database, patient):
    with database.transaction() as tx:
        return standings.of_patient(tx, patient, tenant=0)


def test_a_visit_is_promised_after_the_settle_window(send, database):
    response = send(visit("p1"))

    assert standing(database, "p1").due_at == NOW + timedelta(minutes=10)
    assert response.headers["Evaluation-Due"] == "2026-01-05T09:10:00.000Z"


def test_the_window_is_a_parameter_of_the_site(send, database):
    with database.transaction() as tx:
        parameters.set_(tx, {"settle.minutes": 3}, "someone", NOW)
    send(visit("p2"))
    with database.transaction() as tx:
        parameters.set_(tx, {}, "someone", NOW)

    assert standing(database, "p2").due_at == NOW + timedelta(minutes=3)


def test_a_finished_encounter_is_due_now(send, database):
    content = visit("p3")
    content["entry"].append(put(encounter("Patient/p3", id_="p3-e")))
    send(content)

    assert standing(database, "p3").due_at == NOW


def test_what_changes_nothing_promises_nothing(send, database):
    send(visit("p4"))
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival"))

    send(visit("p4"))

    assert standing(database, "p4") is None


def test_people_alone_promise_nothing(send, database):
    assert send(bundle(put(practitioner("alone")))).status_code == 200
    with database.transaction() as tx:
        assert standings.waiting(tx, NOW + timedelta(days=1)).count == 0


def test_a_decision_is_due_now(send, database):
    send(visit("p5"))
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival"))
    task = {**decision("Patient/p5", "ServiceRequest/x"), "id": "p5-t"}

    send(bundle(put(task)))

    assert standing(database, "p5").due_at == NOW


def test_a_crash_after_the_writes_leaves_neither_data_nor_promise(database, monkeypatch, nothing_stored):
    def crashes(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(promises, "want", crashes)
    with pytest.raises(KeyboardInterrupt):
        transaction.accept(database, visit("p6"), sender="test")

    assert standing(database, "p6") is None


def test_what_a_pathway_calls_urgent_is_due_now(send, database):
    gluteus = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
    content = visit("p7")
    content["entry"][1]["resource"] |= {
        "code": {"coding": [{"system": gluteus, "code": "red-flag-infection"}]}
    }
    del content["entry"][1]["resource"]["valueInteger"]
    content["entry"][1]["resource"]["valueBoolean"] = True

    send(content)

    assert standing(database, "p7").due_at == NOW
