"""Two nodes on one database and one broker: a hospital posts to both, and one of them dies at work.

A node is a web, a worker and a sweep, started one by one as containers or systemd start them. It is
killed without a word, as a machine that loses its power. Retries are a hospital's own: what is not
acknowledged by one node is sent to the other, which may mean twice.

SP-01, SP-02, SP-12, SP-13.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import httpx
import pytest
from installations import free_port
from redis import Redis
from sqlalchemy import text

from service import evaluation
from service.store.database import Database
from service.stories import answer as answers
from service.stories import collecting, orders, placeholders, story
from service.stories.answer import Answer
from service.stories.collecting import Record
from service.stories.play import patient_of
from service.stories.remote import Refused, Remote, Unreachable
from service.stories.story import Step, Story
from service.supervisor.valkey import Valkey

FOLDER = Path(__file__).parents[1] / "stories"

PROCESSES = ("web", "worker", "sweep")

#: senders at the same time; two processors do not profit from more
SENDERS = 6

READY_S = 120
SETTLED_S = 120

Answered = TypeVar("Answered")


class Node:
    """One machine: three processes in process groups of their own."""

    def __init__(self, number: int, folder: Path, environment: dict[str, str]) -> None:
        """Describe the node; `start` starts it."""
        self.port = free_port()
        self.remote = Remote(f"http://127.0.0.1:{self.port}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder / f"node-{number}"
        self._folder.mkdir()
        self._environment = environment

    def start(self) -> None:
        """Start the three processes and wait until the web process answers."""
        for name in PROCESSES:
            with self.log(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "service.commands", name],
                    env={**self._environment, "HIPWAY_PORT": str(self.port)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        deadline = time.monotonic() + READY_S
        while not self._lives():
            assert self.processes["web"].poll() is None, self.log("web").read_text()
            assert time.monotonic() < deadline, f"node on port {self.port} does not answer"
            time.sleep(0.1)

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to all processes of the node, or to those named, and to their children."""
        for name in names or PROCESSES:
            os.killpg(self.processes[name].pid, number)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.signal(signal.SIGKILL)
        self._collect()

    def stop(self) -> None:
        """End it in order, if it still runs."""
        self.remote.__exit__(None, None, None)
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        self._collect()

    def log(self, name: str) -> Path:
        """Return the file that takes what a process prints."""
        return self._folder / f"{name}.log"

    def _collect(self) -> None:
        for process in self.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _lives(self) -> bool:
        try:
            return httpx.get(f"{self.remote.url}/health/live", trust_env=False).is_success
        except httpx.TransportError:
            return False


@dataclass
class Cluster:
    """The nodes, and a hospital that turns to them in turn."""

    nodes: list[Node]
    database: Database
    broker: Redis
    #: how many requests each node has answered
    answered: Counter[int] = field(default_factory=Counter)
    _turn: int = 0
    _lock: Lock = field(default_factory=Lock)

    def ask(self, request: Callable[[Remote], Answered]) -> Answered:
        """Return what the next node answers, or the other one where it does not."""
        with self._lock:
            self._turn += 1
            first = self._turn
        deadline = time.monotonic() + SETTLED_S
        for number in _alternating(first, len(self.nodes)):
            try:
                answer = request(self.nodes[number].remote)
            except Unreachable:
                pass
            except Refused as refused:
                if refused.status not in (429, 503):
                    raise
            else:
                with self._lock:
                    self.answered[number] += 1
                return answer
            assert time.monotonic() < deadline, "no node answers"
            time.sleep(0.05)
        raise AssertionError("the nodes are asked until the deadline")

    def count(self, statement: str) -> int:
        """Return what a counting statement says."""
        with self.database.transaction() as tx:
            return int(tx.execute(text(statement)).scalar_one())

    def wait_until_settled(self, patients: Iterable[str]) -> None:
        """Wait until everything that has arrived for the patients is evaluated."""
        for patient in patients:
            assert evaluation.wait(self.database, patient, timeout_s=SETTLED_S), [
                node.log("worker").read_text()[-2000:] for node in self.nodes
            ]


def _alternating(first: int, count: int) -> Iterator[int]:
    while True:
        yield first % count
        first += 1


@pytest.fixture(scope="module")
def running(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[Cluster]:
    folder = scratch / "scale-out"
    folder.mkdir()
    broker = Valkey(folder / "valkey")
    database_url = new_database_url()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "HIPWAY_DATABASE_URL": database_url,
        "HIPWAY_BROKER_URL": broker.start(),
        "HIPWAY_DEMO": "0",
    }
    cluster = Cluster(
        [Node(number, folder, environment) for number in (1, 2)],
        Database(database_url, pool_size=1),
        Redis(unix_socket_path=environment["HIPWAY_BROKER_URL"].removeprefix("redis+socket://")),
    )
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            node.stop()
        cluster.database.close()
        cluster.broker.close()
        broker.stop()


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """Both nodes at work, whatever has happened to them, and no patients."""
    for node in running.nodes:
        if not node.processes or any(process.poll() is not None for process in node.processes.values()):
            node.start()
    running.nodes[0].remote.clear()
    running.answered.clear()
    return running


def _told(*, at_least: int) -> list[Story]:
    """Return the stories at the site's defaults that have so many steps."""
    return [told for told in story.folder(FOLDER) if not told.parameters and len(told.steps) >= at_least]


def test_a_node_dies_while_bundles_are_evaluated_as_they_come(cluster: Cluster) -> None:
    stories = _told(at_least=1)[::2]
    cluster.nodes[0].remote.set_clock(stories[0].steps[0].advance_to, held=False)

    with ThreadPoolExecutor(SENDERS) as senders:
        posted = [senders.submit(_post, cluster, told.steps[0].bundle) for told in stories]
        _wait_for(posted, len(stories) // 2)
        cluster.nodes[1].kill()
        for each in posted:
            each.result()
    cluster.wait_until_settled(map(patient_of, stories))

    for number, node in enumerate(cluster.nodes):
        assert cluster.answered[number] > 0
        assert '"event": "evaluated"' in node.log("worker").read_text()
    assert {told.id: found for told in stories if (found := _first_step(cluster, told))} == {}
    assert cluster.count("SELECT count(*) FROM promise WHERE parked_at IS NOT NULL") == 0


def test_a_node_dies_in_the_middle_of_many_stories(cluster: Cluster) -> None:
    stories = _told(at_least=6)
    played = {told.id: _Played(told) for told in stories}
    moments: dict[str, list[tuple[_Played, Step, bool]]] = defaultdict(list)
    for each in played.values():
        for step in each.story.steps:
            moments[step.at].append((each, step, False))
            moments[step.advance_to].append((each, step, True))
    evaluations = [
        at for at, events in sorted(moments.items(), key=_instant) if events[0][2] and len(events) > 1
    ]
    fatal = evaluations[len(evaluations) // 2]

    with ThreadPoolExecutor(SENDERS) as senders:
        for at, events in sorted(moments.items(), key=_instant):
            cluster.ask(lambda service, at=at: service.set_clock(at))
            for is_evaluation in (False, True):
                wave = [
                    senders.submit(each.evaluate if is_evaluation else each.post, cluster, step)
                    for each, step, evaluates in events
                    if evaluates is is_evaluation
                ]
                if at == fatal and is_evaluation:
                    _wait_for(wave, 1)
                    cluster.nodes[1].kill()
                for done in wave:
                    done.result()

    assert cluster.answered[0] > cluster.answered[1] > 0
    assert {each.story.id: each.differences for each in played.values() if each.differences} == {}


def test_two_sweeps_wake_the_same_patients_and_each_is_evaluated_once(cluster: Cluster) -> None:
    stories = _told(at_least=1)[1::2]
    cluster.nodes[0].remote.set_clock(stories[0].steps[0].advance_to, held=False)
    for node in cluster.nodes:
        node.signal(signal.SIGSTOP, "worker")
    with ThreadPoolExecutor(SENDERS) as senders:
        for each in [senders.submit(_post, cluster, told.steps[0].bundle) for told in stories]:
            each.result()

    # Every wake-up is lost: only the two sweeps know of the patients now.
    cluster.broker.flushall()
    for node in cluster.nodes:
        node.signal(signal.SIGCONT, "worker")
    cluster.wait_until_settled(map(patient_of, stories))

    assert {told.id: found for told in stories if (found := _first_step(cluster, told))} == {}
    runs = (
        "SELECT count(*) - count(DISTINCT patient) FROM (SELECT DISTINCT patient, run FROM decision) AS each"
    )
    assert cluster.count(runs) == 0


class _Played:
    """A story as far as it has been played, and what differed."""

    def __init__(self, told: Story) -> None:
        self.story = told
        self.record: Record = collecting.NOTHING
        self.differences: list[str] = []
        self._names = orders.names()

    def post(self, cluster: Cluster, step: Step) -> None:
        if step.bundle is not None:
            found = placeholders.wanted(step.bundle)
            meanings = placeholders.meanings(found, self.record, self._names)
            _post(cluster, placeholders.replaced(step.bundle, meanings))

    def evaluate(self, cluster: Cluster, step: Step) -> None:
        patient = patient_of(self.story)
        cluster.ask(lambda service: service.evaluate(f"Patient/{patient}"))
        before = self.record.identities
        self.record = cluster.ask(lambda service: collecting.record(service.search, patient))
        actual = collecting.answer(self.record, before, self._names)
        found = answers.differences(step.expected, actual, forbidden=step.forbidden)
        self.differences += [f"step {step.number}: {line}" for line in found]


def _post(cluster: Cluster, bundle: Any) -> None:
    cluster.ask(lambda service: service.post(bundle))


def _first_step(cluster: Cluster, told: Story) -> tuple[str, ...]:
    """Return how the record after the first Bundle differs from what the story expects."""
    patient, names = patient_of(told), orders.names()
    record = cluster.ask(lambda service: collecting.record(service.search, patient))
    actual: Answer = collecting.answer(record, collecting.NOTHING.identities, names)
    return answers.differences(told.steps[0].expected, actual, forbidden=told.steps[0].forbidden)


def _wait_for(futures: list[Future[None]], count: int) -> None:
    """Wait until so many are done."""
    while sum(each.done() for each in futures) < count:
        time.sleep(0.005)


def _instant(moment: tuple[str, Any]) -> str:
    # All stories are told in UTC, so their texts are in the order of time.
    return moment[0]
