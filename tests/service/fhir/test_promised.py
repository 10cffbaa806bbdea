"""A stored Bundle and the promise to evaluate its patient come together or not at all."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fhir_visits import bundle, decision, encounter, observation, patient, practitioner, put, visit
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.store import driver, parameters, promises, resources, sendings, standings

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


def store(tx, bundle, besides):
    entries = transaction.read(bundle)
    return transaction.store(
        tx, entries, tenant=0, sender="lab", base="", repeatable=True, besides=lambda told: besides(tx, told)
    )


def store_in(database, bundle, besides):
    with database.transaction() as tx:
        return store(tx, bundle, besides)


def write_down(tx, told):
    stored = [head.id for head in told.stored]
    sendings.add(
        tx, tenant=0, sender="besides", interaction="test", status=200, entries=len(stored), stored=stored
    )


def test_a_visit_waits_for_the_database_twice(database, tmp_path):
    """Once for what is there, and once for all that is written, with the commit."""
    said = tmp_path / "trace"
    store_in(database, visit("b0"), write_down)
    with database.transaction() as tx, said.open("wb") as file:
        driver.raw(tx).pgconn.trace(file.fileno())
        store(tx, visit("b1"), lambda tx, told: (write_down(tx, told), driver.commit_along(tx)))
        driver.raw(tx).pgconn.untrace()

    assert said.read_text().count("\tReadyForQuery\t") == 2


GET = {"request": {"method": "GET", "url": "Patient/b2"}}
DELETE = {"request": {"method": "DELETE", "url": "Observation/b3-2"}}


@pytest.mark.parametrize("entry", [None, GET, DELETE], ids=["only written", "read", "removed"])
def test_what_is_done_besides_is_told_what_becomes_of_the_visit(database, entry):
    store_in(database, visit("b2"), write_down)
    store_in(database, bundle(put(patient("b3")), put(observation("b3-2", "Patient/b3"))), write_down)
    sent = visit("b3", value=len(str(entry)))
    sent["entry"] += [entry] if entry else []
    told = []

    accepted = store_in(
        database, sent, lambda tx, accepted: (told.append(accepted), write_down(tx, accepted))
    )

    assert told == [accepted]
    assert {"b3", "b3-1"} <= {head.id for head in accepted.stored}
    assert len(accepted.response["entry"]) == len(sent["entry"])
    with database.transaction() as tx:
        newest = sendings.newest(tx, limit=1, tenant=0)[0]
        assert newest.stored == tuple(head.id for head in accepted.stored)
        assert resources.current(tx, "Observation", "b3-1", tenant=0)


@pytest.mark.parametrize("entry", [None, GET], ids=["only written", "read"])
def test_what_is_done_besides_and_fails_takes_the_visit_back(database, entry):
    store_in(database, visit("b2"), write_down)
    sent = visit("b4")
    sent["entry"] += [entry] if entry else []

    def fails(tx, _told):
        driver.raw(tx).execute("SELECT 1 / 0")
        driver.commit_along(tx)

    with pytest.raises(psycopg.errors.DivisionByZero):
        store_in(database, sent, fails)

    with database.transaction() as tx:
        assert resources.current(tx, "Patient", "b4", tenant=0) is None
    assert standing(database, "b4") is None
