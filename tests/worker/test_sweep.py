"""The sweep alone: without broker and workers, patients come before exports, and it is seen to live."""

import time
from itertools import count
from types import SimpleNamespace

import pytest
from fhir_visits import LOCAL, TENDERNESS, bundle, concept, observation, patient, put
from installations import free_port
from sqlalchemy import text

from service import clock
from service.app import create_app
from service.automation import LIMITS_S
from service.fhir import transaction
from service.settings import Settings
from service.store import heartbeats, open_plans, parameters, previews, resources
from service.store.previews import Question
from service.store.resources import Write
from worker.sweep import COMPARED_S, COMPARED_SHARE, Sweep


@pytest.fixture
def alone(database, owner, database_url):
    """Settings with a broker that is not there; nothing is stored, and nobody waits."""
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE export, export_chunk, preview, preview_effect"))
        tx.execute(text("TRUNCATE resource, history, arrival, promise, heartbeat"))
        parameters.set_(tx, {"settle.minutes": 0}, "test", clock.now(tx))
    return Settings(database_url=database_url, broker_url=f"redis://127.0.0.1:{free_port()}/0")


@pytest.fixture
def sweep(alone, database):
    made = Sweep(alone, database)
    yield made
    made.close()


@pytest.fixture
def ask(alone, database):
    """Ask for so many exports."""
    client = create_app(alone, database).test_client()

    def ask(number):
        for _ in range(number):
            answer = client.get("/fhir/$export", headers={"Prefer": "respond-async"})
            assert answer.status_code == 202

    return ask


@pytest.fixture
def written(database):
    """Return how many exports are written."""

    def written():
        with database.transaction() as tx:
            return tx.execute(text("SELECT count(*) FROM export WHERE outcome = 'finished'")).scalar_one()

    return written


def test_one_export_is_written_in_a_round_and_the_next_in_the_next(sweep, ask, written):
    ask(3)

    seen = []
    for moment in (0.0, 2.0, 4.0):
        sweep.round(moment)
        seen.append(written())

    assert seen == [1, 2, 3]


@pytest.fixture
def tried(database):
    """Ask for a preview of one patient, and return how it ended."""
    visit = bundle(put(patient("a")), put(observation("a-1", "Patient/a", code=concept("TENDER"))))
    transaction.accept(database, visit, sender="hospital")
    system, _, code = TENDERNESS.partition("|")
    question = Question(source=(LOCAL, "TENDER"), target=(system, code), gives=True)
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM arrival"))
        previews.ask(tx, question, ["a"], by="", maps="", seen_at=clock.now(tx), anew=True, tenant=0)

    def tried():
        with database.transaction() as tx:
            found = previews.find(tx, question.id, tenant=0)
        return found.outcome, found.gone

    return tried


def test_a_preview_goes_on_without_workers(sweep, tried):
    sweep.round(0.0)

    assert tried() == ("finished", 1)


def test_exports_keep_no_preview_from_its_step(sweep, ask, written, tried):
    ask(3)

    for moment in (0.0, 2.0):
        sweep.round(moment)

    assert (tried(), written()) == (("finished", 1), 1)


def test_no_export_is_written_in_a_round_that_has_patients_to_evaluate(sweep, ask, written, database):
    ask(1)
    visit = bundle(put(patient("a")), put(observation("a-1", "Patient/a")))
    transaction.accept(database, visit, sender="hospital")

    due = sweep.round(0.0)
    beside_a_patient = written()
    sweep.round(2.0)

    assert (due, beside_a_patient, written()) == (1, 0, 1)


def test_a_sweep_that_writes_an_export_late_in_its_round_is_seen_to_live(sweep, ask, database, monkeypatch):
    ask(1)

    def take_a_minute(_self, _moment):
        with database.transaction() as tx:
            tx.execute(text("UPDATE heartbeat SET seen_at = seen_at - interval '1 minute'"))

    monkeypatch.setattr(Sweep, "_tell", take_a_minute)
    sweep.round(0.0)

    with database.transaction() as tx:
        _, age_s = heartbeats.ages(tx)[heartbeats.SWEEP]
    assert age_s < LIMITS_S["sweep"]


def test_a_round_keeps_short_what_is_summed_to_know_how_many_plans_are_open(sweep, database):
    with database.transaction() as tx:
        writes = [
            Write(
                type="CarePlan",
                id=f"c-{n}",
                body={"resourceType": "CarePlan", "status": "active"},
                patient="p",
                owned=True,
            )
            for n in range(open_plans.FEW + 1)
        ]
        resources.save(tx, writes, tenant=0, now=clock.now(tx))

    sweep.round(0.0)

    with database.transaction() as tx:
        assert tx.execute(text("SELECT change FROM open_plan")).scalars().all() == [open_plans.FEW + 1]
        assert open_plans.count(tx, tenant=0) == open_plans.FEW + 1


def test_identifiers_are_compared_now_and_then_and_the_more_there_are_the_more_rarely(
    sweep, database, monkeypatch
):
    def marked():
        with database.transaction() as tx:
            found = tx.execute(text("SELECT value FROM search_value WHERE name = '_shared'"))
            return sorted(found.scalars())

    def stored(id_, mrn):
        transaction.accept(database, bundle(put(patient(id_, mrn=mrn))), sender="hospital")

    stored("twin-1", "7")
    stored("twin-2", "7")
    sweep.round(0.0)
    first = marked()
    stored("twin-3", "8")
    stored("twin-4", "8")
    sweep.round(COMPARED_S - 1)
    soon = marked()
    # A second passes from each look at the clock to the next.
    seconds = count(100.0)
    monkeypatch.setattr("worker.sweep.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    sweep.round(COMPARED_S)
    later = marked()
    stored("twin-5", "9")
    stored("twin-6", "9")
    monkeypatch.setattr("worker.sweep.time", time)
    for moment in (3 * COMPARED_S, COMPARED_S + COMPARED_SHARE - 1):
        sweep.round(moment)
        assert marked() == later

    assert (first, soon, later) == (["7", "7"], ["7", "7"], ["7", "7", "8", "8"])
    sweep.round(COMPARED_S + COMPARED_SHARE)
    assert marked() == ["7", "7", "8", "8", "9", "9"]
