"""Searching the record: a page of what matches, in an order that stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy import Connection

from service.store.writing import COLUMNS, Stored, raw, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the resources that match."""

    total: int
    resources: tuple[Stored, ...]
    #: where the next page begins; None: this is the last
    next_after: int | None


def page(
    tx: Connection,
    conditions: Sequence[str],
    parameters: Sequence[Any],
    *,
    tenant: int,
    type_: str,
    count: int,
    after: int,
) -> Page:
    """Return a page in the order of creation, which no later version changes.

    What is created meanwhile comes at the end, so no resource is on two pages or on none.

    Args:
        conditions: SQL about `r`, the first two of them tenant and type.
        after: the key after which the page begins; 0 for the first.
    """
    where = " AND ".join(conditions)
    columns = ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    found: list[dict[str, Any]] = []
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        values = [tenant, type_, *parameters]
        cursor.execute(f"SELECT count(*) AS total FROM resource r WHERE {where}", values)  # noqa: S608
        row = cursor.fetchone()
        total = row["total"] if row else 0
        if count:
            cursor.execute(
                f"SELECT {columns} FROM resource r WHERE {where} AND r.key > %s "  # noqa: S608
                "ORDER BY r.key LIMIT %s",
                [*values, after, count + 1],
            )
            found = cursor.fetchall()
    more = len(found) > count
    return Page(
        total=total,
        resources=tuple(stored(row) for row in found[:count]),
        next_after=found[count - 1]["key"] if more else None,
    )
