"""Searches on hipway and on HAPI: the same resources, posted to both, and the same queries.

Each patient is posted as one transaction Bundle of PUTs: the patient, fifty Observations of twenty codes and
two ServiceRequests. Each query is asked for over one connection to each side, one after another, for a
different patient each time, with `Cache-Control: no-cache`, so that HAPI searches as hipway does. How many
resources are found is compared first. Nothing is evaluated: the settle window of hipway is the default.
"""

import http.client
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import filling
import hapi_server
from hapi_server import Server
from playing import Json
from sending import sender
from servers import servers

PATIENTS = 2_000
EACH = 50
ROUNDS, WARM = 100, 30

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"

#: about one patient, whose number is put in, or about everybody
QUERIES = (
    "Observation?patient=p{n}",
    "Observation?patient=p{n}&code=" + LOINC + "|c7",
    "Observation?patient=p{n}&category=laboratory",
    "Observation?patient=p{n}&category=laboratory&date=ge2026-02-01",
    "Observation?patient=p{n}&_sort=-date&_count=1",
    "Observation?patient.identifier=urn:mrn|{n}&code=c7",
    "Observation?patient=p{n}&_include=Observation:patient",
    "ServiceRequest?patient=p{n}&category=imaging",
    "Patient?identifier=urn:mrn|{n}",
    "Patient?family=name{n}x&birthdate=1960-01-02",
    "Patient?_id=p{n}&_revinclude=Observation:patient",
    "Observation?code=" + LOINC + "|c7&_count=50",
    "Observation?code=" + LOINC + "|c7&date=ge2026-02-01&date=lt2026-02-02&_count=50",
    "Observation?code=" + LOINC + "|c7&value-quantity=gt98|" + UCUM + "|g/L&_count=50",
)

#: answers a query with the Bundle
Ask = Callable[[str], bytes]


def run(server: Server, *, patients: int = PATIENTS, rounds: int = ROUNDS) -> None:
    """Post, compare, ask, and print the times of both and their ratio."""
    with servers() as running:
        web = running.web()
        bodies = [json.dumps(visit(number)).encode() for number in range(1, patients + 1)]
        took = {name: _post(port, bodies) for name, port in (("hipway", web), ("HAPI", server.port))}
        filling.analyze(running.database_url)
        print(
            f"\n{patients * EACH:,} Observations of {patients:,} patients, posted in {took['hipway']:.0f} s "
            f"to hipway and in {took['HAPI']:.0f} s to HAPI; ms, p50 and p95 of {rounds}; "
            f"{hapi_server.load()}"
        )
        print(f"{'hipway':>17}{'HAPI':>18}")
        ours, theirs = asker(web), asker(server.port)
        for query in QUERIES:
            _beside(query, ours, theirs, patients, rounds)


def visit(number: int) -> Json:
    """Return the transaction Bundle of one patient."""
    resources = [_patient(number), *(_observation(number, k) for k in range(1, EACH + 1)), *_orders(number)]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in resources
        ],
    }


def _patient(number: int) -> Json:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:mrn", "value": str(number)}],
        "name": [{"family": f"Name{number}x"}],
        "birthDate": "1960-01-02",
    }


def _observation(number: int, k: int) -> Json:
    category = "vital-signs" if k % 4 == 0 else "laboratory"
    count = number * EACH + k
    month, day = divmod(count % 84, 28)
    return {
        "resourceType": "Observation",
        "id": f"o{number}-{k}",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORIES, "code": category}]}],
        "code": {"coding": [{"system": LOINC, "code": f"c{k % 20}"}]},
        "subject": {"reference": f"Patient/p{number}"},
        "effectiveDateTime": f"2026-{month + 1:02}-{day + 1:02}",
        "valueQuantity": {"value": count % 100, "unit": "g/L", "system": UCUM, "code": "g/L"},
        "note": [{"text": "x" * 300}],
    }


def _orders(number: int) -> Iterator[Json]:
    for k, code in enumerate(("scan", "visit"), start=1):
        yield {
            "resourceType": "ServiceRequest",
            "id": f"s{number}-{k}",
            "status": "active",
            "intent": "order",
            "category": [{"coding": [{"system": "urn:category", "code": "imaging"}]}],
            "code": {"coding": [{"system": "urn:proc", "code": code}]},
            "subject": {"reference": f"Patient/p{number}"},
            "authoredOn": "2026-02-01",
        }


def _post(port: int, bodies: Sequence[bytes]) -> float:
    """Post the Bundles and return the seconds that it took."""
    with sender() as sending:
        sent = sending.closed(port, "/fhir", list(bodies), senders=4, seconds=3600)
    if set(sent.statuses) != {200}:
        raise RuntimeError(f"not every Bundle was accepted: {sent.statuses}")
    return sent.elapsed_s


def asker(port: int) -> Ask:
    """Return what asks a server for a query over one connection; it raises unless the answer is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(query: str) -> bytes:
        headers = {"Cache-Control": "no-cache", "Accept": "application/fhir+json"}
        connection.request("GET", f"/fhir/{query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{query}: {answer.status} {body[:300]!r}")
        return body

    return ask


def _beside(query: str, ours: Ask, theirs: Ask, patients: int, rounds: int) -> None:
    """Compare what is found, then time both in turns and print it."""
    asked = (query.format(n=1 + number * 7919 % patients) for number in itertools.count())
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM + rounds):
        one = next(asked)
        found = []
        # Who goes first changes, so that nobody always follows the same neighbour.
        for side in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter()
            body = (ours, theirs)[side](one)
            times[side].append(time.perf_counter() - begun)
            found.append(_found(body))
        if number < WARM and found[0] != found[1]:
            raise RuntimeError(f"{one}: one finds {found[0]} resources, the other {found[1]}")
    here, there = times[0][WARM:], times[1][WARM:]
    ratio = statistics.median(b / a for a, b in zip(here, there, strict=True))
    print(f"{_cell(here)} {_cell(there)}  {ratio:6.1f} times  {query}", flush=True)


def _cell(times_s: Sequence[float]) -> str:
    p50, p95 = hapi_server.middle(times_s)
    return f"{p50:9.1f}{p95:8.1f}"


def _found(body: bytes) -> int:
    return len(json.loads(body).get("entry", ()))
