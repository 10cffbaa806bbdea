"""The fixed records that searches are tried on, see `tests/service/fhir/searches`."""

from datetime import UTC, datetime
from pathlib import Path

from fhir_profiles import reading
from service import clock
from service.store import resources, search_index
from service.store.database import Database
from service.store.resources import Write

FOLDER = Path(__file__).parent / "service" / "fhir" / "searches"
RECORDS = [entry["resource"] for entry in reading.read((FOLDER / "records.json").read_bytes())["entry"]]
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


def store(database: Database) -> None:
    """Store them, received at one moment at which the service's clock then stands."""
    with database.transaction() as tx:
        clock.set_(tx, NOW, held=False)
        writes = [
            Write(type=each["resourceType"], id=each["id"], body=each, patient=search_index.about(each))
            for each in RECORDS
        ]
        resources.save(tx, writes, tenant=0, now=NOW)
