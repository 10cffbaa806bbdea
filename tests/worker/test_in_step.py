"""Patients who wait at once are evaluated in step: each as if alone, and none for the failure of another.

Safety SP-05, SP-10, SP-14.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import playing
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service import broker, clock
from service.fhir import transaction
from service.settings import Settings
from service.store import decisions, parameters, promises, resources, standings
from service.store.database import Database
from worker import advance as advancing
from worker.advance import advance, advance_all

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
STORIES = ("V02", "V03", "V07", "V09", "V21")
PATIENTS = [(0, f"gmt-{story.lower()}") for story in STORIES]
MANY = 40
PATIENCE_S = 120


@pytest.fixture(autouse=True)
def _empty(database: Database) -> Iterator[None]:
    empty(database)
    with database.transaction() as tx:
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def empty(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))


def arrive(database: Database) -> None:
    """Take in the first visit of each story."""
    for story in STORIES:
        visit = playing.read(ROOT / "tests" / "stories" / f"{story}.json")["steps"][0]["bundle"]
        transaction.accept(database, visit, sender="hospital")


def made(database: Database, who: str) -> tuple[list[str], list[tuple]]:
    """Return what was written for a patient, and what was decided."""
    with database.transaction() as tx:
        (evaluation,) = decisions.of_patient(tx, who, tenant=0)
        written = tx.execute(
            text("SELECT type, id, version, body FROM resource WHERE patient = :who AND owned ORDER BY 1, 2"),
            {"who": who},
        )
        rows = [(row.instance, row.number, row.at, row.rule) for row in evaluation.rows]
        return [tuple(row) for row in written], [*rows, *evaluation.texts]


def found_by(database: Database) -> dict[str, list[tuple]]:
    """Return by what everything is found that is there, as often as it stands there."""
    asked = {
        "search_value": "name, system, value, part",
        "search_text": "name, folded, written, part",
        "search_date": "name, low::text, high::text, part",
        "search_number": "name, low, high, unit, part",
    }
    found = "SELECT r.type, r.id, {} FROM {} JOIN resource r USING (key) ORDER BY 1, 2, 3, 4, 5"
    with database.transaction() as tx:
        return {
            table: [tuple(row) for row in tx.execute(text(found.format(columns, table)))]
            for table, columns in asked.items()
        }


def transactions(database: Database) -> dict[str, set[str]]:
    """Return for each patient in which transactions anything was written for them."""
    with database.transaction() as tx:
        found = tx.execute(
            text("SELECT patient, xmin::text FROM resource WHERE owned AND patient IS NOT NULL")
        )
        numbers: dict[str, set[str]] = {}
        for patient, number in found:
            numbers.setdefault(patient, set()).add(number)
    return numbers


def standing(database: Database, who: str) -> standings.Standing:
    with database.transaction() as tx:
        found = standings.of_patient(tx, who, tenant=0)
    assert found is not None
    return found


def failing_for(monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    decide = advancing.decide

    def failing(pathway, case):
        if case.record.patient.id == who:
            raise ZeroDivisionError
        return decide(pathway, case)

    monkeypatch.setattr(advancing, "decide", failing)


def test_each_is_evaluated_as_if_alone(database):
    arrive(database)
    assert all(advance(database, *who) for who in PATIENTS)
    alone = {who: made(database, who) for _, who in PATIENTS}, found_by(database)
    assert len(set.union(*transactions(database).values())) == len(PATIENTS)
    empty(database)
    arrive(database)

    assert advance_all(database, PATIENTS) == set(PATIENTS)

    assert ({who: made(database, who) for _, who in PATIENTS}, found_by(database)) == alone
    assert len(set.union(*transactions(database).values())) == 1
    assert [standing(database, who).arrivals for _, who in PATIENTS] == [0] * len(PATIENTS)
    assert advance_all(database, PATIENTS) == set()


def test_who_has_been_due_for_longest_is_decided_about_first(database):
    arrive(database)
    due = [NOW - timedelta(days=days) for days in (1, 5, 3, 2, 4)]
    with database.transaction() as tx:
        for (_, who), at in zip(PATIENTS, due, strict=True):
            tx.execute(text("UPDATE arrival SET due_at = :at WHERE patient = :who"), {"at": at, "who": who})

    assert advance_all(database, PATIENTS) == set(PATIENTS)

    with database.transaction() as tx:
        decided = tx.execute(text("SELECT patient FROM decision ORDER BY key")).scalars()
        in_order = list(dict.fromkeys(decided))
    assert in_order == [who for _, (_, who) in sorted(zip(due, PATIENTS, strict=True))]


def test_one_that_fails_keeps_nothing_back_from_the_others(database, monkeypatch):
    arrive(database)
    (_, bad), *good = PATIENTS
    failing_for(monkeypatch, bad)

    assert advance_all(database, PATIENTS) == set(good)

    assert set(transactions(database)) == {who for _, who in good}
    assert [standing(database, who).failed_reason for _, who in good] == [None] * len(good)
    failed = standing(database, bad)
    # What was tried in step and then alone is one attempt.
    assert (failed.failed_reason, failed.attempts, failed.arrivals) == ("ZeroDivisionError", 1, 1)


def test_who_was_tried_before_is_evaluated_alone(database, monkeypatch):
    arrive(database)
    (_, tried), *_ = PATIENTS
    with monkeypatch.context() as patched:
        failing_for(patched, tried)
        assert not advance(database, 0, tried)
    with database.transaction() as tx:
        tx.execute(text("UPDATE promise SET retry_at = clock_timestamp()"))

    assert advance_all(database, PATIENTS) == set(PATIENTS)

    numbers = transactions(database)
    (alone,) = numbers.pop(tried)
    assert len(set.union(*numbers.values())) == 1
    assert alone not in set.union(*numbers.values())


def lapse(database: Database) -> None:
    """Let the leases and the pauses of all run out."""
    with database.transaction() as tx:
        tx.execute(
            text(
                "UPDATE promise SET lease_until = clock_timestamp(), retry_at = NULL WHERE parked_at IS NULL"
            )
        )


def test_one_that_kills_every_worker_costs_the_others_an_attempt_at_most_and_is_parked_alone(
    database, database_url
):
    arrive(database)
    (_, poison), *others = PATIENTS
    program = textwrap.dedent(f"""
        import os, signal
        from service.store.database import Database
        from worker import advance as module
        decide = module.decide
        def deadly(pathway, case):
            if case.record.patient.id == {poison!r}:
                os.kill(os.getpid(), signal.SIGKILL)
            return decide(pathway, case)
        module.decide = deadly
        module.advance_all(Database({database_url!r}), {PATIENTS!r})
    """)
    ends = []
    while not ends or ends[-1] != 0:
        assert len(ends) < 10
        run = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
        )
        ends.append(run.returncode)
        attempts = {who: standing(database, who).attempts for _, who in others}
        assert max(attempts.values()) <= 1
        lapse(database)

    assert ends == [-signal.SIGKILL] * 3 + [0]
    assert set(transactions(database)) == {who for _, who in others}
    with database.transaction() as tx:
        assert [one.patient for one in standings.parked(tx, tenant=0)] == [poison]


@pytest.fixture
def impatient(database_url: str) -> Iterator[Database]:
    """The database for one who waits for locks as long as two seconds."""
    opened = Database(database_url, lock_timeout_s=2)
    yield opened
    opened.close()


def test_whoever_stands_still_with_a_promise_holds_up_nobody_else(database, impatient, database_url):
    arrive(database)
    (_, stuck), *others = PATIENTS
    with psycopg.connect(database_url) as holding:
        holding.execute("INSERT INTO promise (tenant, kind, patient) VALUES (0, 'advance', %s)", [stuck])
        holding.commit()
        holding.execute("SELECT FROM promise WHERE patient = %s FOR UPDATE", [stuck])
        assert advance_all(impatient, PATIENTS) == set(others)
    assert standing(database, stuck).attempts == 0
    # Together, because nobody waited for the one.
    assert len(set.union(*transactions(database).values())) == 1
    assert advance_all(impatient, PATIENTS) == {(0, stuck)}


@pytest.mark.parametrize("ends", ["keeps it", "renews it"])
def test_a_worker_that_is_late_with_the_last_attempt_is_not_overtaken_in_step(database, database_url, ends):
    arrive(database)
    (_, late), *others = PATIENTS
    with database.transaction() as tx:
        claim = promises.claim(tx, tenant=0, patient=late, max_lost=3)
        tx.execute(text("UPDATE promise SET attempts = 3, lease_until = clock_timestamp()"))
    slow = Database(database_url, pool_size=1)
    with slow.transaction() as tx:
        if ends == "keeps it":
            promises.settle_done(tx, claim)
        else:
            promises.renew(tx, claim, 30)
        begun = time.monotonic()
        claimed = advancing._claimed(database, PATIENTS, untried=True)
        assert time.monotonic() - begun < 0.5
    slow.close()

    assert [one.patient for one in claimed] == [who for _, who in others]
    found = standing(database, late)
    assert (found.parked_at, found.failed_reason) == (None, None)
    assert found.arrivals == (0 if ends == "keeps it" else 1)


def test_whoever_holds_a_patient_holds_up_the_others_for_half_a_second(database, impatient, database_url):
    arrive(database)
    (_, stuck), *others = PATIENTS
    with psycopg.connect(database_url) as holding:
        holding.execute("SELECT FROM resource WHERE type = 'Patient' AND id = %s FOR UPDATE", [stuck])
        begun = time.monotonic()
        assert advance_all(impatient, [*others, (0, stuck)]) == set(others)
        assert time.monotonic() - begun < 20
    held = standing(database, stuck)
    assert (held.attempts, held.failed_reason) == (0, "LockNotAvailable")
    lapse(database)
    # It failed before: it is not among those that go in step.
    assert advance_all(impatient, PATIENTS) == {(0, stuck)}


def deadlocks(owner: Database) -> int:
    with owner.transaction() as tx:
        asked = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return tx.execute(asked).scalar_one()


def test_many_who_are_woken_for_the_same_patients_never_wait_in_a_circle(database, owner):
    arrive(database)
    before = deadlocks(owner)
    until, failed = time.monotonic() + 6, list[DBAPIError]()

    def go_on() -> None:
        while time.monotonic() < until:
            with database.transaction() as tx:
                for number, (_, who) in enumerate(PATIENTS):
                    # Due in the reverse order of their names.
                    promises.want(tx, who, tenant=0, due_at=NOW - timedelta(hours=number), forced=True)
            try:
                advance_all(database, PATIENTS)
            except DBAPIError as error:
                failed.append(error)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(1.2)

    assert failed == []
    assert deadlocks(owner) == before
    assert advance_all(database, PATIENTS) <= set(PATIENTS)
    assert [standing(database, who).arrivals for _, who in PATIENTS] == [0] * len(PATIENTS)


def test_a_lease_that_is_lost_in_step_leaves_the_others_theirs(database, monkeypatch):
    arrive(database)
    (_, lost), *others = PATIENTS
    decide = advancing.decide

    def losing(pathway, case):
        if case.record.patient.id == lost:
            with database.transaction() as tx:
                tx.execute(
                    text("UPDATE promise SET leased_by = gen_random_uuid() WHERE patient = :who"),
                    {"who": lost},
                )
        return decide(pathway, case)

    monkeypatch.setattr(advancing, "decide", losing)

    assert advance_all(database, PATIENTS) == set(others)
    assert set(transactions(database)) == {who for _, who in others}


def test_of_those_for_whom_there_is_nothing_to_do_nothing_is_done(database):
    arrive(database)
    first, *others = PATIENTS
    assert advance(database, *first)

    assert advance_all(database, [*PATIENTS, (0, "unknown")]) == set(others)

    with database.transaction() as tx:
        assert len(decisions.of_patient(tx, first[1], tenant=0)) == 1
        assert standings.of_patient(tx, "unknown", tenant=0) is None


@pytest.fixture
def settings(database: Database, database_url: str, broker_url: str) -> Settings:
    with database.transaction() as tx:
        clock.unset(tx)
        parameters.set_(tx, {"settle.minutes": 0}, "test", clock.now(tx))
    return Settings(database_url=database_url, broker_url=broker_url, worker_processes=1)


def test_a_worker_with_a_backlog_evaluates_some_in_step_and_all_of_them_once(
    database, settings, broker_url, tmp_path
):
    broker._line(broker_url)[1].delete(broker.QUEUE)
    visit = playing.read(ROOT / "tests" / "stories" / "V09.json")["steps"][0]["bundle"]
    patients = []
    for number in range(MANY):
        bundle = playing.renamed(visit, {"v09": f"v09-{number}", "GMT-1009": f"v09-{number}"})
        stored = transaction.accept(database, bundle, sender="hospital")
        patients.append(stored.patient)
        broker.wake(settings, 0, stored.patient)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "PYTHONPATH": str(ROOT),
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
        "HIPWAY_WORKER_PROCESSES": "1",
    }
    with (tmp_path / "log").open("wb") as said:
        worker = subprocess.Popen(
            [sys.executable, "-m", "worker", "worker"], env=environment, stdout=said, stderr=said, cwd=ROOT
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while any(standing(database, who).arrivals for who in patients):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)

    with database.transaction() as tx:
        assert {len(decisions.of_patient(tx, who, tenant=0)) for who in patients} == {1}
        orders = {
            len(resources.of_patient(tx, who, tenant=0, types=("ServiceRequest",), owned=True))
            for who in patients
        }
    assert len(orders) == 1
    together = set.union(*transactions(database).values())
    assert MANY / 4 <= len(together) <= MANY / 2
