"""The processes of an installation, one by one, each on a lifeline, with the process at its top known."""

import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from installations import START_S, free_port

from service.store import migrate
from service.supervisor.child import Child
from service.supervisor.postgres import Postgres
from service.supervisor.valkey import Valkey

HERE = Path(__file__).parent


class Servers:
    """A PostgreSQL, a Valkey, and what is started on them; `groups` are the processes to be measured."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """Prepare an installation in the folder, with settings of PostgreSQL beyond those of the service."""
        self.folder = folder
        self._settings = settings
        self._children: list[Child] = []
        self._postgres = Postgres(folder / "pg")
        self._valkey = Valkey(folder / "valkey")
        self.groups: dict[str, int] = {}
        self.database_url = ""
        self.broker_url = ""

    def start(self) -> None:
        """Start both servers and make the tables."""
        self.database_url = self._postgres.start()
        if self._settings:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                for name, value in self._settings.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            self._postgres.stop()
            self.database_url = self._postgres.start()
        self.groups["PostgreSQL"] = self._postgres.running.guard_pid
        self.broker_url = self._valkey.start()
        self.groups["Valkey"] = self._valkey.running.guard_pid
        migrate.upgrade(self.database_url)

    def web(self, **variables: str) -> int:
        """Start `hipway web` and return its port."""
        port = free_port()
        self._run(
            "web",
            [sys.executable, "-m", "service.commands", "web"],
            HIPWAY_PORT=str(port),
            HIPWAY_BASE_URL=f"http://127.0.0.1:{port}",
            **variables,
        )
        _wait_for(f"http://127.0.0.1:{port}/health/live")
        return port

    def worker(self, processes: int, times: Path) -> None:
        """Start the worker, which notes its times in the file, and `hipway sweep`."""
        self._run(
            "worker",
            [sys.executable, str(HERE / "timed_worker.py")],
            HIPWAY_WORKER_PROCESSES=str(processes),
            BENCH_TIMES=str(times),
        )
        # Without a worker the sweep would do its work, and the figures would be of something else.
        deadline = time.monotonic() + START_S
        while not times.exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no worker: {(self.folder / 'worker.log').read_text()[-2000:]}")
            time.sleep(0.1)
        self._run("sweep", [sys.executable, "-m", "service.commands", "sweep"])

    def constant(self) -> int:
        """Start the bare Flask route and return its port."""
        port = free_port()
        self._run("Flask route", [sys.executable, str(HERE / "constant.py"), str(port)])
        _wait_for(f"http://127.0.0.1:{port}/")
        return port

    def stop(self) -> None:
        """Stop everything, those who give work first."""
        for child in self._children:
            child.stop()
        self._valkey.stop()
        self._postgres.stop()

    def _run(self, name: str, command: list[str], **variables: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HIPWAY_")}
        child = Child(
            name,
            command,
            log=self.folder / f"{name}.log",
            environment={
                **inherited,
                "HIPWAY_DATABASE_URL": self.database_url,
                "HIPWAY_BROKER_URL": self.broker_url,
                # Each event is a line; benchmarks want those of a quiet production.
                "HIPWAY_LOG_LEVEL": "info",
                **variables,
            },
            grace_s=15,
        )
        child.start()
        self._children.insert(0, child)
        self.groups[name] = child.guard_pid


@contextmanager
def servers(**settings: str) -> Iterator[Servers]:
    """Run both servers for a block, with settings of PostgreSQL beyond those of the service."""
    folder = Path(tempfile.mkdtemp(prefix="hipway-bench-"))
    folder.chmod(0o711)
    running = Servers(folder, settings)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.request.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
