"""Emptying the record: only a sandbox may, and only everything about patients at once."""

from datetime import datetime

from sqlalchemy import Connection, text

from service.store import parameters

#: what a site loads rather than what happened to someone
DEFINITIONS = (
    "ActivityDefinition",
    "CodeSystem",
    "ConceptMap",
    "Library",
    "NamingSystem",
    "PlanDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
)


def has_patient_data(tx: Connection) -> bool:
    """Return whether anything is known about any patient."""
    found = tx.execute(
        text(
            "SELECT EXISTS (SELECT FROM resource WHERE patient IS NOT NULL) "
            "OR EXISTS (SELECT FROM decision) OR EXISTS (SELECT FROM arrival)"
        )
    )
    return bool(found.scalar_one())


def erase(tx: Connection, *, who: str, now: datetime) -> None:
    """Remove patients, people, decisions and promises; set parameters to their defaults.

    Definitions stay, and so does what the engine wrote about nobody.
    """
    keep = {"definitions": list(DEFINITIONS)}
    gone = "NOT (type = ANY(:definitions)) AND NOT (owned AND patient IS NULL)"
    tx.execute(text("TRUNCATE decision, arrival, promise"))
    tx.execute(text(f"DELETE FROM resource WHERE {gone}"), keep)  # noqa: S608 - a constant
    tx.execute(text(f"DELETE FROM history WHERE {gone}"), keep)  # noqa: S608 - a constant
    if parameters.current(tx):
        parameters.set_(tx, {}, who, now)
