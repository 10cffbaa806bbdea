"""Searches of a large site: the time to the last byte, and the same for the first page and the thousandth.

    make bench ONLY=search

A million Observations of twenty thousand patients, made by the server in the rows that the service would
write; each patient has fifty of them, of twenty codes, and two ServiceRequests and a CarePlan. Each query is
asked for over one connection to the real `hipway web`, one after another, for a different patient each
time. The aim for the queries of integration engineers is a 95th percentile of 20 ms.

Then, where HAPI can be built (a JDK 17 and Maven), the same queries on both over a hundred thousand
Observations that were posted to both.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import filling
import hapi_search
import hapi_server
import machine
import psycopg
from hapi_search import LOINC, UCUM, Ask, asker
from servers import servers

PATIENTS = 20_000
EACH = 50
ROUNDS = 200
WARM = 10
AIM_MS = 20
COUNT = 50
PAGE = 1_000

#: queries about one patient, whose number is put in; then those about everybody
OF_A_PATIENT = (
    "Observation?patient=p{n}",
    "Observation?patient=p{n}&code=" + LOINC + "|c7",
    "Observation?patient=p{n}&category=laboratory",
    "Observation?patient=p{n}&category=laboratory&date=ge2026-02-01",
    "Observation?patient=p{n}&code=" + LOINC + "|c7&date=ge2026-02-01",
    "Observation?patient=p{n}&_sort=-date&_count=1",
    "Observation?patient.identifier=urn:mrn|{n}&code=c7",
    "Observation?patient=p{n}&_include=Observation:patient",
    "Observation?code-value-quantity=" + LOINC + "|c7$gt50|" + UCUM + "|g/L&patient=p{n}",
    "ServiceRequest?patient=p{n}&category=imaging",
    "ServiceRequest?patient=p{n}&category=imaging&authored=ge2026-02-01",
    "ServiceRequest?patient=p{n}&code=urn:proc|scan",
    "CarePlan?patient=p{n}&category=assess-plan",
    "Patient?identifier=urn:mrn|{n}",
    "Patient?family=name{n}&birthdate=1960-01-02",
    "Patient?_id=p{n}&_revinclude=Observation:patient",
    "Patient/p{n}/Observation",
)
OF_EVERYBODY = (
    "Observation?code=" + LOINC + "|c7",
    "Observation?code=" + LOINC + "|c7&date=ge2026-02-01&date=lt2026-02-02",
    "Observation?code=" + LOINC + "|c7&value-quantity=gt99|" + UCUM + "|g/L",
    "Observation?encounter=Encounter/e77",
    "Patient?_has:Observation:patient:encounter=Encounter/e77",
)

_FILL = (Path(__file__).parent / "filling_search.sql").read_text(encoding="utf-8")


def main() -> None:
    """Fill, ask, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=("large", "hapi"), help="one of the two tables")
    parser.add_argument("--hapi-patients", type=int, default=hapi_search.PATIENTS)
    args = parser.parse_args()
    if args.only != "hapi":
        _large(args)
    if args.only != "large":
        _beside_hapi(args)


def _large(args: argparse.Namespace) -> None:
    with servers() as running:
        print(machine.describe(running.database_url))
        _fill(running.database_url, args.patients)
        filling.analyze(running.database_url)
        port = running.web()
        ask = asker(port)
        print(f"{args.patients * EACH:,} Observations of {args.patients:,} patients; ms, p50 and p95")
        for query in (*OF_A_PATIENT, *OF_EVERYBODY):
            _print(query, _measured(ask, query, args.patients, args.rounds))
        deep = _key_of_page(running.database_url, PAGE, args.patients)
        for name, after in (("first page", 0), (f"page {deep[0]:,}", deep[1])):
            for total in ("none", "estimate"):
                query = f"Observation?code={LOINC}|c7&_count={COUNT}&_total={total}&_page={after}"
                _print(f"{name}, _total={total}", _measured(ask, query, args.patients, args.rounds))


def _beside_hapi(args: argparse.Namespace) -> None:
    if lacking := hapi_server.lacking():
        print(f"\nThe searches beside HAPI are left out: {lacking}")
        return
    with hapi_server.server(hapi_server.DEFAULT_INTERVAL_MS) as server:
        print(f"\n{server.describe()}")
        hapi_search.run(server, patients=args.hapi_patients)


def _fill(url: str, patients: int) -> None:
    with psycopg.connect(url) as connection:
        for first in range(1, patients + 1, 500):
            last = min(first + 499, patients)
            for statement in _FILL.split(";\n"):
                if statement.strip():
                    connection.execute(statement, {"a": first, "b": last, "each": EACH})
            connection.commit()


def _measured(ask: Ask, query: str, patients: int, rounds: int) -> Sequence[float]:
    found = []
    for number in range(WARM + rounds):
        asked = query.format(n=1 + number * 7919 % patients)
        began = time.perf_counter()
        ask(asked)
        found.append((time.perf_counter() - began) * 1000)
    return found[WARM:]


def _key_of_page(url: str, page: int, patients: int) -> tuple[int, int]:
    """Return the number of a page, the last one where there are fewer, and after which key it begins."""
    matches = patients * EACH // 20
    page = min(page, matches // COUNT)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT key FROM search_value WHERE type = 'Observation' AND name = 'code' AND value = 'c7' "
            "ORDER BY key OFFSET %s LIMIT 1",
            [(page - 1) * COUNT - 1],
        ).fetchone()
    assert row
    return page, int(row[0])


def _print(name: str, times: Sequence[float]) -> None:
    tail = statistics.quantiles(times, n=20)[-1]
    mark = "" if tail <= AIM_MS else f"  over {AIM_MS}"
    print(f"{statistics.median(times):8.1f} {tail:8.1f}  {name}{mark}", flush=True)


if __name__ == "__main__":
    main()
