"""What is decided reaches a real HAPI once, what is done there comes back, and a kill changes nothing.

The fake server of tests/hospital_server.py behaves as is seen here.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import playing
import pytest
from sqlalchemy import text

from fhir_profiles import reading
from service import clock
from service.fhir import transaction
from service.hospital.answers import Kind
from service.hospital.connection import Connection
from service.hospital.delivery import Delivery
from service.hospital.returning import Returning
from service.hospital.settings import Hospital
from service.store import resources
from service.store.database import Database
from service.store.resources import Write
from worker.advance import advance

pytestmark = pytest.mark.requires("hapi")

ROOT = Path(__file__).parents[2]
VISIT = playing.read(ROOT / "tests" / "stories" / "V03.json")["steps"][0]["bundle"]
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
#: the first request after the start of a server may take seconds
SLOW = {"rate": 1000, "timeout_s": 60, "settle_s": 0}


class Delivering:
    """One record and the HAPI server."""

    def __init__(self, database: Database, url: str, visit: dict) -> None:
        self.database = database
        self.visit = visit
        self.patient = ""
        self.connection = Connection(Hospital(url=url, **SLOW))
        self.delivery = Delivery(database, self.connection, chance=lambda: 0.0)
        self.returning = Returning(database, self.connection)

    def go(self) -> bool:
        with self.database.transaction() as tx:
            tx.execute(text("UPDATE delivery SET retry_at = NULL, parked_at = NULL"))
            tx.execute(
                text("UPDATE delivery SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL")
            )
        self.delivery.find(0)
        return self.delivery.one()

    def rows(self, statement: str) -> list:
        with self.database.transaction() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def last(self) -> tuple:
        return self.rows("SELECT answer, said FROM delivery")[0]

    def owned(self) -> dict[str, int]:
        return dict(
            self.rows("SELECT type || '/' || id, version FROM resource WHERE owned AND type <> 'AuditEvent'")
        )

    def acknowledged(self) -> dict[str, int]:
        return dict(self.rows("SELECT type || '/' || id, version FROM delivered"))


@pytest.fixture
def delivering(hapi: httpx.Client, hapi_url: str, database: Database) -> Iterator[Delivering]:
    """A visit of a patient whom no server has seen is evaluated here; HAPI knows nothing of it yet."""
    with database.transaction() as tx:
        tx.execute(
            text(
                "TRUNCATE arrival, promise, decision, history, resource, delivery, dispatch, delivered, "
                "circuit CASCADE"
            )
        )
        clock.set_(tx, NOW, held=False)
    who = uuid4().hex[:12]
    visit = playing.renamed(VISIT, {"v03": who, "1003": who})
    made = Delivering(database, hapi_url, visit)
    accepted = transaction.accept(database, made.visit, sender="hospital")
    assert accepted.patient
    made.patient = accepted.patient
    assert advance(database, 0, accepted.patient)
    yield made
    made.connection.close()
    with database.transaction() as tx:
        clock.unset(tx)


@pytest.fixture
def known(hapi: httpx.Client, delivering: Delivering) -> Delivering:
    """HAPI has the visit as the hospital stored it."""
    stored = hapi.post("", content=reading.write(delivering.visit))
    assert stored.status_code == httpx.codes.OK, stored.text
    return delivering


def read(hapi: httpx.Client, reference: str) -> dict:
    return hapi.get(f"/{reference}", headers={"Cache-Control": "no-cache"}).json()


def versions(hapi: httpx.Client, references) -> set[str]:
    """Return the numbers of the versions that there are now."""
    return {read(hapi, reference)["meta"]["versionId"] for reference in references}


def change(delivering: Delivering, reference: str, **elements: object) -> None:
    """Change an output as the engine does: a new version of its own."""
    type_, id_ = reference.split("/")
    with delivering.database.transaction() as tx:
        head = resources.current(tx, type_, id_, tenant=0)
        body = {**head.resource, **elements}
        write = Write(type=type_, id=id_, body=body, patient=head.patient, owned=True)
        seen = resources.look_up_or_lock(tx, [write], tenant=0)
        resources.save(tx, [write], tenant=0, now=clock.now(tx), sender="hipway-engine", seen=seen)


def one_of(delivering: Delivering, type_: str) -> str:
    return next(reference for reference in sorted(delivering.owned()) if reference.startswith(f"{type_}/"))


def own(delivering: Delivering) -> list[str]:
    """Return what is of this patient alone."""
    return [reference for reference in delivering.owned() if not reference.startswith("Device/")]


def test_what_is_decided_arrives_once_and_changes_over_what_is_known(hapi: httpx.Client, known: Delivering):
    assert known.go()
    assert known.last() == ("taken", "")
    assert known.acknowledged() == known.owned()
    assert versions(hapi, own(known)) == {"1"}
    assert not known.go()

    # Read again, HAPI's copies are ours.
    for reference in known.owned():
        assert known.returning.look(tuple(reference.split("/"))).taken
    assert known.acknowledged() == known.owned()

    task = one_of(known, "Task")
    change(known, task, status="cancelled")
    assert known.go()
    assert known.last() == ("taken", "")
    assert read(hapi, task)["status"] == "cancelled"
    assert read(hapi, task)["meta"]["versionId"] == "2"
    assert known.acknowledged() == known.owned()


def test_killed_between_sending_and_recording_everything_is_there_once(
    hapi: httpx.Client, known: Delivering, database_url: str
):
    program = textwrap.dedent(f"""
        import os, signal
        from service.hospital.connection import Connection
        from service.hospital.delivery import Delivery
        from service.hospital.settings import Hospital
        from service.store import ledger
        from service.store.database import Database
        ledger.answered = lambda *_, **more: os.kill(os.getpid(), signal.SIGKILL)
        connection = Connection(Hospital(url={known.connection.base!r}, rate=1000, timeout_s=60))
        delivery = Delivery(Database({database_url!r}), connection, chance=lambda: 0.0)
        delivery.find(0)
        delivery.one()
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert versions(hapi, own(known)) == {"1"}
    assert known.acknowledged() == {}

    assert known.go()

    assert versions(hapi, own(known)) == {"1"}
    assert known.acknowledged() == known.owned()
    assert known.rows("SELECT answer, settled FROM dispatch") == [(None, True)]


def test_what_is_done_there_with_a_task_comes_back_by_search(hapi: httpx.Client, known: Delivering):
    assert known.go()
    task = one_of(known, "Task")
    hapi.put(f"/{task}", json={**read(hapi, task), "status": "in-progress"})

    # One question a round, about one type.
    answer, last = known.returning.ask()
    while answer.taken and last is not None:
        answer, last = known.returning.ask(last)
    assert answer.taken

    assert known.owned()[task] == known.acknowledged()[task] == 2
    with known.database.transaction() as tx:
        assert resources.current(tx, *task.split("/"), tenant=0).resource["status"] == "in-progress"
    assert not known.go()


def test_a_stale_version_is_409_and_both_changes_are_kept(hapi: httpx.Client, known: Delivering):
    assert known.go()
    task = one_of(known, "Task")
    hapi.put(f"/{task}", json={**read(hapi, task), "status": "accepted"})
    change(known, task, priority="urgent")

    assert known.go()

    assert known.last() == ("taken", "")
    assert "conflict" in [answer for (answer,) in known.rows("SELECT answer FROM dispatch")]
    merged = read(hapi, task)
    assert (merged["status"], merged["priority"]) == ("accepted", "urgent")
    assert known.acknowledged() == known.owned()


def test_a_hospital_that_does_not_know_the_patient_refuses_until_it_does(
    hapi: httpx.Client, delivering: Delivering
):
    assert delivering.go()
    answer, said = delivering.last()
    assert answer == Kind.REFUSED
    assert "HAPI-1094" in said
    assert delivering.acknowledged() == {}

    assert hapi.post("", content=reading.write(delivering.visit)).status_code == httpx.codes.OK
    assert delivering.go()
    assert delivering.last() == ("taken", "")
    assert delivering.acknowledged() == delivering.owned()


def test_an_address_beside_the_fhir_interface_is_told_from_it(hapi_url: str, delivering: Delivering):
    beside = Connection(Hospital(url=hapi_url.removesuffix("/fhir") + "/elsewhere", **SLOW))
    with beside:
        assert beside.read("Patient", delivering.patient).kind is Kind.NOT_FOUND
        assert not beside.read("Patient", delivering.patient).fhir
