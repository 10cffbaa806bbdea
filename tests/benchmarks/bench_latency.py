"""From an Observation to the order that it leads to, at a steady rate of Bundles.

    make bench ONLY=latency

The processes of an installation (web, worker, sweep, PostgreSQL, Valkey) and the load generator on one
machine. Every Bundle is about another patient in conservative therapy and holds the one Observation (weakness
two grades worse) that leads to an urgent MRI; evaluation is immediate (`settle.minutes` 0). Bundles are sent
at scheduled moments, and the time counts from the schedule to the commit of the order, as the database notes
it (`track_commit_timestamp`; it is taken just before the flush, a fraction of a millisecond early).

Rates are tried from the highest down to the first at which 99 of 100 orders are stored within the limit.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import machine
import psycopg
import servers
import therapy
from sending import Sender, Sent, sender
from servers import Servers

RATES = (100, 80, 60, 50, 40, 30, 20, 15, 10, 5)
SECONDS = 10
#: fewer would not tell a 99th percentile
FEWEST = 200
LIMIT_MS = 100
WORKERS = 2
#: everything is evaluated within this, or the benchmark fails
DRAIN_S = 300

_ORDERS = """
    SELECT patient, extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8
    FROM resource WHERE type = 'ServiceRequest' AND owned AND key > %s GROUP BY patient
"""
_ARRIVED = """
    SELECT patient, extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
    FROM resource WHERE type = 'Observation' AND key > %s GROUP BY patient
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How long the way of one Observation took, in seconds."""

    #: from the schedule to the commit of the order
    order: float
    #: from the schedule to the commit of the Bundle
    stored: float
    #: until a worker began: the wake-up, and the queue before it
    waited: float
    #: until the worker was done, the commit of the order included
    evaluated: float
    #: of that, by stage
    spent: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen at one rate."""

    sent: Sent
    #: seconds from the schedule to the commit of each order
    orders: list[float]
    #: of those whose evaluation a worker has noted; the sweep does some when workers seem to stand still
    ways: list[Way]
    #: until the last was evaluated
    elapsed_s: float
    #: CPU seconds of each process
    cpu_s: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Bench:
    """Everything that is running."""

    servers: Servers
    sender: Sender
    web: int
    times: Path
    #: patients so far
    patients: int = 0

    def prepare(self, count: int) -> range:
        """Bring so many new patients into therapy and return their numbers."""
        numbers = range(self.patients, self.patients + count)
        self.patients += count
        now = datetime.now(UTC)
        bodies = [therapy.prepared(number, now) for number in numbers]
        _assert_accepted(self.sender.closed(self.web, "/fhir", bodies, senders=4, seconds=DRAIN_S))
        self.drain()
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            # A database that is older than a minute has statistics; it takes them by itself.
            connection.execute("ANALYZE")
        return numbers

    def drain(self) -> None:
        """Wait until every arrival is evaluated."""
        deadline = time.monotonic() + DRAIN_S
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            while connection.execute("SELECT 1 FROM arrival LIMIT 1").fetchone():
                if time.monotonic() > deadline:
                    raise RuntimeError("not everything was evaluated in time; the worker's log says why")
                time.sleep(0.2)


def main() -> None:
    """Print a table for each rate."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rates", type=float, nargs="+", default=RATES)
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="at each rate")
    arguments.add_argument("--workers", type=int, default=WORKERS)
    given = arguments.parse_args()
    with running(given.workers) as bench:
        print(f"{given.workers} worker processes; the limit is {LIMIT_MS} ms for 99 of 100 orders\n")
        for rate in given.rates:
            p99 = _shown(bench, rate, max(int(rate * given.seconds), FEWEST))
            if p99 <= LIMIT_MS:
                print(f"the highest rate tried that keeps to the limit: {rate:g} a second")
                return
        print(f"no rate that was tried keeps to the limit of {LIMIT_MS} ms")


@contextmanager
def running(workers: int) -> Iterator[Bench]:
    """Run an installation that evaluates at once, warm, for a block; its machine is printed."""
    with servers.servers(track_commit_timestamp="on") as started, sender() as sending:
        print(machine.describe(started.database_url))
        with psycopg.connect(started.database_url) as connection:
            connection.execute(
                "INSERT INTO site_parameter (at, who, values) "
                """VALUES (now(), 'benchmark', '{"settle.minutes": 0}')"""
            )
        times = started.folder / "times.jsonl"
        started.worker(workers, times)
        bench = Bench(servers=started, sender=sending, web=started.web(), times=times)
        # Every process has compiled its rules and prepared its statements before anything counts.
        at_rate(bench, 10, 50)
        yield bench


def _shown(bench: Bench, rate: float, count: int) -> float:
    """Measure at a rate, print it, and return the 99th percentile in milliseconds."""
    found = at_rate(bench, rate, count)
    p50, p95, p99 = machine.percentiles(found.orders)
    a50, a95, a99 = machine.percentiles(found.sent.times_s)
    print(
        f"{rate:g} Bundles a second, {count} patients, {found.elapsed_s:.1f} s until the last was evaluated"
    )
    print(f"  {'':<36}{'p50':>9}{'p95':>9}{'p99':>9} ms")
    print(f"  {'Observation sent to order stored':<36}{p50:>9.1f}{p95:>9.1f}{p99:>9.1f}")
    print(f"  {'Observation sent to answer':<36}{a50:>9.1f}{a95:>9.1f}{a99:>9.1f}")
    _parts(found.ways)
    if alone := count - len(found.ways):
        print(f"  {alone} were not evaluated by a worker but by the sweep")
    print(f"  of a core: {machine.shares(found.cpu_s, found.elapsed_s)}")
    costs = (f"{name} {cpu_s / count * 1000:.1f}" for name, cpu_s in found.cpu_s.items())
    print(f"  CPU for a Bundle, ms: {', '.join(costs)}")
    print(f"  afterwards {machine.pace()}\n")
    return p99


def _parts(ways: Sequence[Way]) -> None:
    parts = {
        "Bundle stored": [way.stored for way in ways],
        "woken, and waited for a worker": [way.waited for way in ways],
        "evaluated": [way.evaluated for way in ways],
    }
    stages = list(dict.fromkeys(stage for way in ways for stage in way.spent))
    parts |= {f"  {stage}": [way.spent.get(stage, 0.0) for way in ways] for stage in stages}
    parts["  reading, writing, lease, log"] = [way.evaluated - sum(way.spent.values()) for way in ways]
    for name, times in parts.items():
        p50, p95, p99 = machine.percentiles(times)
        print(f"    {name:<32}{p50:>9.1f}{p95:>9.1f}{p99:>9.1f}")


def at_rate(bench: Bench, rate: float, count: int) -> Measured:
    """Send one Observation for each of so many patients."""
    numbers = bench.prepare(count)
    with psycopg.connect(bench.servers.database_url) as connection:
        row = connection.execute("SELECT max(key) FROM resource").fetchone()
    assert row
    now = datetime.now(UTC)
    bodies = [therapy.weaker(number, now) for number in numbers]
    bench.times.write_bytes(b"")
    groups = {**bench.servers.groups, "load generator": bench.sender.pid}
    before, begun = machine.spent(groups), time.monotonic()
    sent = bench.sender.paced(bench.web, "/fhir", bodies, rate=rate)
    _assert_accepted(sent)
    bench.drain()
    elapsed, after = time.monotonic() - begun, machine.spent(groups)
    # The worker notes the end of an evaluation after its commit.
    time.sleep(0.5)
    orders, ways = _ways(bench, numbers, sent, row[0])
    return Measured(
        sent=sent,
        orders=orders,
        ways=ways,
        elapsed_s=elapsed,
        cpu_s={name: after[name] - before[name] for name in groups},
    )


def _ways(bench: Bench, numbers: range, sent: Sent, last_key: int) -> tuple[list[float], list[Way]]:
    with psycopg.connect(bench.servers.database_url) as connection:
        stored = dict(connection.execute(_ORDERS, [last_key]).fetchall())
        arrived = dict(connection.execute(_ARRIVED, [last_key]).fetchall())
    noted = {line["patient"]: line for line in map(json.loads, bench.times.read_text().splitlines())}
    orders, ways = [], []
    for scheduled, number in zip(sent.begun_at, numbers, strict=True):
        patient = therapy.patient(number)
        if patient not in stored:
            raise RuntimeError(f"no order was stored for {patient}")
        orders.append(stored[patient] - scheduled)
        if line := noted.get(patient):
            ways.append(
                Way(
                    order=orders[-1],
                    stored=arrived[patient] - scheduled,
                    waited=line["begun"] - arrived[patient],
                    evaluated=line["ended"] - line["begun"],
                    spent=line["spent"],
                )
            )
    return orders, ways


def _assert_accepted(sent: Sent) -> None:
    if set(sent.statuses) != {200}:
        raise RuntimeError(f"not every Bundle was accepted: {sent.statuses}")


if __name__ == "__main__":
    main()
