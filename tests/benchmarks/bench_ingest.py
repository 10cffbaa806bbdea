"""How fast Bundles come in, beside what the database alone and a bare web server can take.

    make bench ONLY=ingest

A Bundle holds ten Observations about one known patient, as a laboratory sends them: PUT by identifier,
patient and physician by theirs. hipway is the real `hipway web`, a process for each core, over HTTP on a
durable PostgreSQL: the gate, the look-ups, the index and the promise are in it. The settle window is the
default, so nothing is evaluated here; `bench_latency` measures that. Beside it

    pipeline, Bundle   the same rows by psycopg in the statements of the service, one pipeline per Bundle
    pipeline, rows     the same rows with a statement for each, one pipeline per Bundle
    Flask route        the same body to a route that answers a constant, on the same server

All take turns in rounds of one run, so that what else the machine does hits all alike. Ratios are the
medians of the ratios within a round. Then Bundles are paced: a latency counts from the moment for which a
Bundle was scheduled. Last, the same with ten times as much in the store.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import filling
import lab
import machine
import psycopg
import servers
from pipeline import Inserted, Pipeline, pipeline
from sending import Sender, Sent, sender
from servers import Servers

PATIENTS = 400
SENDERS = (1, 4, 8)
ROUNDS = 5
SECONDS = 2.0
#: more than any of them takes in a round
MOST_PER_SECOND = 3000

PACE = 100
PACED_S = 20.0
SIZES = (20_000, 200_000)

HIPWAY = "hipway"
BASELINES = ("pipeline, Bundle", "pipeline, rows", "Flask route")
#: given a number of senders
Run = Callable[[int], Sent | Inserted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that is running."""

    servers: Servers
    sender: Sender
    pipeline: Pipeline
    web: int
    constant: int
    ids: Sequence[str]
    numbers: Iterator[int]
    seconds: float

    def bodies(self, count: int) -> list[bytes]:
        """Return Bundles that nobody has sent before."""
        first = next(self.numbers)
        return list(lab.bundles(first * 1_000_000, count, patients=PATIENTS))

    def hipway(self, senders: int) -> Sent:
        """Post in a closed loop."""
        return self._sent(self.web, senders)

    def flask(self, senders: int) -> Sent:
        """Post to the bare route in a closed loop."""
        return self._sent(self.constant, senders)

    def inserted(self, kind: str, senders: int) -> Inserted:
        """Insert without HTTP."""
        bodies = self.bodies(int(MOST_PER_SECOND * self.seconds))
        return self.pipeline.run(kind, bodies, patients=self.ids, senders=senders, seconds=self.seconds)

    def _sent(self, port: int, senders: int) -> Sent:
        bodies = self.bodies(int(MOST_PER_SECOND * self.seconds))
        sent = self.sender.closed(port, "/fhir", bodies, senders=senders, seconds=self.seconds)
        _assert_accepted(sent)
        return sent


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--web-processes", type=int, default=machine.CORES)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="of each in a round")
    arguments.add_argument("--sizes", type=int, nargs=2, default=SIZES, help="resources in the store")
    given = arguments.parse_args()
    with ExitStack() as stack:
        running = stack.enter_context(servers.servers())
        print(machine.describe(running.database_url))
        web = running.web(HIPWAY_WEB_PROCESSES=str(given.web_processes))
        bench = Bench(
            servers=running,
            sender=stack.enter_context(sender()),
            pipeline=stack.enter_context(pipeline(running.database_url)),
            web=web,
            constant=running.constant(),
            ids=_patients(running, web),
            numbers=itertools.count(1),
            seconds=given.seconds,
        )
        print(f"a Bundle: {lab.FINDINGS} Observations, {len(bench.bodies(1)[0]) / 1024:.1f} KiB")
        print(f"hipway web with {given.web_processes} processes\n")
        _warm(bench)
        _side_by_side(bench, given.rounds)
        small = _at_size(bench, given.sizes[0])
        large = _at_size(bench, given.sizes[1])
        _growth(small, large, given.sizes)


def _patients(running: Servers, web: int) -> list[str]:
    """Post the patients and return their ids in the order of their numbers."""
    with sender() as first:
        bodies = [json.dumps(lab.patient(number)).encode() for number in range(PATIENTS)]
        _assert_accepted(first.closed(web, "/fhir", bodies, senders=4, seconds=600))
    with psycopg.connect(running.database_url) as connection:
        rows = connection.execute(
            "SELECT value, r.id FROM search_value s JOIN resource r USING (key) WHERE s.type = 'Patient' "
            "AND s.name = 'identifier' ORDER BY value"
        ).fetchall()
    assert [value for value, _ in rows] == [lab.mrn(number) for number in range(PATIENTS)]
    return [id_ for _, id_ in rows]


def _warm(bench: Bench) -> None:
    """Let every thread open its connection and every statement be prepared, and the tables get statistics."""
    for senders in (1, max(SENDERS)):
        bench.hipway(senders)
        bench.flask(senders)
    filling.analyze(bench.servers.database_url)


def _side_by_side(bench: Bench, rounds: int) -> None:
    runs: Mapping[str, Run] = {
        HIPWAY: bench.hipway,
        BASELINES[0]: partial(bench.inserted, "Bundle"),
        BASELINES[1]: partial(bench.inserted, "rows"),
        BASELINES[2]: bench.flask,
    }
    names = list(runs)
    groups = bench.servers.groups
    rates: dict[tuple[str, int], list[float]] = {(name, s): [] for name in names for s in SENDERS}
    costs: dict[tuple[str, int], list[machine.Cost]] = {(name, s): [] for name in names for s in SENDERS}
    for number in range(rounds):
        filling.empty(bench.servers.database_url)
        for senders in SENDERS:
            # Who goes first changes, so that nobody always follows the same neighbour.
            for name in (*names[number % len(names) :], *names[: number % len(names)]):
                before = machine.spent(groups)
                ran = runs[name](senders)
                after = machine.spent(groups)
                rates[name, senders].append(ran.rate)
                bundles = round(ran.rate * bench.seconds)
                costs[name, senders].append(machine.cost(before, after, senders_s=ran.cpu_s, count=bundles))
    print(f"Bundles in a second, {rounds} rounds of {bench.seconds:g} s each")
    print(f"{'':<20}{'senders':>8}{'median':>9}{'min':>8}{'max':>8}{'hipway is':>12}   CPU for a Bundle, ms")
    for senders in SENDERS:
        for name in names:
            found = rates[name, senders]
            ratios = [ours / theirs for ours, theirs in zip(rates[HIPWAY, senders], found, strict=True)]
            ratio = "" if name == HIPWAY else f"{statistics.median(ratios):.2f} of it"
            print(
                f"{name:<20}{senders:>8}{statistics.median(found):>9.0f}{min(found):>8.0f}{max(found):>8.0f}"
                f"{ratio:>12}   {machine.costs(costs[name, senders])}"
            )
    print()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The service at one size of the store."""

    closed: float
    paced: tuple[float, float, float]
    memory: Mapping[str, machine.Memory]
    disk: int


def _at_size(bench: Bench, size: int) -> Measured:
    """Fill the store, measure, print."""
    filling.empty(bench.servers.database_url)
    # What is copied.
    bench.hipway(1)
    held = filling.fill(bench.servers.database_url, size)
    groups = {**bench.servers.groups, "load generator": bench.sender.pid}
    before, begun = machine.spent(groups), time.monotonic()
    sent = bench.sender.paced(bench.web, "/fhir", bench.bodies(int(PACE * PACED_S)), rate=PACE)
    _assert_accepted(sent)
    elapsed, after = time.monotonic() - begun, machine.spent(groups)
    cpu_s = {name: after[name] - before[name] for name in groups}
    p50, p95, p99 = machine.percentiles(sent.times_s)
    memory = {name: machine.memory(pid) for name, pid in groups.items()}
    disk = filling.size(bench.servers.database_url)
    closed = statistics.median(bench.hipway(4).rate for _ in range(3))
    print(f"with {held} resources stored")
    print(f"  paced at {PACE} a second for {PACED_S:.0f} s: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms")
    print(f"  of a core: {machine.shares(cpu_s, elapsed)}")
    print(f"  4 senders: {closed:.0f} Bundles in a second")
    print(f"  {'memory':<18}{'processes':>10}{'RSS MiB':>9}{'PSS MiB':>9}")
    for name, each in memory.items():
        print(f"  {name:<18}{each.processes:>10}{each.rss / machine.MIB:>9.0f}{each.pss / machine.MIB:>9.0f}")
    print()
    return Measured(
        closed=closed,
        paced=(p50, p95, p99),
        memory=memory,
        disk=disk,
    )


def _growth(small: Measured, large: Measured, sizes: Sequence[int]) -> None:
    print(f"from {sizes[0]} to {sizes[1]} resources, {sizes[1] / sizes[0]:.0f} times as many")
    print(f"  time of a Bundle (4 senders)  {small.closed / large.closed:.2f} times")
    for name, at in (("p50", 0), ("p95", 1), ("p99", 2)):
        print(f"  {name} paced{'':<21}{large.paced[at] / small.paced[at]:.2f} times")
    for name in ("web", "PostgreSQL"):
        print(f"  memory of {name:<20}{large.memory[name].pss / small.memory[name].pss:.2f} times")
    print(f"  database on disk{'':<14}{large.disk / small.disk:.2f} times")


def _assert_accepted(sent: Sent) -> None:
    if set(sent.statuses) != {200}:
        raise RuntimeError(f"not every Bundle was accepted: {sent.statuses}")


if __name__ == "__main__":
    main()
