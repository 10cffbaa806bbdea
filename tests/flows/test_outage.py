"""Thirty days without a worker: every clock that ran out fires once, in order, and how late it is is kept.

Safety SP-10. Timers are conditions on the present (clinical-rules 2.3): after a pause each patient is
evaluated once, at the present time. What that has to lead to is asked of the machine alone.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import playing
import pytest
from sqlalchemy import text

from service import broker, clock
from service.fhir import transaction
from service.settings import Settings
from service.store import decisions, heartbeats, resources, standings
from service.store.database import Database

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "tests" / "stories"

#: one treated already, who is urgently diverted on the day before the outage
DIVERTED = "V70"
#: seen for the first time on that day: an urgent order to sign, and two routine ones
SEEN = ("V66", "V65", "V69")
FIRST = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
BEFORE = datetime(2026, 1, 10, 9, 15, tzinfo=UTC)
AFTER = BEFORE + timedelta(days=30)

#: what the clocks that ran out meanwhile ask for, besides what else such a time brings
OVERDUE = {
    "V70": {"R:TK:divert-unacknowledged(emergency)", "R:CM:on-call-alert"},
    "V66": {"R:TK:signature-overdue(sign-imaging)"},
    "V65": {"R:TK:signature-overdue(sign-physiotherapy)"},
    "V69": {"R:TK:signature-overdue(sign-imaging)"},
}

#: on a busy machine
PATIENCE_S = 180


def story(name: str) -> dict:
    return playing.read(STORIES / f"{name}.json")


def visit(name: str, step: int = 0) -> dict:
    return story(name)["steps"][step]["bundle"]


def patient(name: str) -> str:
    return f"gmt-{name.lower()}"


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url)


@contextmanager
def running(settings: Settings, database: Database, log: Path) -> Iterator[None]:
    """Run one worker and the sweep for a block, and kill them at its end: an outage gives no notice."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "PYTHONPATH": str(ROOT),
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
    }
    processes = []

    def start(what: str) -> None:
        command = [sys.executable, "-m", "worker", what]
        with log.open("ab") as said:
            processes.append(
                subprocess.Popen(command, env=environment, stderr=said, stdout=said, start_new_session=True)
            )

    try:
        start("worker")
        _until_it_answers(settings, database)
        start("sweep")
        yield
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_it_answers(settings: Settings, database: Database) -> None:
    """Wait for the worker, so that the sweep finds it and the order of its work is the sweep's."""
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM heartbeat"))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        broker.ask_for_beat(settings, expires_s=5)
        time.sleep(0.5)
        with database.transaction() as tx:
            if heartbeats.WORKER in heartbeats.ages(tx):
                return
    raise AssertionError("the worker does not answer")


def until_nothing_is_due(database: Database) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with database.transaction() as tx:
            rows = tx.execute(text("SELECT count(*) FROM promise WHERE lease_until IS NOT NULL")).scalar_one()
            waiting = standings.waiting(tx, clock.now(tx))
        if waiting.count == rows == 0:
            return
        time.sleep(0.2)
    raise AssertionError("something is still due")


def alone(name: str) -> set[str]:
    """Return what the machine alone raises when it is asked once after the outage."""
    game = playing.Play()
    if name == DIVERTED:
        game.receive(visit(name), FIRST)
        game.evaluate(FIRST)
        game.receive(visit(name, 2), BEFORE)
    else:
        game.receive(visit(name), BEFORE)
    game.evaluate(BEFORE)
    outcome, _ = game.evaluate(AFTER)
    assert set(playing.told(outcome).values()) <= {1}
    return set(playing.told(outcome))


def log_since(database: Database, at: datetime) -> list[decisions.Row]:
    """Return the decisions made at the moment, of all patients, in the order in which they were made."""
    with database.transaction() as tx:
        runs = tx.execute(
            text("SELECT run, min(key) FROM decision WHERE at = :at GROUP BY run ORDER BY 2"), {"at": at}
        )
        return [row for run in runs.all() for row in decisions.of_run(tx, run.run)]


def told(rows: list[decisions.Row]) -> set[str]:
    """Return what was raised, as stories write it; nothing is raised twice."""
    raised = Counter(
        f"{row.instance[0].upper()}:{one['shorthand']}" if row.instance else one["shorthand"]
        for row in rows
        for one in row.basis["outputs"]
    )
    assert set(raised.values()) <= {1}
    return set(raised)


def due_at(database: Database) -> dict[str, datetime]:
    """Return when each patient has to be looked at next, soonest first."""
    with database.transaction() as tx:
        rows = tx.execute(text("SELECT patient, due_at FROM promise ORDER BY due_at"))
        return {row.patient: row.due_at for row in rows}


def everything(database: Database) -> list[tuple[str, int]]:
    with database.transaction() as tx:
        types = ("CarePlan", "ServiceRequest", "Task", "CommunicationRequest", "Flag", "Provenance")
        return [
            (stored.reference, stored.version)
            for name in (DIVERTED, *SEEN)
            for stored in resources.of_patient(tx, patient(name), tenant=0, types=types, owned=True)
        ]


def set_clock(database: Database, now: datetime) -> None:
    with database.transaction() as tx:
        clock.set_(tx, now, held=False)


def test_after_thirty_days_every_clock_fires_once_in_order_and_says_how_late(database, settings, tmp_path):
    log = tmp_path / "log"
    set_clock(database, FIRST)
    transaction.accept(database, visit(DIVERTED), sender="hospital")
    with running(settings, database, log):
        until_nothing_is_due(database)
        set_clock(database, BEFORE)
        transaction.accept(database, visit(DIVERTED, 2), sender="hospital")
        for name in SEEN:
            transaction.accept(database, visit(name), sender="hospital")
        until_nothing_is_due(database)
    should_be = due_at(database)
    assert len(should_be) == 1 + len(SEEN)
    log.unlink()

    # The outage: thirty days pass, and whoever asks is told how much waits, and since when.
    set_clock(database, AFTER)
    with database.transaction() as tx:
        waiting = standings.waiting(tx, AFTER)
    assert (waiting.count, waiting.oldest_due_at) == (len(should_be), min(should_be.values()))
    with running(settings, database, log):
        until_nothing_is_due(database)
        once = everything(database)
        rows = log_since(database, AFTER)
        # Two more rounds of the sweep: nothing fires again.
        time.sleep(5)
        assert everything(database) == once

    # Once: one evaluation of each patient, which raises what the machine alone does.
    runs = {row.patient: row.run for row in rows}
    assert len({row.run for row in rows}) == len(runs) == len(should_be)
    for name in (DIVERTED, *SEEN):
        of = [row for row in rows if row.patient == patient(name)]
        assert told(of) == {one for one in alone(name) if ":AU:" not in one}
        assert told(of) >= OVERDUE[name]
    # In order: who should have been looked at first is.
    assert list(dict.fromkeys(row.patient for row in rows)) == list(should_be)
    # Late: each decision says when it should have been made, and so does the log of the process.
    assert {row.patient: row.basis["due"] for row in rows} == {
        who: at.isoformat() for who, at in should_be.items()
    }
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    evaluated = {line["patient"]: line["late_s"] for line in lines if line["event"] == "evaluated"}
    assert evaluated == {who: (AFTER - at).total_seconds() for who, at in should_be.items()}
