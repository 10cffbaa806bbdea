"""One whole evaluation of one hip, with its parts, by the number of observations in the record.

A real PostgreSQL, one process, CPU time; each row the median of several evaluations that each have a new pain
score to look at. The record is a patient in therapy; its observations are repeated under new ids until there
are enough of them. The last row but one adds observations that no rule reads. In the last one each score
cannot be used, so that every evaluation writes an issue and a Task.

    claim     the promise, in a transaction of its own, and what is around everything
    load      the snapshot: record, memories, clock, parameters
    guards    the CQL definitions
    machine   the transitions, decisions and standing work around them
    render    what is written, and its check by the R4B models
    save      rows and versions, and the commit
"""

import functools
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filling
import machine
from servers import servers

from fhir_profiles import reading
from pathways import cql
from service import clock, log, snapshot
from service.fhir import transaction
from service.store import parameters
from service.store.database import Database
from worker import advance

SIZES = (20, 100, 500)
OTHERS = 20_000
ROUNDS = 15
#: the least CPU of an evaluation at 100 observations that is asked for
AIM_MS = 25
STORY = Path(__file__).parents[1] / "stories" / "V10.json"
STEPS = 7
#: the findings of a Bundle, so that none is too large
AT_ONCE = 500
PARTS = ("claim", "load", "guards", "machine", "render", "save")

Json = dict[str, Any]


def main() -> None:
    """Print a table; the last columns compare with the first row and tell what PostgreSQL spent."""
    log.configure("bench", level="warning")
    with servers() as running:
        database = Database(running.database_url)
        with database.transaction() as tx:
            parameters.set_(tx, {"settle.minutes": 0}, "bench", datetime.now(UTC))
        print(machine.describe(running.database_url))
        print(f"{'observations':>14} {'ms CPU':>8}" + "".join(f"{part:>9}" for part in PARTS), end="")
        print(f" {'ratio':>7} {'PostgreSQL':>11}")
        patient, moment, observations = in_therapy(database)
        first = None
        have = len(observations)
        for size, others in (*((size, 0) for size in SIZES), (SIZES[1], OTHERS)):
            if others:
                # A patient of their own, so that the row differs from that of 100 by the others alone.
                patient, moment, observations = in_therapy(database, "other")
                have = len(observations)
                add(database, patient, [unread(number, moment) for number in range(others)])
            add(database, patient, [again(observations, number) for number in range(have, size)])
            have = size
            filling.analyze(running.database_url)
            taken, parts, server = measured(database, patient, moment, running.groups["PostgreSQL"])
            first = first or taken
            _print_row(f"{size} + {others}" if others else str(size), taken, parts, first, server)
        patient, moment, observations = in_therapy(database, "written")
        add(database, patient, [again(observations, number) for number in range(len(observations), SIZES[1])])
        filling.analyze(running.database_url)
        taken, parts, server = measured(database, patient, moment, running.groups["PostgreSQL"], unit="cm")
        _print_row(f"{SIZES[1]}, writing", taken, parts, first, server)
        print(f"aim at 100 observations: {AIM_MS} ms")


def _print_row(name: str, taken: float, parts: dict[str, float], first: float | None, server: float) -> None:
    print(f"{name:>14} {taken:>8.1f}" + "".join(f"{parts[part]:>9.1f}" for part in PARTS), end="")
    print(f" {taken / (first or taken):>6.1f}x {server:>8.1f} ms")


def in_therapy(database: Database, name: str = "one") -> tuple[str, datetime, list[Json]]:
    """Bring a patient into therapy; return the id, the last moment and the observations."""
    story = json.loads(STORY.read_text().replace("gmt-v10", f"bench-{name}").replace("v10-", f"{name}-"))
    patient, found, moment = f"bench-{name}", {}, datetime.now(UTC)
    with database.transaction() as tx:
        clock.set_(tx, datetime.fromisoformat(story["steps"][0]["at"]), held=False)
    for step in story["steps"][:STEPS]:
        if step["bundle"]:
            text = json.dumps(step["bundle"])
            if "/vignette." in text:
                continue
            transaction.accept(database, reading.read(text.encode()), sender="bench")
            found |= {
                e["resource"]["id"]: e["resource"]
                for e in step["bundle"]["entry"]
                if e["resource"]["resourceType"] == "Observation"
            }
        moment = datetime.fromisoformat(step["advanceTo"])
        with database.transaction() as tx:
            clock.set_(tx, moment, held=False)
        # A step in which time alone passes may leave nothing to do.
        advance.advance(database, 0, patient)
    return patient, moment, list(found.values())


def add(database: Database, patient: str, observations: list[Json]) -> None:
    """Store observations, and evaluate the patient once."""
    for first in range(0, len(observations), AT_ONCE):
        accept(database, patient, observations[first : first + AT_ONCE])
    assert not observations or advance.advance(database, 0, patient)


def again(observations: list[Json], number: int) -> Json:
    """Return one of the observations under a new id."""
    source = observations[number % len(observations)]
    return {**source, "id": f"{source['subject']['reference'].rpartition('/')[2]}-again-{number}"}


def unread(number: int, moment: datetime) -> Json:
    """Return an observation that no rule reads: a heart rate."""
    return {
        "resourceType": "Observation",
        "id": f"unread-{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
        "effectiveDateTime": (moment - timedelta(minutes=number)).isoformat(),
        "valueQuantity": {"value": 60 + number % 40, "unit": "/min"},
    }


def measured(
    database: Database, patient: str, moment: datetime, server: int, *, unit: str | None = None
) -> tuple[float, dict[str, float], float]:
    """Return the median CPU of an evaluation, of its parts, and the mean of the server's, in milliseconds."""
    totals, parts = [], []
    spent = 0.0
    for number in range(ROUNDS):
        accept(database, patient, [pain(patient, number, moment, unit)])
        before = machine.cpu_s(server)
        with timed() as clocks:
            start = time.process_time()
            assert advance.advance(database, 0, patient)
            total = time.process_time() - start
        spent += machine.cpu_s(server) - before
        totals.append(total * 1000)
        parts.append(_split(total, clocks))
    return (
        statistics.median(totals),
        {part: statistics.median(each[part] for each in parts) for part in PARTS},
        spent / ROUNDS * 1000,
    )


@contextmanager
def timed() -> Iterator[Counter[str]]:
    """Count the CPU time spent below the functions that are the parts of an evaluation."""
    clocks: Counter[str] = Counter()
    inside: list[str] = []

    def counted(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **keywords: Any) -> Any:
            if inside and inside[-1] == part:
                return function(*args, **keywords)
            inside.append(part)
            start = time.process_time()
            try:
                return function(*args, **keywords)
            finally:
                clocks[part] += time.process_time() - start
                inside.pop()

        return wrapped

    places = (
        *((snapshot, "read", "load"), (advance, "decide", "decide"), (advance, "render", "render")),
        *((advance, "check", "check"), (advance, "_evaluate", "evaluate")),
        *((cql.Run, "__getitem__", "guards"), (cql.Run, "explain", "guards")),
    )
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, counted(part, getattr(owner, name)))
    try:
        yield clocks
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _split(total: float, clocks: Counter[str]) -> dict[str, float]:
    written = clocks["render"] + clocks["check"]
    evaluated = clocks["evaluate"]
    found = {
        "claim": total - evaluated,
        "load": clocks["load"],
        "guards": clocks["guards"],
        "machine": clocks["decide"] - clocks["guards"],
        "render": written,
        "save": evaluated - clocks["load"] - clocks["decide"] - written,
    }
    return {part: spent * 1000 for part, spent in found.items()}


def pain(patient: str, number: int, moment: datetime, unit: str | None = None) -> Json:
    """Return a new score; in a unit that no rule knows it cannot be used."""
    score = 5 + number % 2
    quantity = {"value": score, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {
        "resourceType": "Observation",
        "id": f"{patient}-pain-{moment:%j}-{number}-{time.monotonic_ns()}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72514-3"}]},
        "bodySite": {
            "coding": [
                {
                    "system": "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway",
                    "code": "hip-right",
                }
            ]
        },
        "effectiveDateTime": (moment - timedelta(seconds=ROUNDS - number)).isoformat(),
        **({"valueQuantity": quantity} if unit else {"valueInteger": score}),
    }


def accept(database: Database, patient: str, observations: list[Json]) -> None:
    """Store observations of a patient."""
    entries = [
        {
            "fullUrl": f"https://bench.example.org/fhir/Observation/{each['id']}",
            "resource": {**each, "subject": {"reference": f"Patient/{patient}"}},
            "request": {"method": "PUT", "url": f"Observation/{each['id']}"},
        }
        for each in observations
    ]
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    transaction.accept(database, reading.read(text.encode()), sender="bench")


if __name__ == "__main__":
    main()
