"""hipway beside a HAPI FHIR server: how fast data come in, how fast is decided, how soon an order stands.

    make bench ONLY=hapi

Both run on this machine, each on a PostgreSQL of its own with the same settings; HAPI is what `make hapi`
builds, with the options that figures want. Where answers can be compared they are, before anything is timed.
Every ratio is printed with what was sent, what the other side ran with and what was aimed at.

Without a JDK 17 and Maven, or where they cannot build it, there is no HAPI: that is said, and the exit code
is 2.
"""

import argparse
import sys
from collections.abc import Sequence

import hapi_decision
import hapi_ingest
import hapi_order
import hapi_server
import machine

PARTS_OF_IT = ("ingest", "decision", "order")
ROUNDS, SECONDS, WARM_UP_S = 3, 3.0, 60.0
DECISIONS, ORDERS = 10, 20


def main(arguments: Sequence[str]) -> int:
    """Print the tables and return the exit code; 2 when there is no HAPI here."""
    given = _read(arguments)
    if lacking := hapi_server.lacking():
        print(f"bench_hapi is left out: {lacking}")
        return 2
    _run(given, given.only or PARTS_OF_IT)
    return 0


def _run(given: argparse.Namespace, chosen: Sequence[str]) -> None:
    ours = hapi_order.hipway(given.orders) if "order" in chosen else []
    with hapi_server.server(hapi_server.DEFAULT_INTERVAL_MS) as server:
        print(f"{server.describe()}\n")
        if "ingest" in chosen:
            hapi_ingest.run(
                server,
                rounds=given.rounds,
                seconds=given.seconds,
                warm_up_s=given.warm_up,
                web_processes=given.web_processes,
                detailed=given.detailed,
            )
        if "decision" in chosen:
            hapi_decision.run(server, given.decisions)
        if "order" in chosen:
            by_apply = hapi_order.by_apply(server, given.orders)
    if "order" in chosen:
        with hapi_server.server(hapi_server.BEST_INTERVAL_MS) as server:
            print(f"{server.describe()}\n")
            by_evaluate = hapi_order.by_evaluate(server, given.orders)
        hapi_order.show(ours, by_apply, by_evaluate)


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=PARTS_OF_IT, action="append", help="may be given twice")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the ingest")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of each side in a round of the ingest"
    )
    parser.add_argument(
        "--warm-up", type=float, default=WARM_UP_S, help="seconds, of HAPI, before the ingest"
    )
    parser.add_argument("--web-processes", type=int, default=machine.CORES, help="of hipway, for the ingest")
    parser.add_argument(
        "--detailed", action="store_true", help="Observations with two codings, a component and a note"
    )
    parser.add_argument("--decisions", type=int, default=DECISIONS, help="evaluations of each kind")
    parser.add_argument("--orders", type=int, default=ORDERS, help="on each way")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
