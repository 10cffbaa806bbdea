"""Words planted in everything that a hospital sends are nowhere in what workers and the sweep write (SP-37).

Real worker and sweep processes: they evaluate, set data aside, fail at what nobody can read, and export.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import playing
import pytest
from sqlalchemy import text

from service import clock
from service.app import create_app
from service.fhir import transaction
from service.settings import Settings
from service.store import promises
from service.store.database import Database

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "tests" / "stories"
#: one to image, one in an emergency, one of whom data are set aside, one who decides against it
TOLD = ("V66", "V70", "V05", "V21")
#: what the hospital's people wrote, and what identifies a patient
WORD, NUMBER, DAY = "Planthia", "7406219", "1949-11-23"
PLANTED = re.compile(rf"(?i){WORD}|{NUMBER}|{DAY}")
PATIENCE_S = 90

Json = dict[str, Any]


def planted(resource: Json) -> Json:
    """Return a resource in which a word stands wherever a person may write."""
    body = deepcopy(resource)
    match body["resourceType"]:
        case "Patient":
            body |= {
                "name": [{"family": WORD, "given": [f"{WORD}a"]}],
                "birthDate": DAY,
                "identifier": [{"system": "urn:mrn", "value": f"{NUMBER}-{body['id']}"}],
                "telecom": [{"system": "email", "value": f"{WORD}@example.org"}],
                "address": [{"line": [f"{WORD} 1"], "city": WORD}],
            }
        case "Observation":
            body |= {"note": [{"text": WORD}]}
            body["code"]["text"] = f"{WORD} {NUMBER}"
        case "Task":
            body |= {"note": [{"text": WORD}], "description": WORD}
        case "Practitioner":
            body |= {"name": [{"family": WORD}]}
    return body


def unusable(patient: str) -> Json:
    """Return a finding whose value is none."""
    return {
        "resourceType": "Observation",
        "id": f"{patient}-unusable",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72514-3", "display": WORD}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-01-05T08:40:00Z",
        "valueString": f"{WORD} {NUMBER}",
    }


def put(resource: Json) -> Json:
    where = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": where}}


@pytest.fixture
def settings(database: Database, database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url)


@pytest.fixture
def log(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """What a worker and a sweep write, which run while the test does."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "PYTHONPATH": str(ROOT),
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
    }
    path = tmp_path / "log"
    with path.open("wb") as said:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "worker", what],
                env=environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            for what in ("worker", "sweep")
        ]
        yield path
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def sent(database: Database, name: str) -> list[str]:
    """Store the steps of a story with planted words, and return whom they are about."""
    found = set()
    for step in playing.read(STORIES / f"{name}.json")["steps"]:
        if not step["bundle"]:
            continue
        resources = [planted(entry["resource"]) for entry in step["bundle"]["entry"]]
        found |= {one["id"] for one in resources if one["resourceType"] == "Patient"}
        # What refers to outputs of the step before is told by its place in the story, not by an id.
        known = [one for one in resources if "/vignette." not in json.dumps(one, default=str)]
        put_in(database, *known)
    return sorted(found)


def put_in(database: Database, *resources: Json) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put(one) for one in resources]}
    transaction.accept(database, json.loads(json.dumps(bundle, default=playing.number)), sender="hospital")


def spoil(database: Database, patient: str) -> None:
    """Put words in the store where no intake lets them in: an evaluation fails at them."""
    with database.transaction() as tx:
        statement = "UPDATE resource SET body = replace(body, :day, :day || :more) WHERE id = :id"
        more = f'","deceasedBoolean":"{WORD}-{NUMBER}'
        assert tx.execute(text(statement), {"day": DAY, "more": more, "id": patient}).rowcount == 1
        promises.want(tx, patient, tenant=0, due_at=clock.now(tx), forced=True)


def until(database: Database, query: str, wanted: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with database.transaction() as tx:
            if tx.execute(text(query)).scalar_one() >= wanted:
                return
        time.sleep(0.2)
    raise AssertionError(query)


def test_nothing_of_a_patient_is_in_what_workers_and_the_sweep_write(database, settings, log):
    with database.transaction() as tx:
        clock.set_(tx, datetime.fromisoformat("2026-02-01T09:00:00Z"), held=False)
    patients = [id_ for name in TOLD for id_ in sent(database, name)]
    put_in(database, unusable(patients[-1]))
    client = create_app(settings, database).test_client()
    assert client.get("/fhir/$export", headers={"Prefer": "respond-async"}).status_code == 202

    until(database, "SELECT count(DISTINCT patient) FROM decision", len(patients))
    until(database, "SELECT count(*) FROM export WHERE outcome = 'finished'", 1)
    spoil(database, patients[0])
    until(database, "SELECT count(*) FROM promise WHERE failed_reason IS NOT NULL", 1)

    said = log.read_text()
    with database.transaction() as tx:
        kept = tx.execute(text("SELECT string_agg(failed_reason, ' ') FROM promise")).scalar_one()
    assert {"evaluated", "evaluation_failed"} <= set(re.findall(r'"event": "(\w+)"', said))
    assert patients[0] in said
    assert PLANTED.findall(said) == []
    assert PLANTED.findall(kept) == []
    assert PLANTED.findall(client.get("/metrics").text) == []
