"""More than can be stored is told to come back; whoever sends little is not made to pay for it.

Safety SP-02 and SP-06: what was accepted is stored and evaluated, what was refused is not there.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from fhir_visits import visit
from installations import Installation, free_port, installation

from fhir_profiles import reading
from service.stories import scratch

FLOOD = 40
MODEST = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
ROUNDS = 10

#: until everything is evaluated, on a slow machine with other work
EVALUATED_S = 300


@dataclass
class Sender:
    """One client with an address of its own, and what became of each of its Bundles."""

    url: str
    name: str
    address: str = "127.0.0.1"
    answers: dict[str, httpx.Response] = field(default_factory=dict)

    @contextmanager
    def connected(self) -> Iterator[httpx.Client]:
        transport = httpx.HTTPTransport(local_address=self.address)
        with httpx.Client(base_url=self.url, transport=transport, timeout=60, trust_env=False) as client:
            yield client

    def send(self, client: httpx.Client, patient: str) -> int:
        body = reading.write(visit(patient))
        answer = client.post("/fhir", content=body, headers={"Content-Type": "application/fhir+json"})
        self.answers[patient] = answer
        return answer.status_code

    def send_until(self, done: Callable[[int], bool], *, pause_s: float = 0) -> None:
        """Send one Bundle after the other, each about a patient of its own."""
        number = 0
        with self.connected() as client:
            while not done(number):
                self.send(client, f"{self.name}-{number}")
                number += 1
                time.sleep(pause_s)

    def with_status(self, status: int) -> set[str]:
        # a copy: its thread may be adding to them
        return {patient for patient, answer in list(self.answers.items()) if answer.status_code == status}


@contextmanager
def running(**variables: str) -> Iterator[Installation]:
    with scratch.folder() as data, installation(data, free_port(), **variables) as service:
        service.until_ready()
        # every Bundle is evaluated when it has come, not when its visit has settled
        settings = httpx.put(f"{service.url}/sandbox/parameters", json={"settle.minutes": 0})
        assert settings.status_code == 200, settings.text
        yield service


@contextmanager
def working(*work: Callable[[], None], until: threading.Event | None = None) -> Iterator[None]:
    """Do all of it in threads beside the block, and wait for it; `until` tells it to end."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as failure:  # noqa: BLE001 - whatever it is fails the test
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        if until:
            until.set()
        for thread in threads:
            thread.join()
    assert failures == []


def asked(data: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask the database of the installation itself."""
    folder = data / "pg"
    with psycopg.connect(
        user="hipway",
        password=(folder / "password").read_text(),
        dbname="hipway",
        host=str((folder / "run").resolve()),
        port=5432,
    ) as connection:
        return connection.execute(statement).fetchall()


def evaluated(data: Path) -> set[str]:
    """Wait until nothing is waiting, and return the patients whose evaluation was done."""
    deadline = time.monotonic() + EVALUATED_S
    while asked(data, "SELECT count(*) FROM arrival") != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.2)
    done = "SELECT patient FROM promise p WHERE done_at IS NOT NULL AND NOT EXISTS (SELECT FROM arrival)"
    return {str(patient) for (patient,) in asked(data, done)}


def versions(data: Path) -> dict[str, int]:
    """The number of versions of anything, by patient."""
    both = (
        "SELECT patient FROM resource WHERE NOT owned UNION ALL SELECT patient FROM history WHERE NOT owned"
    )
    return {
        str(patient): int(str(number))
        for patient, number in asked(data, f"SELECT patient, count(*) FROM ({both}) AS v GROUP BY patient")
    }


def wait_for(reached: Callable[[], bool]) -> None:
    """Wait until it is so; give up long after it should have been."""
    deadline = time.monotonic() + EVALUATED_S
    while not reached():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.02)


def test_a_flood_is_told_to_come_back_and_modest_senders_are_served() -> None:
    with running(HIPWAY_INTAKE_SLOTS="2", HIPWAY_INTAKE_QUEUE="8") as service:
        flood = [Sender(service.url, f"flood-{number}") for number in range(FLOOD)]
        modest = [Sender(service.url, f"modest-{n}", address) for n, address in enumerate(MODEST)]
        served = threading.Event()
        alive: Counter[int] = Counter()

        def looking() -> None:
            with httpx.Client(base_url=service.url, timeout=10, trust_env=False) as client:
                while not served.wait(0.05):
                    alive[client.get("/health/live").status_code] += 1

        # It does not keep to Retry-After; the pause leaves this machine something to store with.
        flooding = [lambda s=s: s.send_until(lambda _: served.is_set(), pause_s=0.02) for s in flood]
        with working(looking, *flooding, until=served):
            wait_for(lambda: any(sender.with_status(429) for sender in flood))
            with working(*(lambda s=s: s.send_until(lambda n: n == ROUNDS) for s in modest)):
                pass
            metrics = httpx.get(f"{service.url}/metrics").text

        answers = [answer for sender in (*flood, *modest) for answer in sender.answers.values()]
        refused = [answer for answer in answers if answer.status_code == 429]
        accepted = set().union(*(sender.with_status(200) for sender in (*flood, *modest)))
        assert {answer.status_code for answer in answers} == {200, 429}
        # One request at a time is less than any flood has waiting, so it never gives way; with a
        # turn for each of four senders it does not wait long enough to be sent away either.
        assert [len(sender.with_status(200)) for sender in modest] == [ROUNDS] * len(MODEST)
        # The queue was full all the while: otherwise nothing was put to the test.
        assert len(refused) > ROUNDS * len(MODEST)
        assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
        assert all(answer.json()["issue"][0]["code"] == "throttled" for answer in refused)
        # The senders of the flood take turns, too: a flood is throttled, not shut out.
        assert any(sender.with_status(200) for sender in flood)
        assert set(alive) == {200}
        assert "hipway_intake_refused_total 0.0" not in metrics
        # Accepted is stored and evaluated, once; refused left nothing.
        assert evaluated(service.data) == accepted
        assert versions(service.data) == dict.fromkeys(accepted, 2)


def test_while_the_database_is_gone_nothing_is_accepted_and_afterwards_everything_is() -> None:
    with running() as service:
        senders = [Sender(service.url, f"load-{number}") for number in range(6)]
        back = threading.Event()

        def loading(sender: Sender) -> None:
            sender.send_until(lambda _: back.is_set(), pause_s=0.25)

        with working(*(lambda s=s: loading(s) for s in senders), until=back):
            wait_for(lambda: all(len(sender.with_status(200)) > 2 for sender in senders))
            killed = int((service.data / "pg" / "cluster" / "postmaster.pid").read_text().split()[0])
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: all(sender.with_status(503) for sender in senders))
            before = {sender.name: len(sender.with_status(200)) for sender in senders}
            wait_for(lambda: all(len(s.with_status(200)) > before[s.name] + 2 for s in senders))

        answers = [answer for sender in senders for answer in sender.answers.values()]
        unavailable = [answer for answer in answers if answer.status_code == 503]
        accepted = set().union(*(sender.with_status(200) for sender in senders))
        doubtful = set().union(*(sender.with_status(503) for sender in senders))
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in unavailable)
        assert all(answer.json()["issue"][0]["code"] == "transient" for answer in unavailable)
        # Nothing acknowledged is missing. Of the others some may have been committed as the
        # connection broke; sent again, each of them is there once.
        assert accepted <= set(versions(service.data)) <= accepted | doubtful
        with senders[0].connected() as client:
            assert {senders[0].send(client, patient) for patient in doubtful} == {200}
        assert versions(service.data) == dict.fromkeys(accepted | doubtful, 2)
        assert evaluated(service.data) == accepted | doubtful
