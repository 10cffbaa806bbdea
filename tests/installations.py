"""Start a whole installation as a person does, and look at the processes it is made of."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: by which the guard of a process is told from the process
GUARD = "guard.py"

#: from nothing to the addresses, on a slow machine
START_S = 120
#: longer than the supervisor gives all of its processes together before it kills them
STOP_S = 180


class Installation:
    """A running `hipway run` and what it printed."""

    def __init__(self, data: Path, port: int, **variables: str) -> None:
        """Start it; `until_ready` waits for the addresses."""
        self.url = f"http://127.0.0.1:{port}"
        self.data = data
        self.lines: list[str] = []
        self._read: queue.Queue[str | None] = queue.Queue()
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("HIPWAY_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.commands", "run"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={
                **inherited,
                "HIPWAY_DATA": str(data),
                "HIPWAY_PORT": str(port),
                "HIPWAY_DEMO": "0",
                **variables,
            },
        )
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    def until(self, words: str) -> str:
        """Return the first line with these words."""
        deadline = time.monotonic() + START_S
        while True:
            line = self._read.get(timeout=max(0.0, deadline - time.monotonic()))
            if line is None:
                raise AssertionError(f"ended before it said {words!r}: {self.lines}")
            self.lines.append(line)
            if words in line:
                return line

    def until_ready(self) -> "Installation":
        """Wait until it has said its addresses."""
        self.until("/fhir")
        return self

    def ended(self) -> tuple[int, str]:
        """Wait for its end and return the exit code and everything it printed."""
        code = self.process.wait(START_S)
        self._reader.join()
        while (line := self._read.get()) is not None:
            self.lines.append(line)
        return code, "".join(self.lines)

    def heard(self) -> str:
        """Return everything it has printed so far."""
        while not self._read.empty():
            if (line := self._read.get()) is not None:
                self.lines.append(line)
        return "".join(self.lines)

    def close(self) -> None:
        """Stop it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self._assert_ends()
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()

    def _assert_ends(self) -> None:
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            left = {self.process.pid: "supervisor"}
            left |= {pid: command for (pid, _), command in descendants(self.process.pid).items()}
            states = [f"{pid} {(_stat(pid) or '?')[0]} {command}" for pid, command in left.items()]
            self.process.kill()
            raise AssertionError("\n".join(["did not stop:", *states, self.heard()])) from None

    def _read_on(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._read.put(line)
        self._read.put(None)


@contextmanager
def installation(data: Path, port: int, **variables: str) -> Iterator[Installation]:
    """Run an installation for a block."""
    running = Installation(data, port, **variables)
    try:
        yield running
    finally:
        running.close()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: a process number and when it started: numbers are used again
Process = tuple[int, str]


def descendants(pid: int) -> dict[Process, str]:
    """Return every process below this one with its command."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            parents[int(folder.name)] = int(fields[1])
    found: dict[Process, str] = {}
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child in [number for number, above in parents.items() if above == parent]:
            waiting.append(child)
            if fields := _stat(child):
                found[child, fields[19]] = _command(child)
    return found


def alive(processes: dict[Process, str]) -> dict[Process, str]:
    """Return those that still run; one that only waits to be collected does not."""
    return {
        (pid, started): command
        for (pid, started), command in processes.items()
        if (fields := _stat(pid)) and fields[19] == started and fields[0] != "Z"
    }


def all_gone(processes: dict[Process, str], within_s: float) -> dict[Process, str]:
    """Wait for their end and return those that are left."""
    deadline = time.monotonic() + within_s
    while (left := alive(processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the name: state, parent, ... and at 19 the start."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
