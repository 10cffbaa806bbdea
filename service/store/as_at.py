"""The versions of one type as they were at a moment, in the order of receipt, whatever is written meanwhile.

Below the horizon (`service.store.horizon`) nothing appears any more, so of each resource the version before
the moment is the same whenever it is asked for. It is the current one, if that was received before, else the
last one before among those that were superseded. So reading may stop anywhere and go on in another
transaction, behind the last version that was seen.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, tuple_row
from sqlalchemy import Connection

from service.store.changes import Place
from service.store.tables import NUMBERED
from service.store.writing import raw

#: rows that are fetched at once; they hold no content
FETCHED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One version, without its content."""

    id: str
    version: int
    received: datetime
    seq: int
    patient: str | None
    deleted: bool
    #: of its text, bytes
    size: int

    @property
    def place(self) -> Place:
        """Return where it stands in the order."""
        return self.received, self.seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which versions are meant."""

    tenant: int
    #: those that were received before it
    until: datetime
    #: and not before it
    since: datetime | None = None
    #: only what belongs to a patient
    of_patients: bool = False
    #: to one of these; None: to any
    patients: Sequence[str] | None = None
    #: whether one that says that its resource was removed is meant as well
    removed: bool = False


def names(tx: Connection, type_: str, wanted: Selection, *, after: Place | None) -> Iterator[Name]:
    """Yield the versions of a type; what is not fetched yet stays with the database.

    Args:
        tx: REPEATABLE READ, begun after the horizon `wanted.until` was read.
        after: the last version that was seen; None: from the first.
    """
    received, seq = after or (wanted.since, 0)
    values = {**_values(wanted), "type": type_, "received": received, "seq": seq}
    with raw(tx).cursor(name="as_at", row_factory=class_row(Name)) as cursor:
        cursor.execute(_names(wanted), values)
        while found := cursor.fetchmany(FETCHED):
            yield from found


def counts(tx: Connection, types: Collection[str], wanted: Selection) -> dict[str, int]:
    """Return how many resources there are of each type, about: some may have changed meanwhile."""
    # Whether something belongs to anybody at all stands in no index of time.
    condition = "patient = ANY(%(patients)s)" if wanted.patients is not None else "true"
    statement = f"""
        SELECT type, count(*) FROM resource
        WHERE {NUMBERED} AND tenant = %(tenant)s AND type = ANY(%(types)s) AND received < %(until)s
            AND received >= coalesce(%(since)s::timestamptz, '-infinity') AND {condition} GROUP BY type
    """  # noqa: S608 - constants of this module
    with raw(tx).cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(statement, {**_values(wanted), "types": list(types)}).fetchall())


def _values(wanted: Selection) -> dict[str, object]:
    return {
        "tenant": wanted.tenant,
        "until": wanted.until,
        "since": wanted.since,
        "patients": list(wanted.patients or ()),
    }


def _names(wanted: Selection) -> str:
    """Return the statement: what is current, and what was before it became something else."""
    belonging = ""
    if wanted.of_patients:
        belonging = (
            "AND patient IS NOT NULL" if wanted.patients is None else "AND patient = ANY(%(patients)s)"
        )
    alive = "" if wanted.removed else "AND NOT deleted"
    # A row of its own for each, so that no content is sorted.
    columns = "id, version, received, seq, patient, deleted, octet_length(body) AS size"
    behind = "(received, seq) > (coalesce(%(received)s::timestamptz, '-infinity'), %(seq)s)"
    of_type = f"{NUMBERED} AND tenant = %(tenant)s AND type = %(type)s"
    return f"""
        SELECT {columns} FROM resource
        WHERE {of_type} AND received < %(until)s AND {behind} {belonging} {alive}
        UNION ALL
        SELECT h.* FROM (
            SELECT id AS of FROM resource WHERE {of_type} AND received >= %(until)s OFFSET 0
        ) AS c CROSS JOIN LATERAL (
            SELECT {columns} FROM (
                SELECT * FROM history
                WHERE tenant = %(tenant)s AND type = %(type)s AND id = c.of AND received < %(until)s
                ORDER BY version DESC LIMIT 1
            ) AS last WHERE {behind} {belonging} {alive}
        ) AS h
        ORDER BY received, seq
    """  # noqa: S608 - constants of this function
