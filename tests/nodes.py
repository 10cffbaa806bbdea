"""Nodes that share one database and one broker, and a hospital that turns to them in turn.

A node is a web, a worker and a sweep, started one by one as containers or systemd start them, each
in a process group of its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeVar

import httpx
from installations import free_port
from redis import Redis
from sqlalchemy import text

from service import evaluation
from service.store.database import Database
from service.stories.remote import Refused, Remote, Unreachable
from service.supervisor.valkey import Valkey

PROCESSES = ("web", "worker", "sweep")

READY_S = 120
SETTLED_S = 120

#: an evaluation takes a tenth of it, also beside five others
SUSPENDED_S = 1.0
#: a worker that goes on has begun its next evaluation by then
BEGUN_S = 0.03

Answered = TypeVar("Answered")


class Node:
    """One machine: three processes in process groups of their own."""

    def __init__(
        self,
        number: int,
        folder: Path,
        environment: dict[str, str],
        names: tuple[str, ...] = PROCESSES,
    ) -> None:
        """Describe the node; `start` starts it."""
        self.names = names
        self.port = free_port()
        self.remote = Remote(f"http://127.0.0.1:{self.port}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder / f"node-{number}"
        self._folder.mkdir()
        self._environment = environment

    def start(self) -> None:
        """Start its processes and wait until the web process answers, if it has one."""
        for name in self.names:
            self.start_one(name)
        if "web" in self.names:
            self.until_it_answers()

    def start_one(self, name: str) -> None:
        """Start one of its processes."""
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "service.commands", name],
                env={**self._environment, "HIPWAY_PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_it_answers(self) -> None:
        """Wait until the web process answers."""
        deadline = time.monotonic() + READY_S
        while not self._lives():
            assert self.processes["web"].poll() is None, self.log("web").read_text()
            assert time.monotonic() < deadline, f"node on port {self.port} does not answer"
            time.sleep(0.1)

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to all processes of the node, or to those named, and to their children."""
        for name in names or self.names:
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

    def kill_at_work(self, node: Node) -> None:
        """Kill a node whose worker has begun to evaluate somebody and not ended it.

        The worker is suspended at any moment; a lease that outlives the others' work is then its own.
        """
        deadline = time.monotonic() + SETTLED_S
        while True:
            node.signal(signal.SIGSTOP, "worker")
            if self._outlasts_others(self._leases()):
                return node.kill()
            node.signal(signal.SIGCONT, "worker")
            assert time.monotonic() < deadline, "the worker of the node is never at work"
            # Suspended again at once, the worker would never begin an evaluation.
            time.sleep(BEGUN_S)

    def _outlasts_others(self, leases: set[tuple[str, str]]) -> bool:
        """Return whether one of the leases is still held when the others' work must have ended.

        Looks often, so that little of the work that is to be disturbed is done meanwhile.
        """
        end = time.monotonic() + SUSPENDED_S
        while leases := leases & self._leases():
            if time.monotonic() > end:
                return True
            time.sleep(0.01)
        return False

    def _leases(self) -> set[tuple[str, str]]:
        statement = "SELECT patient, leased_by::text FROM promise WHERE lease_until > clock_timestamp()"
        with self.database.transaction() as tx:
            return {(row.patient, row.leased_by) for row in tx.execute(text(statement))}

    def wait_until_settled(self, patients: Iterable[str]) -> None:
        """Wait until everything that has arrived for the patients is evaluated."""
        for patient in patients:
            assert evaluation.wait(self.database, patient, timeout_s=SETTLED_S), [
                node.log("worker").read_text()[-2000:] for node in self.nodes
            ]


@contextmanager
def two_nodes(folder: Path, database_url: str, **variables: str) -> Iterator[Cluster]:
    """Describe two nodes with a broker of their own, which are not started yet."""
    folder.mkdir()
    broker = Valkey(folder / "valkey")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "HIPWAY_DATABASE_URL": database_url,
        "HIPWAY_BROKER_URL": broker.start(),
        "HIPWAY_DEMO": "0",
        **variables,
    }
    found = Cluster(
        [Node(number, folder, environment) for number in (1, 2)],
        Database(database_url, pool_size=1),
        Redis(unix_socket_path=environment["HIPWAY_BROKER_URL"].removeprefix("redis+socket://")),
    )
    try:
        yield found
    finally:
        for node in found.nodes:
            node.stop()
        found.database.close()
        found.broker.close()
        broker.stop()


@contextmanager
def one_node(folder: Path, database_url: str, names: tuple[str, ...] = PROCESSES) -> Iterator[Node]:
    """Run a node, or some processes of one, for a block.

    The broker is its own: a worker takes every message of the broker it listens to, also those of
    other tests.
    """
    folder.mkdir()
    with ExitStack() as stack:
        broker = Valkey(folder / "valkey")
        url = broker.start()
        stack.callback(broker.stop)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
            "HIPWAY_DATABASE_URL": database_url,
            "HIPWAY_BROKER_URL": url,
            "HIPWAY_DEMO": "0",
        }
        running = Node(1, folder, environment, names)
        stack.callback(running.stop)
        running.start()
        yield running


def _alternating(first: int, count: int) -> Iterator[int]:
    while True:
        yield first % count
        first += 1
