"""Calls of CDS Hooks, as an electronic record makes them from what it holds of a patient."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from playing import Play
from sqlalchemy import Connection, text

from fhir_profiles import reading
from service import clock
from service.store.database import Database

Json = dict[str, Any]

INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
VIEW, SIGN = "hipway-patient-view", "hipway-order-sign"
KEYS = {
    "Observation": "observations",
    "Procedure": "procedures",
    "DiagnosticReport": "reports",
    "BodyStructure": "structures",
    "Task": "decisions",
    "Practitioner": "decisions",
}


def prefetch(resources: Iterable[Json]) -> Json:
    """Return what a record sends along: a resource, searchsets, null where nothing was found."""
    found: Json = dict.fromkeys(["patient", *KEYS.values()])
    for resource in resources:
        if resource["resourceType"] == "Patient":
            found["patient"] = resource
        elif key := KEYS.get(resource["resourceType"]):
            bundle = found[key] or {"resourceType": "Bundle", "type": "searchset", "entry": []}
            bundle["entry"].append({"resource": resource, "search": {"mode": "match"}})
            found[key] = bundle
    return found


def view(resources: Iterable[Json], patient: str) -> Json:
    """Return a call of patient-view."""
    return {
        "hook": "patient-view",
        "hookInstance": INSTANCE,
        "context": {"userId": "Practitioner/example-clinician", "patientId": patient},
        "prefetch": prefetch(resources),
    }


def sign(resources: Iterable[Json], patient: str, *orders: Json) -> Json:
    """Return a call of order-sign about these drafts."""
    asked = view(resources, patient) | {"hook": "order-sign"}
    drafts = {"resourceType": "Bundle", "entry": [{"resource": order} for order in orders]}
    asked["context"] = {**asked["context"], "draftOrders": drafts}
    return asked


def held(game: Play) -> list[Json]:
    """Return what a record holds of a played patient."""
    return [entry.body for entry in game.entries.values()]


def post(client: Any, service: str, body: Json, **headers: str) -> Any:
    """Call a service."""
    url = f"/cds-services/{service}"
    return client.post(url, data=reading.write(body), content_type="application/json", headers=headers)


def at(database: Database, moment: datetime) -> None:
    """Stop the service clock at a moment."""
    with database.transaction() as tx:
        clock.set_(tx, moment, held=True)


def rows(tx: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    named = tx.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"))
    return {name: tx.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for (name,) in named}
