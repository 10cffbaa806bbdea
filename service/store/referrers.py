"""What refers to a resource, looked for before it is removed.

A fact about a patient is referred to by what is about the same patient; what is about nobody may be
referred to by anything, and everything current is looked through for it. That is slow, and rare.
What the engine made of a fact does not hold the fact back: its decisions keep the versions that they
read, and a removed fact is a withdrawn one.
"""

from psycopg.rows import dict_row
from sqlalchemy import Connection

from service.store.driver import raw
from service.store.resources import Identity, Stored
from service.store.writing import COLUMNS, stored

#: our own space of locks of two numbers
PATIENTS = (0x6878, 0)

_MENTIONING = (
    f"SELECT {COLUMNS} FROM resource WHERE tenant = %(tenant)s AND NOT deleted "  # noqa: S608 - constants
    "AND strpos(body, %(named)s) > 0 AND NOT (type = %(type)s AND id = %(id)s)"
)
_OF_THE_SAME = f"{_MENTIONING} AND patient = %(patient)s AND NOT owned"
_OF_PATIENT = """
    SELECT type, id FROM resource
    WHERE tenant = %s AND patient = %s AND NOT deleted AND NOT (type = 'Patient' AND id = %s)
    ORDER BY seq LIMIT 1
"""


def keep_patients(tx: Connection, *, removing: bool) -> None:
    """Let no patient be removed while this transaction may store something about one.

    No result is waited for.

    Args:
        removing: this transaction removes one, and waits until no other one stores.
    """
    kind = "pg_advisory_xact_lock" if removing else "pg_advisory_xact_lock_shared"
    raw(tx).execute(f"SELECT {kind}(%s, %s)", PATIENTS)


def mentioning(tx: Connection, of: Stored, *, tenant: int) -> list[Stored]:
    """Return the current resources that name the resource in their text; a few of them do not refer to it."""
    statement = _MENTIONING if of.patient is None else _OF_THE_SAME
    named = {"named": f'"{of.type}/{of.id}', "type": of.type, "id": of.id}
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement, {"tenant": tenant, "patient": of.patient, **named})
        return [stored(row) for row in cursor]


def of_patient(tx: Connection, patient: str, *, tenant: int) -> Identity | None:
    """Return something current that is about the patient, if there is anything."""
    row = raw(tx).execute(_OF_PATIENT, [tenant, patient, patient]).fetchone()
    return (row[0], row[1]) if row else None
