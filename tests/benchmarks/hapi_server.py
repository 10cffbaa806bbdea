"""The HAPI server of a benchmark: what it runs with, what is on it, and how it is asked."""

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path

import httpx
import machine
from hapi.server import PROGRAM, Hapi
from installations import free_port
from optional_parts import PARTS
from playing import Json

from fhir_profiles import reading
from service.commands import main as hipway
from service.supervisor.unusable import Unusable

#: for figures: the default compiler of the virtual machine, which is slow at first and fast in the end, and a
#: heap that is never short
JAVA = ("-Xms2g", "-Xmx2g", "-Duser.timezone=UTC")
#: HAPI's own, and what the sandbox takes
DEFAULT_INTERVAL_MS, BEST_INTERVAL_MS = 5000, 200
TIMEOUT_S = 120

HEADERS = {
    "Content-Type": "application/fhir+json",
    "Accept": "application/fhir+json",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running HAPI that holds our definitions."""

    port: int
    interval_ms: int
    client: httpx.Client
    #: seconds until it answered
    started_s: float
    #: the process at the top of each part
    groups: Mapping[str, int]

    def describe(self) -> str:
        """Return what it is and what it runs with."""
        software = self.get("/metadata")["software"]
        return (
            f"{software['name']} {software['version']}: {' '.join(JAVA)}, default JIT; its PostgreSQL has "
            "the settings of ours, and at most 20 connections; references are checked, requests are not "
            f"validated; a Subscription looks every {self.interval_ms} ms; it answered "
            f"{self.started_s:.0f} s after its start"
        )

    def get(self, path: str) -> Json:
        """Return what is at a path; raises as `post`."""
        return self._ask("GET", path)

    def put(self, path: str, body: Json) -> Json:
        """Return the answer to a PUT; raises as `post`."""
        return self._ask("PUT", path, body)

    def post(self, path: str, body: Json) -> Json:
        """Return the answer to a POST.

        Raises:
            RuntimeError: it was refused; the first words of the answer are said.
        """
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Json:
        """Delete what is at a path; raises as `post`."""
        return self._ask("DELETE", path)

    def send(self, method: str, path: str, content: bytes | None) -> bytes:
        """Return the answer to a request as it came; raises as `post`."""
        answer = self.client.request(method, path, content=content)
        if not answer.is_success:
            raise RuntimeError(f"HAPI answers {answer.status_code} to {path}: {answer.text[:500]}")
        return answer.content

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self.send(method, path, None if body is None else reading.write(body))
        told: Json = json.loads(answer, parse_float=Decimal)
        return told


def lacking() -> str | None:
    """Return why there can be no HAPI here, as the rest of a sentence; None: it is built."""
    is_here, needed = PARTS["hapi"]
    if not is_here():
        return f"it needs {needed}."
    try:
        PROGRAM.build()
    except Unusable as error:
        return str(error)
    return None


@contextmanager
def server(interval_ms: int) -> Iterator[Server]:
    """Run a HAPI with a PostgreSQL of its own and our definitions on it for a block.

    Args:
        interval_ms: how often its Subscriptions look for changes.
    """
    folder = Path(tempfile.mkdtemp(prefix="hipway-bench-hapi-"))
    folder.chmod(0o711)
    port = free_port()
    running = Hapi(folder, port, java=JAVA, interval_ms=interval_ms)
    begun = time.monotonic()
    try:
        try:
            running.start()
        except Unusable:
            # The folder with its log will be gone.
            raise RuntimeError(f"HAPI does not start: {running.log.read_text()[-2000:]}") from None
        started_s = time.monotonic() - begun
        with redirect_stdout(StringIO()) as said:
            code = hipway(["publish", "--to", running.base])
        if code != 0:
            raise RuntimeError(f"the definitions were not published: {said.getvalue()[-500:]}")
        with httpx.Client(base_url=running.base, headers=HEADERS, timeout=TIMEOUT_S) as client:
            yield Server(
                port=port,
                interval_ms=interval_ms,
                client=client,
                started_s=started_s,
                groups=running.groups(),
            )
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def middle(times_s: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile in milliseconds."""
    return statistics.median(times_s) * 1000, machine.percentiles(times_s)[1]


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median of how many times as long theirs took, round by round."""
    return statistics.median(there / here for there, here in zip(theirs, ours, strict=True))


def verdict(ratio: float, aims: Sequence[float]) -> str:
    """Return a ratio beside what was aimed at, and whether it is reached."""
    said = ", ".join(f"{aim:g} {'reached' if ratio >= aim else 'NOT reached'}" for aim in aims)
    return f"{ratio:.1f} times (aim {said})"


def load() -> str:
    """Return how busy the machine is, whoever keeps it so."""
    return f"load {os.getloadavg()[0]:.1f}"
