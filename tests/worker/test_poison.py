"""One patient in a thousand kills every worker process that looks at it: the others are done, it is listed.

Safety SP-05. Real worker and sweep processes, a real broker; what kills is in `deadly_worker`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir_visits import bundle, observation, patient, put
from installations import alive, all_gone, descendants

from service import clock
from service.app import create_app
from service.fhir import transaction
from service.settings import Settings
from service.store import heartbeats, parameters, standings
from service.store.database import Database
from worker.advance import advance

ROOT = Path(__file__).parents[2]
PROGRAM = str(ROOT / "tests" / "deadly_worker.py")
PATIENTS = 1000
POISON = "poison-500"
#: three leases of ten seconds, and a thousand small evaluations on a busy machine
PATIENCE_S = 300

#: a test run that starts both processes as this one does, and waits
RUN = """
import subprocess, sys, time
for what in ("worker", "sweep"):
    subprocess.Popen([sys.executable, sys.argv[1], what, *sys.argv[2:]], start_new_session=True)
time.sleep(600)
"""


@pytest.fixture
def settings(database: Database, database_url: str, broker_url: str) -> Settings:
    with database.transaction() as tx:
        parameters.set_(tx, {"settle.minutes": 0}, "test", clock.now(tx))
    return Settings(database_url=database_url, broker_url=broker_url, worker_processes=2)


@pytest.fixture
def tally(tmp_path: Path) -> Path:
    return tmp_path / "deaths"


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
        "HIPWAY_WORKER_PROCESSES": "2",
    }


@pytest.fixture
def processes(
    environment: dict[str, str], tally: Path, tmp_path: Path
) -> Iterator[dict[str, subprocess.Popen]]:
    """A worker and a sweep in which the poison works."""
    running = {}
    with (tmp_path / "log").open("wb") as log:
        for what in ("worker", "sweep"):
            running[what] = subprocess.Popen(
                [sys.executable, PROGRAM, what, POISON, str(tally)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        yield running
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for process in running.values():
            process.wait(30)


def name(number: int) -> str:
    return POISON if number == 500 else f"patient-{number}"


def visit(number: int) -> dict:
    """A Bundle with one finding, small because a thousand of them are evaluated."""
    id_ = name(number)
    return bundle(put(patient(id_)), put(observation(f"{id_}-1", f"Patient/{id_}")))


def parked(database: Database) -> list[standings.Standing]:
    with database.transaction() as tx:
        return standings.parked(tx, tenant=0)


def standing(database: Database, who: str) -> standings.Standing:
    with database.transaction() as tx:
        found = standings.of_patient(tx, who, tenant=0)
    assert found is not None
    return found


def seen_s(database: Database, part: str) -> float:
    """Return how long ago the part was seen to work."""
    with database.transaction() as tx:
        _, age_s = heartbeats.ages(tx).get(part, (None, float("inf")))
    return age_s


def test_one_that_kills_its_worker_is_parked_after_three_attempts_and_999_are_done(
    database, settings, processes, tally
):
    for number in range(PATIENTS):
        transaction.accept(database, visit(number), sender="hospital")

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with database.transaction() as tx:
            waiting = standings.waiting(tx, clock.now(tx))
        if (waiting.count, waiting.parked) == (0, 1):
            break
        time.sleep(0.5)

    # It is listed with its reason, after three deaths and no more.
    (given_up,) = parked(database)
    assert given_up.patient == POISON
    assert given_up.failed_reason == "its workers were lost"
    assert len(tally.read_text().split()) == 3
    # Everybody else is done.
    others = [standing(database, name(number)) for number in range(PATIENTS) if name(number) != POISON]
    assert [one.patient for one in others if one.arrivals or one.done_at is None or one.failed_reason] == []
    # Both processes survive, and the worker has replaced the children it lost.
    assert {name: process.poll() for name, process in processes.items()} == {"worker": None, "sweep": None}
    children = alive(descendants(processes["worker"].pid))
    assert len([command for command in children.values() if "deadly_worker" in command]) == 2
    # People see it: on every page, and in the numbers that raise an alarm.
    client = create_app(settings, database).test_client()
    assert "1 patient is not evaluated." in client.get("/").text
    assert "hipway_promises_parked 1.0" in client.get("/metrics").text

    # A correction tries it again by itself; this time with a worker that survives it.
    transaction.accept(
        database,
        bundle(put(observation(f"{POISON}-1", f"Patient/{POISON}", valueInteger=5))),
        sender="hospital",
    )
    assert advance(database, 0, POISON)
    assert parked(database) == []


def test_a_test_run_that_is_killed_leaves_none_of_its_processes_behind(
    database, environment, tally, tmp_path
):
    begun = time.monotonic()
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, PROGRAM, POISON, str(tally)], env=environment, stdout=log, stderr=log
        )
    try:
        # The sweep has asked, and one of the worker's children has answered.
        while seen_s(database, heartbeats.WORKER) > time.monotonic() - begun:
            assert time.monotonic() < begun + PATIENCE_S
            time.sleep(0.1)
    finally:
        started = descendants(run.pid)
        run.kill()
        run.wait()

    left = all_gone(started, within_s=30)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    # The worker with its two children, and the sweep.
    assert len(started) >= 4
    assert left == {}
