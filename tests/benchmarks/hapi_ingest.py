"""Transaction Bundles of ten Observations a second, on hipway and on HAPI: the same bytes, closed loop.

The Bundles are those of `bench_ingest`: PUT by identifier, patient and physician by theirs; nobody has sent
them before. Both take turns in rounds; ratios are the medians of the ratios within a round. Any answer but
200 ends the benchmark. The settle window of hipway is the default, so that nothing is evaluated; HAPI has no
Subscription.
"""

import itertools
import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import filling
import hapi_server
import lab
import machine
from hapi_server import Server
from sending import Sender, Sent, sender
from servers import servers

PATIENTS = 100
SENDERS = (1, 4, 8)
AIMS = (10, 15)

HIPWAY, HAPI = "hipway", "HAPI"
#: more than each takes in a second
MOST_PER_SECOND = {HIPWAY: 1000, HAPI: 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Both sides, and who sends."""

    sender: Sender
    ports: dict[str, int]
    numbers: Iterator[int]
    seconds: float
    #: each Observation has a code of the laboratory's too, a component and a note
    detailed: bool
    #: the process at the top of each group whose CPU time is told
    groups: Mapping[str, int]

    def measured(self, name: str, senders: int) -> tuple[Sent, machine.Cost]:
        """Post new Bundles to one side, and return what a Bundle cost whom besides."""
        before = machine.spent(self.groups)
        sent = self.post(name, senders)
        after = machine.spent(self.groups)
        return sent, machine.cost(before, after, senders_s=sent.cpu_s, count=len(sent.times_s))

    def post(self, name: str, senders: int) -> Sent:
        """Post new Bundles to one side in a closed loop."""
        most = int(MOST_PER_SECOND[name] * self.seconds)
        bodies = list(self.bundles(next(self.numbers) * 1_000_000, most))
        return self._accepted(name, bodies, senders, self.seconds)

    def bundles(self, first: int, count: int) -> Iterator[bytes]:
        """Yield Bundles by their numbers."""
        return lab.bundles(first, count, patients=PATIENTS, detailed=self.detailed)

    def patients(self, name: str) -> None:
        """Post the patients and the physician."""
        bodies = [json.dumps(lab.patient(number)).encode() for number in range(PATIENTS)]
        # The physician first, once: who comes at the same time would collide on HAPI.
        self._accepted(name, bodies[:1], 1, 60)
        self._accepted(name, bodies[1:], 4, 600)

    def _accepted(self, name: str, bodies: list[bytes], senders: int, seconds: float) -> Sent:
        sent = self.sender.closed(self.ports[name], "/fhir", bodies, senders=senders, seconds=seconds)
        if set(sent.statuses) != {200}:
            raise RuntimeError(f"{name} did not accept every Bundle: {sent.statuses}")
        return sent


def run(
    server: Server, *, rounds: int, seconds: float, warm_up_s: float, web_processes: int, detailed: bool
) -> None:
    """Print the Bundles in a second and the ratio, by the number of connections.

    Args:
        server: the other side.
        rounds: how often both take their turns.
        seconds: of each turn.
        warm_up_s: for which HAPI is sent Bundles first.
        web_processes: of `hipway web`.
        detailed: as `lab.bundles` takes it.
    """
    with servers() as running, sender() as sending:
        print(machine.describe(running.database_url))
        web = running.web(HIPWAY_WEB_PROCESSES=str(web_processes))
        ports = {HIPWAY: web, HAPI: server.port}
        groups = {**running.groups, **server.groups}
        bench = Bench(
            sender=sending,
            ports=ports,
            numbers=itertools.count(1),
            seconds=seconds,
            groups=groups,
            detailed=detailed,
        )
        for name in ports:
            bench.patients(name)
        size = len(next(bench.bundles(0, 1)))
        print(
            f"Ingest: transaction Bundles of {lab.FINDINGS} Observations, {size / 1000:.1f} kB, the same "
            f"bytes for both; hipway web with {web_processes} process{'es' * (web_processes > 1)}"
        )
        _warm(bench, warm_up_s)
        filling.analyze(running.database_url)
        rates: dict[tuple[str, int], list[float]] = {(n, s): [] for n in ports for s in SENDERS}
        times: dict[tuple[str, int], list[float]] = {(n, s): [] for n in ports for s in SENDERS}
        costs: dict[tuple[str, int], list[machine.Cost]] = {(n, s): [] for n in ports for s in SENDERS}
        waited: list[float] = []
        for number in range(rounds):
            for senders in SENDERS:
                # Who goes first changes, so that nobody always follows the same neighbour.
                for name in sorted(ports, reverse=bool(number % 2)):
                    waited.append(machine.quieten())
                    sent, cost = bench.measured(name, senders)
                    costs[name, senders].append(cost)
                    rates[name, senders].append(sent.rate)
                    times[name, senders] += sent.times_s
    print(
        f"  {rounds} rounds of {seconds:g} s each, after {statistics.median(waited):.0f} s, at most "
        f"{max(waited):.0f}, in which both came to rest; {hapi_server.load()}"
    )
    print(f"  {'':<8}{'connections':>12}{'Bundles/s':>11}{'min':>8}{'max':>8}{'p50':>9}{'p95':>9} ms")
    for senders in SENDERS:
        for name in ports:
            found = rates[name, senders]
            middle = statistics.median(found)
            p50, p95, _ = machine.percentiles(times[name, senders])
            print(
                f"  {name:<8}{senders:>12}{middle:>11.1f}{min(found):>8.1f}{max(found):>8.1f}"
                f"{p50:>9.1f}{p95:>9.1f}{_ratio(name, senders, rates)}"
            )
    print("  CPU for a Bundle, ms, on both sides together:")
    for name in ports:
        for senders in SENDERS:
            print(f"  {name:<8}{senders:>12}  {machine.costs(costs[name, senders])}")
    print()


def _ratio(name: str, senders: int, rates: dict[tuple[str, int], list[float]]) -> str:
    if name == HAPI:
        return ""
    ratio = hapi_server.ratio(rates[HIPWAY, senders], rates[HAPI, senders])
    return f"   {hapi_server.verdict(ratio, AIMS)}"


def _warm(bench: Bench, seconds: float) -> None:
    """Let HAPI's compiler see the work; how fast it has become is printed."""
    spent, rates = 0.0, []
    while spent < seconds:
        sent = bench.post(HAPI, max(SENDERS))
        spent += sent.elapsed_s
        rates.append(sent.rate)
    print(f"  warm-up of HAPI, {spent:.0f} s at {max(SENDERS)} connections: ", end="")
    print(" ".join(f"{rate:.0f}" for rate in rates), "Bundles a second")
    for senders in (1, max(SENDERS)):
        bench.post(HIPWAY, senders)
