"""The process that delivers: it finds what there is, and is started again when it is lost."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hospital_server
import playing
import pytest
from hospital_server import Asked, HospitalServer, answering
from sqlalchemy import Connection as Transaction
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.hospital import returning
from service.hospital.connection import Connection
from service.hospital.settings import Hospital
from service.settings import Settings
from service.store import circuits, heartbeats, resources
from service.store.database import Database
from service.store.resources import Write
from worker import beside, rounds
from worker.advance import advance
from worker.courier import Courier
from worker.pulse import Pulse
from worker.rounds import Rounds

STORY = playing.read(Path(__file__).parents[1] / "stories" / "V03.json")
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
PATIENT = "gmt-v03"
#: a process is started and reads the record, on a slow machine
START_S = 60


@pytest.fixture
def server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        yield started


@pytest.fixture(autouse=True)
def _visited(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tables = "arrival, promise, decision, history, resource, delivery, dispatch, delivered, circuit"
        tx.execute(text(f"TRUNCATE {tables} CASCADE"))
        clock.set_(tx, NOW, held=False)
    transaction.accept(database, STORY["steps"][0]["bundle"], sender="hospital")
    assert advance(database, 0, PATIENT)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def count(database: Database, rows: str) -> int:
    with database.transaction() as tx:
        return tx.execute(text(f"SELECT count(*) FROM {rows}")).scalar_one()


def forget(database: Database, type_: str) -> None:
    """Have it look as if nothing of this type had been acknowledged."""
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM delivered WHERE type = :type"), {"type": type_})


OUTPUTS = "resource WHERE owned AND type <> 'AuditEvent'"


def test_it_delivers_and_is_started_again_after_it_was_killed(database, database_url, server):
    settings = Settings(database_url=database_url, hospital=Hospital(url=server.url, rate=1000))
    kept = Courier(settings)
    try:
        kept.keep(0.0)
        until(lambda: count(database, "delivered") == count(database, OUTPUTS))
        # What a killed process holds is left alone until its lease ends.
        until(lambda: count(database, "delivery WHERE NOT pending AND leased_by IS NULL") == 1)
        first = kept.pid
        assert first
        os.kill(first, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{first}").exists() or kept._process.exitcode is not None)
        kept.keep(beside.AGAIN_S - 1)
        assert kept.pid == first
        forget(database, "CarePlan")

        kept.keep(beside.AGAIN_S)

        assert kept.pid != first
        until(lambda: count(database, "delivered") == count(database, OUTPUTS))
        assert {len(versions) for versions in server.record.values()} == {1}
    finally:
        kept.close()
    assert kept.pid is None


def test_without_a_hospital_there_is_no_process(database_url):
    kept = Courier(Settings(database_url=database_url))

    kept.keep(0.0)

    assert kept.pid is None


@pytest.fixture
def going(database: Database, server: HospitalServer) -> Iterator[Rounds]:
    hospital = Hospital(url=server.url, rate=1000, poll_s=60)
    with Connection(hospital) as connection:
        yield Rounds(database, connection, hospital, lambda: 0.0, Pulse(heartbeats.COURIER))


def rewrite(tx: Transaction, type_: str) -> str:
    """Write a new version of one output, as the engine does, and return which."""
    head = resources.of_patient(tx, PATIENT, tenant=0, types=[type_], owned=True)[0]
    body = {**head.resource, "language": "en"}
    write = Write(type=type_, id=head.id, body=body, patient=PATIENT, owned=True)
    seen = resources.look_up_or_lock(tx, [write], tenant=0)
    resources.save(tx, [write], tenant=0, now=NOW, sender="hipway-engine", seen=seen)
    return head.reference


def test_a_question_the_server_cannot_answer_does_not_keep_it_from_the_others(database, going, server):
    def searched() -> list[str]:
        return [asked.path.split("/")[-2] for asked in server.asked if asked.path.endswith("/_search")]

    def breaking_down(asked: Asked) -> object:
        return asked.answer(500, {}) if "ServiceRequest/_search" in asked.path else hospital_server.WELL

    server.mood = breaking_down
    for moment in (0.0, 1.0, 61.0, 62.0, 122.0):
        going.round(moment)

    assert searched() == ["ServiceRequest", "Task", "ServiceRequest"]


def test_what_is_open_is_asked_for_in_parts(database, going, server, monkeypatch):
    monkeypatch.setattr(returning, "TOGETHER", 1)
    going.round(0.0)
    for moment in range(1, 20):
        going.round(float(moment))

    asked = [a for a in server.asked if a.path.endswith("/_search")]
    assert len(asked) == count(database, "resource WHERE owned AND type IN ('Task', 'ServiceRequest')") > 2
    assert len({a.content for a in asked}) == len(asked)


def test_each_round_says_that_the_courier_lives(database, owner, going):
    with owner.transaction() as tx:
        tx.execute(text("DELETE FROM heartbeat"))

    going.round(0.0)

    with database.transaction() as tx:
        assert set(heartbeats.ages(tx)) == {heartbeats.COURIER}


def test_a_question_that_hangs_follows_a_sign_of_life(server):
    told = []
    hospital = Hospital(url=server.url, rate=1000)
    with Connection(hospital, before=lambda: told.append(len(server.asked))) as connection:
        connection.read("Patient", "p1")
        connection.search("Task", {"_id": "t1"})
    assert told == [0, 1]


def test_what_was_committed_late_is_found_though_its_number_is_older(database, going, server):
    # Both looks at everything are over; what is found from here on is found by its number.
    going.round(0.0)
    going.round(rounds.LATE_S)
    with database.transaction() as late:
        task = rewrite(late, "Task")
        with database.transaction() as early:
            plan = rewrite(early, "CarePlan")
        going.round(rounds.LATE_S + 1)
        assert [len(server.record[of]) for of in (plan, task)] == [2, 1]

    going.round(rounds.LATE_S + 2)

    assert [len(server.record[of]) for of in (plan, task)] == [2, 2]


def test_everything_is_looked_at_again_now_and_then(database, going):
    for moment in (0.0, rounds.LATE_S, 2 * rounds.LATE_S):
        going.round(moment)
    forget(database, "CarePlan")

    going.round(3 * rounds.LATE_S)
    assert count(database, "delivered WHERE type = 'CarePlan'") == 0
    going.round(rounds.LATE_S + rounds.WHOLE_S)
    assert count(database, "delivered WHERE type = 'CarePlan'") == 1


def test_the_hospital_is_asked_as_often_as_it_is_set_and_left_alone_when_it_answers_badly(
    database, going, server
):
    def searches() -> int:
        return sum(asked.path.endswith("/_search") for asked in server.asked)

    # One question in a round: what is to be sent does not wait behind all of them.
    going.round(0.0)
    assert searches() == 1
    going.round(5.0)
    assert searches() == 2
    # The pause begins when everything was asked for.
    going.round(6.0)
    going.round(65.0)
    assert searches() == 2

    server.mood = answering(500)
    for start in (66.0, 127.0, 188.0, 249.0):
        going.round(start)
        going.round(start + 1)

    assert searches() == 5
    with database.transaction() as tx:
        left = circuits.read(tx, "return", tenant=0, server=server.url)
    assert (left.failures, left.answer, left.open_until is not None) == (3, "server-error", True)
