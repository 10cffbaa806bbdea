"""The versions of one type as they were at a moment, in the order of receipt, whatever is written meanwhile.

Below the horizon (`service.store.horizon`) nothing appears any more, so of each resource the version before
the moment is the same whenever it is asked for. It is the current one, if that was received before, else the
last one before among those that were superseded. So reading may stop anywhere and go on in another
transaction, behind the last version that was seen.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, tuple_row
from sqlalchemy import Connection

from service.store.changes import Place
from service.store.driver import raw
from service.store.tables import NUMBERED

#: rows that are fetched at once; they hold no content
FETCHED = 5_000
#: of a type with more than so many resources the number is estimated
COUNTED = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """SQL about `r`, a current version, with the values of its places by name."""

    text: str
    values: Mapping[str, object]


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
    #: nothing has followed it
    current: bool

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
    #: asked of what is current and not removed: of others nothing is found by their content any more
    condition: Condition | None = None


def condition(text: str, values: Sequence[object]) -> Condition:
    """Return a condition whose places are numbered, by the names that statements here can hold."""
    parts = text.split("%s")
    named = "".join(f"%(c{number})s{part}" for number, part in enumerate(parts[1:]))
    return Condition(text=parts[0] + named, values={f"c{n}": value for n, value in enumerate(values)})


def names(tx: Connection, type_: str, wanted: Selection, *, after: Place | None) -> list[Name]:
    """Return the next versions of a type, at most `FETCHED`; fewer are the last.

    What was superseded meanwhile is among them whether it fulfils the condition or not.

    Args:
        tx: REPEATABLE READ, begun after the horizon `wanted.until` was read.
        after: the last version that was seen; None: from the first.
    """
    received, seq = after or (wanted.since, 0)
    values = {**_values(wanted), "type": type_, "received": received, "seq": seq, "rows": FETCHED}
    with raw(tx).cursor(row_factory=class_row(Name)) as cursor:
        # Prepared, it would be planned without knowing whose resources are meant, and how many.
        return cursor.execute(_names(wanted), values, prepare=False).fetchall()


def counts(tx: Connection, types: Collection[str], wanted: Selection) -> dict[str, int]:
    """Return how many resources there are of each type, about: some may have changed meanwhile."""
    values = {**_values(wanted), "types": list(types), "most": COUNTED}
    with raw(tx).cursor(row_factory=tuple_row) as cursor:
        found: dict[str, int] = dict(cursor.execute(_counts(wanted), values, prepare=False).fetchall())
        for type_ in (type_ for type_, number in found.items() if number == COUNTED):
            cursor.execute(f"EXPLAIN (FORMAT JSON) {_counted(wanted, '%(type)s')}", {**values, "type": type_})
            row: Any = cursor.fetchone()
            found[type_] = max(COUNTED, int(row[0][0]["Plan"]["Plan Rows"]))
    return {type_: number for type_, number in found.items() if number}


def _values(wanted: Selection) -> dict[str, object]:
    return {
        "tenant": wanted.tenant,
        "until": wanted.until,
        "since": wanted.since,
        "patients": list(wanted.patients or ()),
        **(wanted.condition.values if wanted.condition else {}),
    }


def _names(wanted: Selection) -> str:
    """Return the statement: what is current, and what was before it became something else."""
    belonging = ""
    if wanted.of_patients:
        one_of = "= ANY(%(patients)s)" if wanted.patients is not None else "IS NOT NULL"
        belonging = f"AND patient {one_of}"
    alive = "" if wanted.removed else "AND NOT deleted"
    fulfils = ""
    if wanted.condition:
        also = "r.deleted OR " if wanted.removed else ""
        fulfils = f"AND ({also}({wanted.condition.text}))"
    columns = "id, version, received, seq, patient, deleted, octet_length(body) AS size"
    behind = "(received, seq) > (coalesce(%(received)s::timestamptz, '-infinity'), %(seq)s)"
    of_type = f"{NUMBERED} AND tenant = %(tenant)s AND type = %(type)s"
    first = "ORDER BY received, seq LIMIT %(rows)s"
    # Of each the first rows alone: the one is read in the order of its index, and of the other there are few.
    return f"""
        (SELECT {columns}, TRUE AS current FROM resource r
        WHERE {of_type} AND received < %(until)s AND {behind} {belonging} {alive} {fulfils} {first})
        UNION ALL
        (SELECT h.* FROM (
            SELECT id AS of FROM resource WHERE {of_type} AND received >= %(until)s OFFSET 0
        ) AS c CROSS JOIN LATERAL (
            SELECT {columns}, FALSE AS current FROM (
                SELECT * FROM history
                WHERE tenant = %(tenant)s AND type = %(type)s AND id = c.of AND received < %(until)s
                ORDER BY version DESC LIMIT 1
            ) AS last WHERE {behind} {belonging} {alive}
        ) AS h {first})
        {first}
    """  # noqa: S608 - constants of this function


def _counts(wanted: Selection) -> str:
    counted = _counted(wanted, "n.type")
    return f"""
        SELECT n.type, (SELECT count(*) FROM ({counted} LIMIT %(most)s) AS c)
        FROM unnest(%(types)s::text[]) AS n (type)
    """  # noqa: S608 - constants of this module


def _counted(wanted: Selection, type_: str) -> str:
    # Whether something belongs to anybody at all stands in no index of time.
    belonging = "AND patient = ANY(%(patients)s)" if wanted.patients is not None else ""
    fulfils = f"AND ({wanted.condition.text})" if wanted.condition else ""
    return f"""
        SELECT FROM resource r WHERE {NUMBERED} AND tenant = %(tenant)s AND type = {type_}
            AND received < %(until)s AND received >= coalesce(%(since)s::timestamptz, '-infinity') {belonging}
            {fulfils}
    """
