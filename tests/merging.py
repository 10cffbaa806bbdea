"""Asking for `$merge` and its undo, and looking at what is remembered and kept afterwards."""

from collections.abc import Callable
from typing import Any

from fhir_visits import bundle, observation, patient, practitioner, put
from flask.testing import FlaskClient
from retold import Record
from sqlalchemy import text
from werkzeug.test import TestResponse

from pathways.memory import Memory
from service import clock
from service.sandbox import erasing
from service.store import decisions, promises, resources
from service.store.database import Database
from worker.advance import advance

PATHWAY = "gluteus-medius-tear"


def parameters(**given: Any) -> dict[str, Any]:
    """Return Parameters: a text is a reference, a list several values."""
    parts = [
        {"name": name.replace("_", "-"), **_value(value)}
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    return {"resourceType": "Parameters", "parameter": parts}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, str):
        return {"valueReference": {"reference": value}}
    return {"resource": value} if "resourceType" in value else {"valueIdentifier": value}


def merge(client: FlaskClient, source: str, target: str, **more: Any) -> TestResponse:
    """Ask that the source be joined into the target."""
    given = parameters(source_patient=f"Patient/{source}", target_patient=f"Patient/{target}", **more)
    return client.post("/fhir/Patient/$merge", json=given)


def unmerge(client: FlaskClient, source: str, target: str, **more: Any) -> TestResponse:
    """Ask that the source be parted from the target."""
    given = parameters(source_patient=f"Patient/{source}", **more)
    return client.post(f"/fhir/Patient/{target}/$unmerge", json=given)


def said(answer: TestResponse) -> str:
    """Return what the OperationOutcome says."""
    body: Any = answer.get_json()
    outcome = body if body["resourceType"] == "OperationOutcome" else body["parameter"][0]["resource"]
    return " ".join(issue["diagnostics"] for issue in outcome["issue"])


def memory(database: Database, who: str, side: str = "right") -> Memory | None:
    """Return what is remembered of a side of the patient."""
    with database.transaction() as tx:
        row = decisions.latest(tx, who, tenant=0).get((PATHWAY, side))
    return Memory.from_json(row.after) if row else None


def look_at(database: Database, *patients: str) -> None:
    """Evaluate each as a worker does."""
    for who in patients:
        with database.transaction() as tx:
            promises.want(tx, who, tenant=0, due_at=clock.now(tx), forced=True)
        assert advance(database, 0, who)


def kept(database: Database, who: str) -> dict[str, dict[str, Any]]:
    """Return the current resources about the patient, by reference, without what the store notes of them."""
    with database.transaction() as tx:
        rows = tx.execute(
            text("SELECT type, id FROM resource WHERE patient = :who AND NOT deleted"), {"who": who}
        ).all()
        found = resources.lock(tx, {(row.type, row.id) for row in rows}, tenant=0)
    return {
        one.reference: {name: value for name, value in one.resource.items() if name != "meta"}
        for one in found.values()
    }


def decided(database: Database, who: str) -> int:
    """Return how many decisions the log has about the patient."""
    with database.transaction() as tx:
        statement = text("SELECT count(*) FROM decision WHERE patient = :who")
        return int(tx.execute(statement, {"who": who}).scalar_one())


def told(database: Database, name: str, story: str, steps: int) -> Record:
    """Return the record of a patient who has lived the first steps of a story."""
    record = Record(name=name, database=database)
    record.tell_of(story, steps)
    return record


def two_records(database: Database, send: Callable[[dict[str, Any]], TestResponse]) -> None:
    """Store two records of one person alone: `a` with two findings, of which `b` has the second, too."""
    with database.transaction() as tx:
        erasing.erase(tx)
    report = {
        "resourceType": "DiagnosticReport",
        "id": "report-a",
        "status": "final",
        "code": {"text": "report"},
        "subject": {"reference": "Patient/a"},
        "result": [{"reference": "Observation/same-a"}],
    }
    first = bundle(
        put(patient("a", mrn="A", name=[{"family": "Quandt"}])),
        put(observation("a1", "Patient/a")),
        put(observation("same-a", "Patient/a", valueInteger=3)),
        put(report),
        put(practitioner()),
    )
    second = bundle(put(patient("b", mrn="B")), put(observation("same-b", "Patient/b", valueInteger=3)))
    assert (send(first).status_code, send(second).status_code) == (200, 200)
