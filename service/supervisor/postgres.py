"""A PostgreSQL server of our own, from the programs of a wheel.

    FOLDER/cluster     the database cluster, or a link to it (see `places.reachable`)
    FOLDER/password    of the one user, made at the first start; only this user reads it
    FOLDER/run         a link to the private folder of the socket

The start-up code of the wheel is not used: it adds a user to the system, opens the folders
above the data and trusts every local user. Ours asks for a password and opens no port, unless a
program that knows no sockets of this kind, such as one in Java, needs one on the loopback interface.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import pq

from service.supervisor import account as accounts
from service.supervisor import binaries, places
from service.supervisor.child import Child
from service.supervisor.unusable import Unusable

USER = "hipway"
DATABASE = "hipway"
PORT = 5432

#: what is left of an older server on the same data has ended by then
PREDECESSOR_S = 30
#: without a word from the server; one that says that it recovers is waited for
START_S = 60

SERVER_SETTINGS = {
    # "Nothing is lost" rests on these three; `_assert_durable` asks the server itself.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # After a crash at most this much is replayed, in seconds; with PostgreSQL's own 1 GB it takes minutes.
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # Statements and the details of errors carry patient data; a log must not.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


class Postgres:
    """One cluster in one folder. The folder must be used by one supervisor at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        held: Sequence[int] = (),
        loopback_port: int | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe a server whose files live in `folder`; `start` makes and runs it.

        Args:
            loopback_port: listen there on 127.0.0.1 as well, with the same password; None opens no port.
        """
        self._folder = folder.absolute()
        self._port = loopback_port or PORT
        self._host = "127.0.0.1" if loopback_port else ""
        self._log = log or self._folder / "postgres.log"
        self._held = held
        self._pause = pause
        self._child: Child | None = None

    def start(self) -> str:
        """Start the server, making the cluster first if there is none, and return its URL.

        Raises:
            Unusable: it cannot run here. Nothing is left running.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        account = accounts.unprivileged()
        programs = binaries.postgres(account)
        cluster = places.reachable(self._folder / "cluster", account)
        password = self._password(cluster)
        if not (cluster / "PG_VERSION").exists():
            _make_cluster(programs, cluster, password, account)
        sockets = places.sockets(self._folder / "run", account, f".s.PGSQL.{self._port}")
        options = {
            **SERVER_SETTINGS,
            "unix_socket_directories": str(sockets),
            "listen_addresses": self._host,
            "port": str(self._port),
        }
        self._child = Child(
            "postgres",
            [
                *(str(programs / "postgres"), "-D", str(cluster)),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            log=self._log,
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            account=account,
            # "fast": sessions are ended, what was committed is written out
            stop_signal=signal.SIGINT,
            grace_s=30,
            held=self._held,
            prepare=lambda: _clear(cluster),
        )
        self._child.start()
        try:
            self._wait_until_ready(_url(sockets, password, "postgres", self._port))
        except BaseException:
            self.stop()
            raise
        return _url(sockets, password, DATABASE, self._port)

    @property
    def running(self) -> Child:
        """Return the process of a server that was started."""
        assert self._child is not None
        return self._child

    def stop(self) -> None:
        """Stop the server in order and remove its socket folder."""
        if self._child is not None:
            self._child.stop()
            places.forget_sockets(self._folder / "run")

    def _password(self, cluster: Path) -> str:
        path = self._folder / "password"
        if path.exists():
            return path.read_text()
        if (cluster / "PG_VERSION").exists():
            raise Unusable(f"The file {path} is missing, so the database beside it cannot be opened.")
        password = secrets.token_urlsafe(24)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
        return password

    def _wait_until_ready(self, url: str) -> None:
        assert self._child is not None
        deadline = time.monotonic() + START_S
        while True:
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                    _assert_durable(connection)
                    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                    if found.fetchone() is None:
                        connection.execute(f"CREATE DATABASE {DATABASE}")
                return
            except psycopg.OperationalError as error:
                if self._child.ended() is not None or time.monotonic() > deadline:
                    raise Unusable(f"PostgreSQL does not start; {self._log} says why.") from error
                if pq.PGconn.ping(url.encode()) == pq.Ping.REJECT:
                    # It replays what a crash left. To end it would have it begin again from the start.
                    deadline = time.monotonic() + START_S
                self._pause(0.05)


def running_in(folder: Path) -> str | None:
    """Return the database's URL of the server that runs in this folder; None if none has sockets there."""
    sockets, password = (folder / "run").resolve(), folder / "password"
    if not (sockets.is_dir() and password.is_file()):
        return None
    return _url(sockets, password.read_text(), DATABASE)


def _url(sockets: Path, password: str, database: str, port: int = PORT) -> str:
    return f"postgresql://{USER}:{quote(password)}@/{database}?host={quote(str(sockets))}&port={port}"


def _make_cluster(programs: Path, cluster: Path, password: str, account: accounts.Account | None) -> None:
    """Make a cluster beside its place and move it there, so that half of one never counts."""
    half = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    if cluster.is_dir() and not any(cluster.iterdir()):
        cluster.rmdir()
    half.mkdir(mode=0o700, parents=True)
    if account:
        os.chown(half, account.uid, account.gid)
    # Not standard input: a pipe of root's cannot be opened again by another user.
    with tempfile.NamedTemporaryFile("w", prefix="hipway-") as password_file:
        password_file.write(f"{password}\n")
        password_file.flush()
        if account:
            os.chown(password_file.name, account.uid, account.gid)
        made = subprocess.run(
            [
                *(str(programs / "initdb"), "--pgdata", str(half), "--username", USER),
                *("--auth", "scram-sha-256", "--pwfile", password_file.name, "--encoding", "UTF8"),
                # One order of text on every machine, whatever its C library.
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
            ],
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            check=False,
        )
    if made.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        last = (made.stderr.strip().splitlines() or ["initdb says nothing"])[-1]
        raise Unusable(f"The database in {cluster} cannot be made: {last.removesuffix('.')}.")
    half.rename(cluster)


def _clear(cluster: Path) -> None:
    """End what is left of the last server on this cluster, and the record of it.

    The folder is ours alone, so whatever still runs in it has lost its supervisor. PostgreSQL
    refuses to start beside it, and a session that hangs would keep it for as long as it likes.
    What was committed is in the log, which the next start reads. A recorded number that now
    belongs to another program would keep PostgreSQL from starting for ever.
    """
    deadline = time.monotonic() + PREDECESSOR_S
    while left := _running_in(cluster):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise Unusable(f"PostgreSQL still runs on {cluster} as process {left[0]}; stop it first.")
        time.sleep(0.05)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _running_in(cluster: Path) -> list[int]:
    """Return the processes of a server on this cluster, as far as the system tells."""
    processes = Path("/proc")
    if not (processes / "self").exists():
        return _recorded(cluster)
    at_home = cluster.resolve()
    return [
        int(process.name)
        for process in processes.iterdir()
        if process.name.isdigit() and _is_server(process, at_home)
    ]


def _is_server(process: Path, cluster: Path) -> bool:
    """Return whether it is a PostgreSQL of the cluster, and not a person's shell that looks into it."""
    try:
        return (process / "cwd").readlink() == cluster and (process / "comm").read_text() == "postgres\n"
    except OSError:
        # It has ended, or is none of ours.
        return False


def _recorded(cluster: Path) -> list[int]:
    """Return the process that the cluster's own record names, if it lives."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        return []
    return [pid]


def _assert_durable(connection: psycopg.Connection) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        row = connection.execute(f"SHOW {name}").fetchone()
        if row is None or row[0] != "on":
            raise Unusable(
                f"PostgreSQL runs with {name} off, so it may forget what it confirmed; turn it on."
            )
