"""A hospital's server, a record with the outputs of one visit, and whoever delivers them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hospital_server
import playing
import pytest
from hospital_server import HospitalServer
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.hospital.answers import Answer
from service.hospital.connection import Connection
from service.hospital.delivery import Delivery
from service.hospital.returning import Returning
from service.hospital.settings import Hospital
from service.store.database import Database
from worker.advance import advance

STORY = playing.read(Path(__file__).parents[2] / "stories" / "V03.json")
PATIENT = "gmt-v03"
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
TABLES = "arrival, promise, decision, history, resource, delivery, dispatch, delivered, circuit"


class Deliverer:
    """Delivers from one record to one server, without waiting for anything."""

    def __init__(self, database: Database, server: HospitalServer) -> None:
        self.database = database
        self.server = server
        self.connection = Connection(Hospital(url=server.url, rate=1000, timeout_s=1, settle_s=0))
        self.delivery = Delivery(database, self.connection, chance=lambda: 0.0)
        self.returning = Returning(database, self.connection)

    def go(self) -> bool:
        """Find what is to be delivered and deliver one patient."""
        self.delivery.find(0)
        return self.delivery.one()

    def ask(self) -> Answer:
        """Ask for everything that is open; return the first answer that was no good, if any."""
        first, last = self.returning.ask()
        while last is not None and not first.of_server:
            answer, last = self.returning.ask(last)
            first = answer if first.taken or answer.of_server else first
        return first

    def at_once(self) -> bool:
        """Deliver again, as if every pause were over."""
        self.do("UPDATE delivery SET retry_at = NULL")
        self.do("UPDATE delivery SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL")
        self.do("UPDATE circuit SET open_until = NULL")
        return self.go()

    def do(self, statement: str, **names: object) -> None:
        with self.database.transaction() as tx:
            tx.execute(text(statement), names)

    def rows(self, table: str, columns: str = "*") -> list:
        with self.database.transaction() as tx:
            return list(tx.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1")))

    def state(self):
        """Return attempts, last answer, whether it pauses and whether it is given up."""
        (row,) = self.rows("delivery", "attempts, answer, retry_at IS NOT NULL, parked_at IS NOT NULL, said")
        return tuple(row)

    def owned(self) -> dict[str, int]:
        """Return what the engine wrote that is delivered, with its version."""
        rows = self.rows(
            "resource WHERE owned AND type <> 'AuditEvent'", "type || '/' || id AS reference, version"
        )
        return {row.reference: row.version for row in rows}

    def acknowledged(self) -> dict[str, int]:
        rows = self.rows("delivered", "type || '/' || id AS reference, version")
        return {row.reference: row.version for row in rows}


@pytest.fixture(scope="module")
def only_server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        yield started


@pytest.fixture
def visited(database: Database) -> Iterator[None]:
    """A visit is stored and evaluated."""
    with database.transaction() as tx:
        tx.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        clock.set_(tx, NOW, held=False)
    transaction.accept(database, STORY["steps"][0]["bundle"], sender="hospital")
    assert advance(database, 0, PATIENT)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


@pytest.fixture
def deliverer(database: Database, only_server: HospitalServer, visited: None) -> Iterator[Deliverer]:
    only_server.begin()
    made = Deliverer(database, only_server)
    yield made
    made.connection.close()


@pytest.fixture
def change(database: Database) -> Callable[..., None]:
    """Change an output as the engine does: a new version of its own."""

    def changed(reference: str, **elements: object) -> None:
        from service.store import resources
        from service.store.resources import Write

        type_, id_ = reference.split("/")
        with database.transaction() as tx:
            head = resources.current(tx, type_, id_, tenant=0)
            write = Write(
                type=type_, id=id_, body={**head.resource, **elements}, patient=head.patient, owned=True
            )
            seen = resources.look_up_or_lock(tx, [write], tenant=0)
            resources.save(tx, [write], tenant=0, now=NOW, sender="hipway-engine", seen=seen)

    return changed
