"""The versions of a type or of all types, newest first, in pages that no later version moves.

The order is that of receipt: by time, and by number where the time is the same. Pages follow one
another by the last of a page, below one horizon (`service.store.horizon`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import tuple_row
from sqlalchemy import Connection

from service.store import resources
from service.store.driver import raw
from service.store.resources import Stored
from service.store.tables import NUMBERED

#: when it was received, and its number
Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A page of versions."""

    #: of all pages
    total: int
    versions: tuple[Stored, ...]
    #: after which the next page begins; None: this is the last
    next_after: Place | None


_TABLES = ("resource", "history")
_WITHIN = (
    f"{NUMBERED} AND tenant = %(tenant)s AND type = n.type AND received < %(until)s "
    "AND received >= coalesce(%(since)s::timestamptz, '-infinity')"
)
_FOUND = " UNION ALL ".join(
    f"(SELECT type, id, version, received, seq FROM {table} WHERE {_WITHIN} "  # noqa: S608 - constants
    "AND (received, seq) < (%(before)s, %(seq)s) ORDER BY received DESC, seq DESC LIMIT %(rows)s)"
    for table in _TABLES
)
# Of each type the newest, of these the newest: each is one descent of an index.
PAGE = (
    "SELECT f.* FROM unnest(%(types)s::text[]) AS n (type) "  # noqa: S608
    f"CROSS JOIN LATERAL ({_FOUND}) AS f ORDER BY f.received DESC, f.seq DESC LIMIT %(rows)s"
)
_COUNTED = " + ".join(f"(SELECT count(*) FROM {table} WHERE {_WITHIN})" for table in _TABLES)  # noqa: S608
_TOTAL = f"SELECT coalesce(sum({_COUNTED}), 0) FROM unnest(%(types)s::text[]) AS n (type)"  # noqa: S608


def page(
    tx: Connection,
    types: Sequence[str],
    *,
    tenant: int,
    until: datetime,
    since: datetime | None,
    after: Place | None,
    count: int,
) -> Changes:
    """Return a page of the versions that were received before `until`, and not before `since`.

    Args:
        tx: REPEATABLE READ, begun after the horizon was read.
        after: the last version of the page before.
    """
    before, seq = after or (until, 0)
    values: dict[str, Any] = {
        "tenant": tenant,
        "types": list(types),
        "until": until,
        "since": since,
        "before": before,
        "seq": seq,
        "rows": count + 1,
    }
    found: list[tuple[str, str, int, datetime, int]] = []
    with raw(tx).cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_TOTAL, values).fetchone()
        if count:
            found = cursor.execute(PAGE, values).fetchall()
    kept = found[:count]
    bodies = resources.versions(
        tx, [(type_, id_, version) for type_, id_, version, *_ in kept], tenant=tenant
    )
    last = kept[-1] if len(found) > count else None
    return Changes(
        total=int(row[0]) if row else 0,
        versions=tuple(bodies[type_, id_, version] for type_, id_, version, *_ in kept),
        next_after=(last[3], last[4]) if last else None,
    )
