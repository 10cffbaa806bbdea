"""Everything that is kept about one patient, a page at a time.

http://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import dict_row
from sqlalchemy import Connection

from service.store.driver import raw
from service.store.writing import COLUMNS, Stored, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of a patient's resources."""

    patient: str
    #: None: of every type
    types: Sequence[str] | None = None
    #: received at or after it
    since: datetime | None = None
    #: of what has a clinical date: not before the first, and before the second
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of them."""

    total: int
    resources: tuple[Stored, ...]
    #: how many come before the next page; None: this is the last
    next_after: tuple[int, int] | None


#: The Patient comes first, then each as it was created: no later version changes that, and what is created
#: meanwhile comes at the end.
_RANK = "CASE WHEN type = 'Patient' THEN 0 ELSE 1 END"
_WHERE = """
    tenant = %(tenant)s AND patient = %(patient)s AND NOT deleted
    AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
    AND (%(since)s::timestamptz IS NULL OR received >= %(since)s)
    AND (%(start)s::timestamptz IS NULL OR date IS NULL OR date >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR date IS NULL OR date < %(end)s)
"""
_TOTAL = f"SELECT count(*) AS total FROM resource WHERE {_WHERE}"  # noqa: S608 - constants of this module
_PAGE = f"""
    SELECT {COLUMNS} FROM resource WHERE {_WHERE} AND ({_RANK}, key) > (%(rank)s, %(after)s)
    ORDER BY {_RANK}, key LIMIT %(limit)s
"""  # noqa: S608


def page(tx: Connection, wanted: Wanted, *, tenant: int, count: int, after: tuple[int, int]) -> Page:
    """Return a page of what is wanted.

    Args:
        after: what the page before returned as `next_after`; (0, 0) for the first.
    """
    values = {
        "tenant": tenant,
        "patient": wanted.patient,
        "types": list(wanted.types) if wanted.types is not None else None,
        "since": wanted.since,
        "start": wanted.start,
        "end": wanted.end,
        "rank": after[0],
        "after": after[1],
        "limit": count + 1,
    }
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(_TOTAL, values)
        row = cursor.fetchone()
        cursor.execute(_PAGE, values)
        found = cursor.fetchall()
    shown = found[:count]
    last = shown[-1] if shown and len(found) > count else None
    return Page(
        total=row["total"] if row else 0,
        resources=tuple(map(stored, shown)),
        next_after=(0 if last["type"] == "Patient" else 1, last["key"]) if last else None,
    )
