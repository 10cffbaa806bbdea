"""How fast the gate judges a visit, as ratios to `fhir.resources` (R4B) on the same resources.

    python tests/benchmarks/bench_gate.py

Ratios only: both run on the same machine, one after the other, best of several rounds.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_profiles import gate, reading

EXAMPLES = Path(__file__).parents[1] / "examples"
VISITS = ("01-new-referral-visit.json", "02-follow-up-visit.json", "04-imaging-report.json")
RESOURCES = 20
ROUNDS = 15


def main() -> None:
    """Print the table."""
    visit = resources()
    faulty = copy.deepcopy(visit)
    for resource in faulty:
        resource["meta"] = {"lastUpdated": "yesterday"}
    body = reading.write({"resourceType": "Bundle", "type": "collection", "entry": visit})
    started = time.perf_counter()
    judge(visit)
    first = time.perf_counter() - started

    ours, theirs = best(lambda: judge(visit)), best(lambda: model(visit))
    ours_faulty, theirs_faulty = best(lambda: judge(faulty)), best(lambda: model(faulty))
    read = best(lambda: reading.read(body))

    print(
        f"{len(visit)} resources of {len({each['resourceType'] for each in visit})} types, {len(body)} bytes"
    )
    print(f"{'':34}{'gate':>8}{'fhir.resources R4B':>20}")
    print(f"{'valid':34}{1:>8}{theirs / ours:>20.0f}")
    print(f"{'one fault in each':34}{ours_faulty / ours:>8.0f}{theirs_faulty / ours:>20.0f}")
    print(f"{'reading the JSON, bounds included':34}{read / ours:>8.1f}{'':>20}")
    print(f"{'the first time, schemas compiled':34}{first / ours:>8.0f}{'':>20}")


def resources() -> list[dict[str, Any]]:
    """Return the resources of the example visits, as many as a usual Bundle has."""
    found = [
        entry["resource"]
        for name in VISITS
        for entry in reading.read((EXAMPLES / name).read_bytes())["entry"]
    ]
    return found[:RESOURCES]


def judge(visit: list[dict[str, Any]]) -> int:
    """Return how many faults the gate finds."""
    return sum(len(gate.check(resource)) for resource in visit)


def model(visit: list[dict[str, Any]]) -> int:
    """Return how many resources `fhir.resources` refuses."""
    refused = 0
    for resource in visit:
        try:
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        except ValidationError:
            refused += 1
    return refused


def best(work: Callable[[], object]) -> float:
    """Return the shortest of several rounds, in seconds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - started)
    return min(rounds)


if __name__ == "__main__":
    main()
