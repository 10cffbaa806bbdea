"""Results posted to a real HAPI reach the pathway by call and poll, and orders are back in HAPI: once each.

Meanwhile HAPI is stopped twice and our web process once, and a proxy drops one answer in fifty after what was
asked for is done, both ways. `make test` plays some patients, `make round-trip` 500 with ten results each and
stops of a minute; HIPWAY_ROUND_TRIP_PATIENTS and HIPWAY_ROUND_TRIP_STOP_S choose others.

SP-01, SP-11, SP-12, SP-13.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import playing
import pytest
from installations import free_port
from nodes import Node
from optional_parts import need
from sqlalchemy import text

from fhir_profiles import reading
from hapi.dropping import Dropping, dropping
from hapi.server import Hapi
from service.store.database import Database
from service.supervisor.unusable import Unusable
from service.supervisor.valkey import Valkey

pytestmark = pytest.mark.requires("hapi")

ROOT = Path(__file__).parents[2]
VISIT = playing.read(ROOT / "tests" / "stories" / "V03.json")["steps"][0]["bundle"]
NOW = "2026-01-05T09:15:00Z"

PATIENTS = int(os.environ.get("HIPWAY_ROUND_TRIP_PATIENTS") or 40)
STOP_S = float(os.environ.get("HIPWAY_ROUND_TRIP_STOP_S") or 5)
SEED = int(os.environ.get("HIPWAY_ROUND_TRIP_SEED") or 20_261_130)

RESULTS = 10
SHARE = 0.02
SENDERS = 3
#: how often a start is tried
STARTS = 4
#: from the last result to everything being back; the machine may be slow, and answers are lost
SETTLED_S = 240 + PATIENTS
#: after so much of the results somebody is stopped
FIRST, SECOND, THIRD = 0.2, 0.5, 0.8


@dataclass(frozen=True)
class Trip:
    """Everything that takes part."""

    hapi: Hapi
    node: Node
    database: Database
    to_hapi: Dropping
    to_us: Dropping

    def rows(self, statement: str) -> list[tuple]:
        with self.database.transaction() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def count(self, statement: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {statement}")[0][0])


@pytest.fixture
def trip(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[Trip]:
    need("hapi", "the HAPI server")
    folder = scratch / "round-trip"
    (folder / "hapi").mkdir(parents=True)
    hapi = Hapi(folder / "hapi", free_port())
    broker = Valkey(folder / "valkey")
    url = new_database_url()
    with ExitStack() as all_:
        hapi.start()
        all_.callback(hapi.stop)
        all_.callback(broker.stop)
        to_hapi = all_.enter_context(dropping(hapi.base, SHARE, SEED))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
            "HIPWAY_DATABASE_URL": url,
            "HIPWAY_BROKER_URL": broker.start(),
            "HIPWAY_DEMO": "0",
            "HIPWAY_HOSPITAL_URL": to_hapi.url,
            "HIPWAY_HOSPITAL_READ": "subscription",
            "HIPWAY_HOSPITAL_READ_S": "10",
            "HIPWAY_HOSPITAL_RATE": "1000",
            "HIPWAY_HOSPITAL_SETTLE_S": "10",
        }
        node = Node(1, folder, environment)
        to_us = all_.enter_context(dropping(f"http://127.0.0.1:{node.port}", SHARE, SEED + 1))
        environment["HIPWAY_HOSPITAL_HOOK_URL"] = f"{to_us.url}/hospital/hook"
        # Two sweeps, and so two feeders and two couriers: one of each is enough, and two do no harm.
        other = Node(2, folder, environment, names=("sweep",))
        database = Database(url, pool_size=2)
        all_.callback(database.close)
        for each in (node, other):
            all_.callback(each.stop)
            each.start()
        yield Trip(hapi, node, database, to_hapi, to_us)


def visit(number: int) -> dict:
    """Return the first visit as that of another patient, with ten results."""
    made = playing.renamed(VISIT, {"v03": f"rt{number}", "1003": f"rt-{number}"})
    results = [e for e in made["entry"] if e["resource"]["resourceType"] == "Observation"]
    score = results[0]["resource"]
    for more in range(RESULTS - len(results)):
        again = {
            **score,
            "id": f"rt{number}-more-{more}",
            "effectiveDateTime": f"2026-01-05T08:{10 + more}:00+00:00",
        }
        made["entry"].append(
            {"resource": again, "request": {"method": "PUT", "url": f"Observation/{again['id']}"}}
        )
    return made


class Senders:
    """Those at the hospital who write into HAPI, past the proxy, until HAPI has it."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._done = 0
        self._lock = threading.Lock()

    def post(self, number: int) -> None:
        body = reading.write(visit(number))
        deadline = time.monotonic() + SETTLED_S + 4 * STOP_S
        while True:
            try:
                headers = {"Content-Type": "application/fhir+json"}
                answer = httpx.post(self._base, content=body, headers=headers, timeout=60, trust_env=False)
                if answer.is_success:
                    break
                assert answer.status_code in (409, 500, 502, 503), answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "HAPI does not take the results"
            time.sleep(0.3)
        with self._lock:
            self._done += 1

    def until(self, share: float) -> None:
        """Wait until that much is in HAPI."""
        while self._done < share * PATIENTS:
            time.sleep(0.1)


def disturb(trip: Trip, senders: Senders) -> None:
    """Stop HAPI twice, and our web process once, while results are coming."""
    for share in (FIRST, THIRD):
        senders.until(share)
        trip.hapi.stop()
        time.sleep(STOP_S)
        start_again(trip.hapi)
        if share == FIRST:
            senders.until(SECOND)
            trip.node.signal(signal.SIGKILL, "web")
            trip.node.processes["web"].wait()
            time.sleep(STOP_S)
            trip.node.start_one("web")
            trip.node.until_it_answers()


def start_again(hapi: Hapi) -> None:
    """Start the server; a machine that is busy with other things may take its time."""
    for _ in range(STARTS - 1):
        try:
            return hapi.start()
        except Unusable:
            continue
    return hapi.start()


def settled(trip: Trip) -> bool:
    """Return whether everything was read, evaluated and delivered."""
    return (
        trip.count("resource WHERE type = 'Observation' AND NOT deleted") >= PATIENTS * RESULTS
        and trip.count("arrival") == 0
        and trip.count("set_aside") == 0
        and trip.count("delivery WHERE NOT pending") == PATIENTS
        and not lacking(trip)
    )


def lacking(trip: Trip) -> int:
    return trip.count(
        "resource r LEFT JOIN delivered d ON d.type = r.type AND d.id = r.id WHERE r.owned "
        "AND r.type NOT IN ('AuditEvent') AND d.version IS DISTINCT FROM r.version"
    )


def of_hapi(base: str, type_: str, **asked: str) -> list[dict]:
    """Return everything of a type that HAPI has, page by page."""
    headers = {"Cache-Control": "no-cache"}
    found: list[dict] = []
    answer = httpx.get(f"{base}/{type_}", params={"_count": "500", **asked}, headers=headers, timeout=60)
    while True:
        page = answer.raise_for_status().json()
        found += [entry["resource"] for entry in page.get("entry", ())]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            return found
        answer = httpx.get(following[0], headers=headers, timeout=60)


def test_results_come_by_call_and_poll_and_orders_are_back_once(trip: Trip, tell: Callable[[str], None]):
    httpx.put(f"{trip.node.remote.url}/sandbox/clock", json={"now": NOW, "evaluation": "automatic"})
    deadline = time.monotonic() + 60
    while trip.count("hospital_subscription WHERE status = 'active'") < 5:
        assert time.monotonic() < deadline, trip.rows(
            "SELECT type, status, answer, said FROM hospital_subscription"
        )
        time.sleep(0.2)
    senders = Senders(trip.hapi.base)
    begun = time.monotonic()
    with ThreadPoolExecutor(SENDERS + 1) as pool:
        disturbing = pool.submit(disturb, trip, senders)
        posted = [pool.submit(senders.post, number) for number in range(PATIENTS)]
        for each in (*posted, disturbing):
            each.result()
    deadline = time.monotonic() + SETTLED_S
    while not settled(trip) and time.monotonic() < deadline:
        time.sleep(0.5)
    took_s = time.monotonic() - begun

    report(trip, tell, took_s)
    assert_read_once(trip)
    assert_orders_are_back_once(trip)


def assert_read_once(trip: Trip) -> None:
    """What HAPI has of the results is here, each once, as it is there and of the same patient."""
    assert trip.rows("SELECT type, their_id, reason, said FROM set_aside") == []
    there = {r["id"]: r for r in of_hapi(trip.hapi.base, "Observation")}
    here = trip.rows("SELECT id, patient, body FROM resource WHERE type = 'Observation' AND NOT deleted")
    assert len(there) == PATIENTS * RESULTS
    assert Counter(id_ for id_, _, _ in here) == Counter(there.keys())
    for id_, patient, body in here:
        resource = reading.read(body.encode())
        assert there[id_]["subject"]["reference"] == f"Patient/{patient}"
        for element in ("code", "valueQuantity", "valueInteger", "valueBoolean", "effectiveDateTime"):
            assert reading.write({"": resource.get(element)}) == reading.write({"": there[id_].get(element)})
    # A version of the hospital's is one of ours.
    assert trip.count("(SELECT FROM origin GROUP BY type, id HAVING count(*) > 1) AS twice") == 0
    assert trip.count("resource WHERE type = 'Observation' AND version > 1") == 0
    assert trip.count("resource WHERE type = 'Patient'") == PATIENTS


def assert_orders_are_back_once(trip: Trip) -> None:
    """Each patient has the same orders, and HAPI has exactly those that are here."""
    ours = trip.rows(
        "SELECT id, patient FROM resource WHERE type = 'ServiceRequest' AND owned AND NOT deleted"
    )
    theirs = of_hapi(trip.hapi.base, "ServiceRequest")
    assert sorted(id_ for id_, _ in ours) == sorted(r["id"] for r in theirs)
    per_patient = Counter(patient for _, patient in ours)
    assert len(per_patient) == PATIENTS
    assert len(set(per_patient.values())) == 1
    plans = of_hapi(trip.hapi.base, "CarePlan")
    assert Counter(plan["subject"]["reference"] for plan in plans) == Counter(
        f"Patient/{patient}" for patient in per_patient
    )
    assert lacking(trip) == 0


def report(trip: Trip, tell: Callable[[str], None], took_s: float) -> None:
    orders = trip.count("resource WHERE owned AND type = 'ServiceRequest'")
    (missed,) = trip.rows("SELECT missed FROM source")[0]
    there, here = trip.to_hapi, trip.to_us
    tell(
        f"round trip: {PATIENTS * RESULTS} results of {PATIENTS} patients in {took_s:.0f} s, "
        f"{orders} orders back; each stop {STOP_S:.0f} s and the start that follows"
    )
    tell(
        f"  HAPI gave {there.passed} answers, {there.dropped} were dropped, {there.unanswered} not given; "
        f"it called {here.passed + here.dropped} times, {here.dropped} answers were dropped, "
        f"{here.unanswered} calls not taken; {missed} results came without a call since the last one"
    )
