"""SP-40: an upgrade and the way back, with patients under way, lose nothing; old code runs on a newer schema.

Hospitals post all the time. The database is migrated to the next release; worker, sweep and web
are started anew, one after another; at the end the migration is taken back. The processes are
those of this version throughout: on a newer schema each of them runs until its turn comes in an
upgrade, and all of them after an upgrade that was given up.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, groupby
from pathlib import Path
from typing import Any

import httpx
import next_release
import playing
from fhir_visits import visit
from installations import free_port
from sqlalchemy import text

from fhir_profiles import reading
from service.store import migrate, schema
from service.store.database import Database
from service.stories import answer, collecting, orders, placeholders, story
from service.stories.play import patient_of
from service.stories.remote import Remote, Unreachable
from service.supervisor.child import Child

TOLD = ("V01", "V02", "V05", "V07", "V40", "V68")
COPIES = 2
#: requests at the same moment
SENDERS = 4

#: a client that gets no connection for longer than a restart may take has found a fault
PATIENCE_S = 60

PROCESSES = ("web", "worker", "sweep")


@dataclass
class Patient:
    """One copy of a story, and what a hospital knows of it so far."""

    told: story.Story
    number: int
    record: collecting.Record = collecting.NOTHING
    differences: list[str] = field(default_factory=list)
    #: `Type/id` of everything that was acknowledged
    acknowledged: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return self.renamed(patient_of(self.told))

    def renamed(self, value: Any) -> Any:
        """Return the value with this copy's own ids and identifiers in place of the story's."""
        name = self.told.id.lower()
        return playing.renamed(
            value,
            {
                f"gmt-{name}": f"gmt-{name}-{self.number}",
                f"{name}-s": f"{name}-{self.number}-s",
                "GMT-1": f"GMT-{self.number}-1",
            },
        )


class Hospital:
    """A client that asks again when it gets no connection, and for no other reason."""

    def __init__(self, service: Remote) -> None:
        self.service = service
        self.connection_errors = 0

    def ask(self, what: Callable[[Remote], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return what(self.service)
            except Unreachable as error:
                # No answer at all: the server went away. An answer that is late is another thing.
                if isinstance(error.__cause__, httpx.TimeoutException) or time.monotonic() > deadline:
                    raise
                self.connection_errors += 1
                time.sleep(0.1)

    def post(self, patient: Patient, step: story.Step) -> None:
        if step.bundle is None:
            return
        names = orders.names()
        meanings = placeholders.meanings(placeholders.wanted(step.bundle), patient.record, names)
        bundle = placeholders.replaced(patient.renamed(step.bundle), meanings)
        response = self.ask(lambda service: service.post(bundle))
        patient.acknowledged |= stored(response)

    def evaluate(self, patient: Patient, step: story.Step) -> None:
        self.ask(lambda service: service.evaluate(f"Patient/{patient.id}"))
        before = patient.record.identities
        patient.record = collecting.record(
            lambda type_, parameters: self.ask(lambda service: service.search(type_, parameters)), patient.id
        )
        actual = collecting.answer(patient.record, before, orders.names())
        found = answer.differences(step.expected, actual, forbidden=step.forbidden)
        patient.differences += [f"{patient.id} step {step.number}: {line}" for line in found]


def stored(response: dict[str, Any]) -> set[str]:
    """Return `Type/id` of every entry that a transaction-response says is stored."""
    return {
        "/".join(entry["response"]["location"].split("/_history")[0].split("/")[-2:])
        for entry in response["entry"]
    }


def test_a_rolling_upgrade_and_the_way_back_lose_nothing(
    new_database_url: Callable[[], str],
    owner_url: Callable[[str], str],
    broker_url: str,
    scratch: Path,
) -> None:
    url = new_database_url()
    owner = owner_url(url)
    folder = scratch / "upgrade"
    next_schema = next_release.migrations(scratch / "next_schema")
    port = free_port()
    patients = [Patient(story.read(file(name)), number) for name in TOLD for number in range(1, COPIES + 1)]
    variables = {"HIPWAY_DATABASE_URL": url, "HIPWAY_BROKER_URL": broker_url, "HIPWAY_PORT": str(port)}

    with (
        Remote(f"http://127.0.0.1:{port}") as service,
        running(folder, hospital := Hospital(service), **variables) as children,
        posting(hospital) as visits,
    ):

        def restart(name: str) -> None:
            children[name].stop()
            children[name].start()
            until_ready(hospital)

        upgrade = [
            lambda: migrate.upgrade(owner, folder=next_schema),
            lambda: restart("worker"),
            lambda: restart("sweep"),
            lambda: restart("web"),
            lambda: migrate.downgrade(owner, schema.head(), folder=next_schema),
        ]
        errors_before = []
        rounds = timeline(patients)
        for number, (at, work) in enumerate(rounds):
            hospital.ask(lambda service, at=at: service.set_clock(at))
            with ThreadPoolExecutor(SENDERS + 1) as pool:
                doing = []
                # Evenly over the stories: each step of the upgrade finds patients under way.
                if upgrade and number >= (6 - len(upgrade)) * len(rounds) // 6:
                    errors_before.append(hospital.connection_errors)
                    doing.append(pool.submit(upgrade.pop(0)))
                doing += [pool.submit(one) for one in work(hospital)]
                for one in doing:
                    one.result()
        assert upgrade == []

    # Every story is exact, in every step.
    assert [line for patient in patients for line in patient.differences] == []
    # Everything that was acknowledged is there, once.
    acknowledged = set().union(visits, *(patient.acknowledged for patient in patients))
    assert len(visits) > 100
    database = Database(url)
    with database.transaction() as tx:
        there = [f"{row.type}/{row.id}" for row in tx.execute(text("SELECT type, id FROM resource"))]
        revision = schema.revision(tx)
    database.close()
    assert acknowledged - set(there) == set()
    assert revision == schema.head()
    # Until web was started anew, and after it, nobody was without a connection.
    assert errors_before[3] == 0
    assert hospital.connection_errors == errors_before[4] > 0


def file(name: str) -> Path:
    return Path(__file__).parents[1] / "stories" / f"{name}.json"


Work = Callable[[Hospital], list[Callable[[], None]]]


def timeline(patients: list[Patient]) -> list[tuple[str, Work]]:
    """Return the moments of all stories in order, and what happens at each: posts, or evaluations."""
    moments = sorted(
        (
            (datetime.fromisoformat(at), step.number, kind, at, step, patient)
            for patient in patients
            for step in patient.told.steps
            for kind, at in ((0, step.at), (1, step.advance_to))
        ),
        key=lambda moment: moment[:3],
    )
    return [
        (group[0][3], work_of(group)) for group in (list(g) for _, g in groupby(moments, lambda m: m[:3]))
    ]


def work_of(group: list[Any]) -> Work:
    def work(hospital: Hospital) -> list[Callable[[], None]]:
        what = (hospital.post, hospital.evaluate)
        return [
            lambda kind=kind, patient=patient, step=step: what[kind](patient, step)
            for _, _, kind, _, step, patient in group
        ]

    return work


@contextmanager
def running(folder: Path, hospital: Hospital, **variables: str) -> Iterator[dict[str, Child]]:
    """Run web, worker and sweep, each on its own, as systemd would."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")}
    children = {
        name: Child(
            name,
            [sys.executable, "-m", "service.commands", name],
            log=folder / f"{name}.log",
            environment={**inherited, **variables, "HIPWAY_DATA": str(folder)},
            grace_s=30,
        )
        for name in PROCESSES
    }
    try:
        for child in children.values():
            child.start()
        until_ready(hospital)
        yield children
    finally:
        for child in children.values():
            child.stop()


def until_ready(hospital: Hospital) -> None:
    """Wait until readiness says that all parts are there, whatever the schema."""
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while True:
            try:
                response = client.get(f"{hospital.service.url}/health/ready")
                if response.is_success:
                    return
                said = response.text
            except httpx.TransportError as error:
                said = type(error).__name__
            assert time.monotonic() < deadline, said
            time.sleep(0.1)


@contextmanager
def posting(hospital: Hospital) -> Iterator[set[str]]:
    """Post visits of ever new patients meanwhile; what was acknowledged is in the set afterwards."""
    acknowledged: set[str] = set()
    stop = threading.Event()

    def post() -> None:
        for number in count():
            if stop.is_set():
                return
            bundle = reading.read(reading.write(visit(f"new-{number}")))
            acknowledged.update(stored(hospital.ask(lambda service, bundle=bundle: service.post(bundle))))
            time.sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(post)
        try:
            yield acknowledged
        finally:
            stop.set()
        done.result()
