"""Many workers with one message, and workers that come back from the dead: at most one order of each.

Safety SP-12: at most one active order per patient, pathway, side and step, whatever the queue delivers,
whoever holds a lease and for how long. The last word is the database's: the ids of outputs and the numbers
of decisions are unique.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import playing
import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.store import decisions, promises, resources, standings
from service.store.database import Database
from worker import advance as advancing
from worker.advance import advance

ROOT = Path(__file__).parents[2]
STORY = playing.read(ROOT / "tests" / "stories" / "V03.json")
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
WORKERS = 64
ROUNDS = 100
#: in every such round the worker that is first loses its lease while it works
LOST_EVERY = 4


@pytest.fixture(scope="module")
def busy(database_url: str) -> Iterator[Database]:
    """As many connections as four worker machines would have."""
    opened = Database(database_url, pool_size=32, overflow=0, pool_timeout_s=60)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _at_nine(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def visit(database: Database, name: str) -> str:
    """Store the first visit of the story as that of a patient of this name, and return the id."""
    bundle = playing.renamed(STORY["steps"][0]["bundle"], {"v03": name, "GMT-1003": name})
    transaction.accept(database, bundle, sender="hospital")
    return f"gmt-{name}"


def orders(database: Database, patient: str) -> Counter[tuple[str, str]]:
    """Count the proposals of the patient that are not revoked, by side and code."""
    with database.transaction() as tx:
        found = resources.of_patient(tx, patient, tenant=0, types=("ServiceRequest",), owned=True)
    return Counter(
        (
            next(e["valueCoding"]["code"] for e in one["extension"] if "valueCoding" in e),
            one["code"]["coding"][0]["code"],
        )
        for one in (stored.resource for stored in found)
        if one["status"] != "revoked"
    )


def numbers(database: Database, patient: str) -> list[int]:
    with database.transaction() as tx:
        rows = decisions.of_instance(tx, patient, "gluteus-medius-tear", "right", tenant=0)
    return [row.number for row in reversed(rows)]


def at_once(work: Callable[[], bool]) -> list[bool]:
    start = threading.Barrier(WORKERS)
    results: list[bool] = []
    errors: list[Exception] = []

    def run() -> None:
        start.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


@pytest.fixture
def undisturbed(database: Database) -> tuple[Counter[tuple[str, str]], list[int]]:
    """What one worker makes of the visit."""
    alone = visit(database, "alone")
    assert advance(database, 0, alone)
    made = orders(database, alone)
    assert set(made.values()) == {1}
    return made, numbers(database, alone)


def test_one_message_delivered_to_many_workers_is_worked_on_once(busy, monkeypatch, undisturbed):
    decide = advancing.decide
    losing = threading.Lock()
    taken_over: list[str] = []

    def overtaken(pathway, case):
        """Decide, but let another worker take over and finish meanwhile, once for a patient of that kind."""
        outcome = decide(pathway, case)
        patient = case.record.patient.id
        with losing:
            mine = patient.endswith("-lost") and patient not in taken_over
            if mine:
                taken_over.append(patient)
        if mine:
            with busy.transaction() as tx:
                tx.execute(
                    text("UPDATE promise SET lease_until = clock_timestamp() WHERE patient = :patient"),
                    {"patient": patient},
                )
            while not numbers(busy, patient):
                advance(busy, 0, patient)
        return outcome

    monkeypatch.setattr(advancing, "decide", overtaken)
    for number in range(ROUNDS):
        patient = visit(busy, f"r{number}" + ("-lost" if number % LOST_EVERY == 0 else ""))

        at_once(lambda patient=patient: advance(busy, 0, patient))
        # The queue delivers the message once more, later.
        assert not advance(busy, 0, patient)

        assert (orders(busy, patient), numbers(busy, patient)) == undisturbed
    assert len(taken_over) == ROUNDS // LOST_EVERY


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "READ COMMITTED"])
def test_without_any_lease_the_database_keeps_one_of_each(busy, monkeypatch, undisturbed, isolation):
    monkeypatch.setattr(promises, "ask_to_settle", lambda *_, **__: lambda: None)
    patient = visit(busy, "free")

    def work() -> bool:
        claim = promises.Claim(
            tenant=0,
            patient=patient,
            kind="advance",
            token=uuid4(),
            attempt=1,
            lease_s=10,
            wanted=(),
            due_at=None,
        )
        # Whoever comes second is refused by a unique key, or sees what the first one did.
        with suppress(UniqueViolation):
            busy.run(lambda tx: advancing._evaluate(tx, [claim]), isolation=isolation)
            return True
        return False

    at_once(work)

    assert (orders(busy, patient), numbers(busy, patient)) == undisturbed


@contextmanager
def stopped(database_url: str, patient: str, line: str, said: Path) -> Iterator[subprocess.Popen]:
    """Run a worker in a process of its own that stands still after this call, as a frozen machine does."""
    program = textwrap.dedent(f"""
        import inspect, os, signal, sys
        from service import log
        from service.store.database import Database
        from worker import advance as module
        log.configure("worker")
        holder = module
        *path, name = {line!r}.split(".")
        for part in path:
            holder = getattr(holder, part)
        original = getattr(holder, name)
        def stopping(*args, **more):
            # Once: the database may ask for the work to be repeated afterwards.
            setattr(holder, name, original)
            result = original(*args, **more)
            os.kill(os.getpid(), signal.SIGSTOP)
            return result
        def stopping_work(*args, **more):
            setattr(holder, name, original)
            result = yield from original(*args, **more)
            os.kill(os.getpid(), signal.SIGSTOP)
            return result
        setattr(holder, name, stopping_work if inspect.isgeneratorfunction(original) else stopping)
        sys.exit(0 if module.advance(Database({database_url!r}), 0, {patient!r}) else 3)
    """)
    with said.open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=log
        )
    try:
        _, status = os.waitpid(worker.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), said.read_text()
        yield worker
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_stopped_beyond_its_lease_keeps_nothing_of_what_it_did(
    database, database_url, undisturbed, tmp_path
):
    patient = visit(database, "stopped")
    with stopped(database_url, patient, "decide", tmp_path / "said") as worker:
        # Its lease runs out, and another one does the work.
        deadline = time.monotonic() + 60
        while not advance(database, 0, patient):
            assert time.monotonic() < deadline, "nobody took over when the lease ran out"
            time.sleep(0.2)
        assert (orders(database, patient), numbers(database, patient)) == undisturbed

        worker.send_signal(signal.SIGCONT)

        assert worker.wait(60) == 3
        assert "lease_lost" in (tmp_path / "said").read_text()
        assert (orders(database, patient), numbers(database, patient)) == undisturbed


def test_a_worker_stopped_before_its_commit_parks_nobody(database, database_url, undisturbed, tmp_path):
    patient = visit(database, "holding")
    impatient = Database(database_url, lock_timeout_s=1)
    with stopped(database_url, patient, "resources.preparing", tmp_path / "said") as worker:
        # All resources are locked, and nothing is committed: whoever comes next waits for the locks, in vain,
        # and more often than a patient is tried that cannot be evaluated.
        for _ in range(promises.MAX_LOST + 1):
            now(database, patient)
            assert not advance(impatient, 0, patient)
        with database.transaction() as tx:
            standing = standings.of_patient(tx, patient, tenant=0)
            assert (standing.parked_at, standing.attempts) == (None, 1)
            # The database ends a transaction in which nothing happens any more.
            tx.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'idle in transaction' "
                    "AND pid <> pg_backend_pid()"
                )
            )

        now(database, patient)
        assert advance(impatient, 0, patient)
        worker.send_signal(signal.SIGCONT)

        assert worker.wait(60) == 3
        assert (orders(database, patient), numbers(database, patient)) == undisturbed
    impatient.close()


def now(database: Database, patient: str) -> None:
    """Let every lease and pause of the patient pass."""
    with database.transaction() as tx:
        tx.execute(
            text("UPDATE promise SET retry_at = NULL, lease_until = clock_timestamp() WHERE patient = :who"),
            {"who": patient},
        )
