"""How many visits the intake stores in a second, and how long each takes.

A visit is the first example of the pathway (14 entries: a person, who saw them, a clinic, an
encounter, a diagnosis and findings), with its own patient and its own identifiers. The
database is real and durable; reading, gate, references, locks and commit are all in it.

    python tests/benchmarks/bench_ingest.py [SECONDS]
"""

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fhir_profiles import gate, reading
from service.fhir.transaction import accept
from service.store import migrate
from service.store.database import Database
from service.supervisor.postgres import Postgres

EXAMPLE = (Path(__file__).parents[1] / "examples" / "01-new-referral-visit.json").read_bytes()
SENDERS = (1, 4)


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    with _server() as url:
        migrate.upgrade(url)
        database = Database(url, pool_size=max(SENDERS), overflow=0)
        database.assert_durable()
        entries = len(reading.read(EXAMPLE)["entry"])
        print(f"one visit: {entries} entries, {len(EXAMPLE) / 1024:.1f} KiB\n")
        print(f"{'what':<34}{'senders':>8}{'visits/s':>10}{'p50 ms':>9}{'p95 ms':>9}{'ratio':>7}")
        kinds: tuple[tuple[str, Callable[[int], bytes]], ...] = (
            ("new patients", _visit),
            ("the same again", lambda number: _visit(number % 50)),
            ("corrections", lambda number: _visit(number % 50, correction=number)),
        )
        first = None
        for kind, body_of in kinds:
            for senders in SENDERS:
                times, elapsed = _run(database, body_of, senders, seconds)
                rate = len(times) / elapsed
                first = first or rate
                _line(kind, senders, rate, times, rate / first)
        alone = [_timed(lambda: _read_and_check(EXAMPLE)) for _ in range(200)]
        rate = 1 / statistics.mean(alone)
        _line("reading and gate alone", 1, rate, alone, rate / (first or rate))
        database.close()


def _line(kind: str, senders: int, rate: float, times: list[float], ratio: float) -> None:
    cuts = statistics.quantiles(times, n=20)
    print(f"{kind:<34}{senders:>8}{rate:>10.0f}{cuts[9] * 1000:>9.1f}{cuts[18] * 1000:>9.1f}{ratio:>7.2f}")


def _run(
    database: Database, body_of: Callable[[int], bytes], senders: int, seconds: float
) -> tuple[list[float], float]:
    """Send for a while and return how long each took, and all together."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def send(sender: int) -> None:
        number = sender
        while time.perf_counter() < end:
            body = body_of(number)
            times.append(_timed(lambda body=body: accept(database, reading.read(body), sender="bench")))  # type: ignore[misc]
            number += senders

    begun = time.perf_counter()
    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - begun


def _visit(number: int, correction: int | None = None) -> bytes:
    """Return the example with identifiers of its own; a correction changes one value."""
    own = EXAMPLE.replace(b"00471133", f"{number:08}".encode()).replace(b"O-90210", f"O-{number:05}".encode())
    own = own.replace(b"urn:uuid:6f1c2b3a-0d4e", f"urn:uuid:6f1c2b3a-{number % 65536:04x}".encode())
    if correction is not None:
        own = own.replace(b'"value": 6', f'"value": {correction % 11}'.encode())
    return own


def _read_and_check(body: bytes) -> None:
    for entry in reading.read(body)["entry"]:
        gate.check(entry["resource"])


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def _server() -> Iterator[str]:
    url = os.environ.get("HIPWAY_DATABASE_URL")
    if url:
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="hipway-bench-"))
    folder.chmod(0o711)
    server = Postgres(folder / "pg")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
