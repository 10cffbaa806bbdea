"""A worker process that is killed on a line of its work leaves all of it or none of it.

Promises 1 and 2 of the design; safety SP-02, SP-12.
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import playing
import pytest
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.store import resources, standings
from service.store.database import Database
from worker.advance import advance, advance_all

ROOT = Path(__file__).parents[2]
STORY = playing.read(ROOT / "tests" / "stories" / "V03.json")
PATIENT = "gmt-v03"
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
KILLED = -9

#: where the process ends: while deciding, rendering, saving, logging, settling, and before the commit
LINES = [
    "decide",
    "render",
    "resources.preparing",
    "resources.ask_to_write",
    "decisions.append",
    "promises.ask_to_settle",
    "_evaluate",
]


@pytest.fixture(autouse=True)
def _a_visit(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))
        clock.set_(tx, NOW, held=False)
    transaction.accept(database, STORY["steps"][0]["bundle"], sender="hospital")
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def killed_at(line: str, url: str, patients: list[tuple[int, str]], *, after: bool) -> int:
    """Run a worker's work in a process of its own that kills itself at this call."""
    program = textwrap.dedent(f"""
        import inspect, os, signal
        from service.store.database import Database
        from worker import advance as module
        holder = module
        *path, name = {line!r}.split(".")
        for part in path:
            holder = getattr(holder, part)
        original = getattr(holder, name)
        def deadly(*args, **more):
            if {after!r}:
                original(*args, **more)
            os.kill(os.getpid(), signal.SIGKILL)
        def deadly_work(*args, **more):
            if {after!r}:
                yield from original(*args, **more)
            os.kill(os.getpid(), signal.SIGKILL)
            yield
        setattr(holder, name, deadly_work if inspect.isgeneratorfunction(original) else deadly)
        module.advance_all(Database({url!r}), {patients!r})
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode


def owned(database: Database, who: str = PATIENT) -> list[str]:
    with database.transaction() as tx:
        types = ("CarePlan", "ServiceRequest", "Task", "CommunicationRequest")
        return [s.reference for s in resources.of_patient(tx, who, tenant=0, types=types, owned=True)]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_is_killed_in_step_leaves_nothing_half_done_of_anybody(
    database, database_url, line, after
):
    transaction.accept(
        database, playing.read(ROOT / "tests" / "stories" / "V09.json")["steps"][0]["bundle"], sender="h"
    )
    both = [(0, PATIENT), (0, "gmt-v09")]

    assert killed_at(line, database_url, both, after=after) == KILLED

    for _, who in both:
        assert owned(database, who) == []
        with database.transaction() as tx:
            standing = standings.of_patient(tx, who, tenant=0)
            assert (standing.attempts, standing.arrivals) == (1, 1)
            tx.execute(text("UPDATE promise SET lease_until = clock_timestamp()"))
    assert advance_all(database, both) == set(both)
    assert all(owned(database, who) for _, who in both)
    assert advance_all(database, both) == set()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("line", LINES)
def test_a_killed_worker_leaves_nothing_half_done_and_the_next_does_it_once(
    database, database_url, line, after
):
    assert killed_at(line, database_url, [(0, PATIENT)], after=after) == KILLED
    assert owned(database) == []
    with database.transaction() as tx:
        standing = standings.of_patient(tx, PATIENT, tenant=0)
        # What died had counted its attempt and holds the lease until it runs out.
        assert (standing.attempts, standing.arrivals) == (1, 1)
        assert standing.lease_until is not None
        tx.execute(text("UPDATE promise SET lease_until = clock_timestamp()"))

    assert advance(database, 0, PATIENT)

    once = owned(database)
    assert sum(reference.startswith("ServiceRequest/") for reference in once) == 2
    assert not advance(database, 0, PATIENT)
    assert owned(database) == once
