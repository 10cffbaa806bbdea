"""A subscriber, its Subscriptions, and whoever tells it what happens: in one process, without waiting."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import hospital_server
import pytest
from hospital_server import HospitalServer, answering
from sqlalchemy import text
from subscribing import numbers, sent, status, subscription, types

from service.fhir import subscribing
from service.store import raised_events, subscriptions
from service.store.database import Database
from service.store.raised_events import Event
from service.store.subscriptions import Subscription
from service.subscriptions import delivering
from service.subscriptions.delivering import Sender
from service.subscriptions.terms import Rules

BASE = "http://127.0.0.1:8000/fhir/"
LOOPBACK = (ip_network("127.0.0.0/8"),)
TABLES = "subscription, subscription_event, raised_event, overdue_task, access"
AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
OWNER = "registry"


class Told:
    """A subscriber with one Subscription or several, and the sender that tells it."""

    def __init__(self, database: Database, server: HospitalServer) -> None:
        self.database = database
        self.server = server
        self.sender = self.another()

    def another(self, **more: Any) -> Sender:
        """Return a sender, as another node has it."""
        given = {
            "database": self.database,
            "base": BASE,
            "trust": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            "networks": LOOPBACK,
            "rights": False,
            "tls_only": False,
            "chance": lambda: 0.0,
        }
        return Sender(**{**given, **more})

    def subscribe(self, **more: Any) -> str:
        """Store a Subscription and return its id."""
        body = subscription(f"{self.server.url}/hook", **more)
        asked = subscribing.read(body, Rules(tls_only=False, networks=LOOPBACK))
        with self.database.transaction() as tx:
            return subscribing.create(tx, f"s-{self.count()}", OWNER, asked, "s" * 64, tenant=0).id

    def count(self) -> int:
        with self.database.transaction() as tx:
            return int(tx.execute(text("SELECT count(*) FROM subscription")).scalar_one())

    def active(self, **more: Any) -> str:
        """Store a Subscription whose handshake was taken, and return its id."""
        id_ = self.subscribe(**more)
        assert self.go() == 1
        self.server.asked.clear()
        return id_

    def happen(self, *ids: str, topic: str = "stage-entered", labels: tuple[str, ...] = ()) -> None:
        """Raise an event for each of these plans."""
        events = [
            Event(topic=topic, patient=f"p-{id_}", type="CarePlan", id=id_, version=1, labels=labels, at=AT)
            for id_ in ids
        ]
        with self.database.transaction() as tx:
            raised_events.append(tx, events, tenant=0)

    def go(self, sender: Sender | None = None) -> int:
        """Number what waits and send everything that is due; return how many requests that were."""
        with self.database.transaction() as tx:
            delivering.number(tx, tenant=0)
        one = sender or self.sender
        count = 0
        while (claim := one.claim(slow=False) or one.claim(slow=True)) is not None:
            one.send(claim)
            count += 1
        return count

    def at_once(self) -> int:
        """Go on as if every pause and every lease were over."""
        self.do("UPDATE subscription SET retry_at = NULL, lease_until = NULL")
        return self.go()

    def do(self, statement: str) -> None:
        with self.database.transaction() as tx:
            tx.execute(text(statement))

    def row(self, id_: str = "s-0") -> Subscription:
        with self.database.transaction() as tx:
            found = subscriptions.find(tx, id_, owner=OWNER, tenant=0)
        assert found is not None
        return found

    def change(self, id_: str = "s-0", **more: Any) -> None:
        """Change the Subscription as its owner does."""
        body = subscription(f"{self.server.url}/hook", **more, id=id_)
        asked = subscribing.read(body, Rules(tls_only=False, networks=LOOPBACK))
        with self.database.transaction() as tx:
            subscribing.update(tx, id_, OWNER, asked, if_version=None, tenant=0)

    def types(self) -> list[str]:
        return types(self.server)

    def numbers(self) -> list[int]:
        return numbers(self.server)

    def last(self) -> dict[str, Any]:
        """Return the status of the last notification."""
        return status(sent(self.server)[-1])


@pytest.fixture(scope="module")
def only_server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        yield started


@pytest.fixture
def told(database: Database, only_server: HospitalServer) -> Told:
    only_server.begin()
    only_server.mood = answering(200)
    made = Told(database, only_server)
    made.do(f"TRUNCATE {TABLES}")
    return made


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something is so."""
    import time

    def wait(true: Callable[[], object], *, within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait
