"""Searching the record: a page of what matches, in an order that stays.

A page begins after a version, not at a number: what is created or changed meanwhile moves nothing that was
not changed from one page to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy import Connection

from service.store.driver import raw
from service.store.writing import COLUMNS, Stored, stored

#: Counting more than so many takes longer than finding them: then it is done only when it is asked for.
COUNTED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing by which is sorted."""

    #: SQL about `r`
    expression: str
    values: tuple[Any, ...]
    descending: bool
    #: its type in the database
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page begins: after a resource, by what it was sorted when it was shown."""

    key: int
    #: one for each order, as text
    values: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the resources that match."""

    resources: tuple[Stored, ...]
    #: there are further ones
    more: bool


def total(
    tx: Connection, condition: str, parameters: Sequence[Any], *, exact: bool, few: bool = False
) -> int | None:
    """Return how many match; None: more than are counted, unless it has to be exact.

    Args:
        few: as in `page`.
    """
    limit = "" if exact else f"LIMIT {COUNTED + 1}"
    statement = f"SELECT count(*) FROM (SELECT FROM resource r WHERE {condition} {limit}) AS f"  # noqa: S608
    row = raw(tx).execute(statement, list(parameters), prepare=_prepare(few)).fetchone()
    found = int(row[0]) if row else 0
    return found if exact or found <= COUNTED else None


def page(
    tx: Connection,
    condition: str,
    parameters: Sequence[Any],
    *,
    count: int,
    after: Place | None,
    order: Sequence[Order] = (),
    few: bool = False,
) -> Page:
    """Return a page in the order, and within it in that of creation, which no later version changes.

    Args:
        condition: SQL about `r`.
        after: None: the first page.
        few: the condition leaves few resources, whatever its values are.
    """
    columns = COLUMNS.split(", ")
    sorted_by = [f"({one.expression}) AS o{number}" for number, one in enumerate(order)]
    inner = (
        f"SELECT {', '.join([*(f'r.{name}' for name in columns), *sorted_by])} "  # noqa: S608
        f"FROM resource r WHERE {condition}"
    )
    values: list[Any] = [value for one in order for value in one.values] + list(parameters)
    begins, more_values = _begins(order, after)
    ends = ", ".join(
        [f"o{n} {'DESC' if one.descending else 'ASC'} NULLS LAST" for n, one in enumerate(order)] + ["key"]
    )
    if order:
        # What is sorted by is not read: the end of an open period is a moment that Python cannot hold.
        statement = f"SELECT {COLUMNS} FROM ({inner}) AS f WHERE {begins} ORDER BY {ends} LIMIT %s"  # noqa: S608
    else:
        # Without a query around it the planner sees that one index has the order.
        statement = f"{inner} AND r.{begins} ORDER BY r.key LIMIT %s"
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement, [*values, *more_values, count + 1], prepare=_prepare(few))
        rows = cursor.fetchall()
    found = [stored({name: row[name] for name in columns}) for row in rows[:count]]
    return Page(resources=tuple(found), more=len(rows) > count)


def shown(tx: Connection, key: int, seq: int) -> Stored | None:
    """Return the version of a resource that a page ended with; None: it is not there any more."""
    names = ", ".join(f"h.{name}" for name in COLUMNS.split(", ")[1:])
    statement = (
        f"SELECT {COLUMNS} FROM resource WHERE key = %s AND seq = %s "  # noqa: S608 - constants
        f"UNION ALL SELECT c.key, {names} FROM resource c JOIN history h USING (tenant, type, id) "
        "WHERE c.key = %s AND h.seq = %s"
    )
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement, [key, seq, key, seq]).fetchone()
    return stored(row) if row else None


def references(tx: Connection, keys: Sequence[int], names: Sequence[str]) -> set[str]:
    """Return to what the resources with these keys refer under the names, as `Type/id`."""
    statement = "SELECT DISTINCT value FROM search_value WHERE key = ANY(%s) AND name = ANY(%s)"
    return {row[0] for row in raw(tx).execute(statement, [list(keys), list(names)])}


def referring(
    tx: Connection, type_: str, names: Sequence[str], targets: Sequence[str], *, tenant: int, limit: int
) -> list[Stored]:
    """Return resources of a type that refer under one of the names to one of the targets, at most so many."""
    statement = (
        f"SELECT {COLUMNS} FROM resource WHERE NOT deleted AND key IN ("  # noqa: S608 - constants
        "SELECT key FROM search_value WHERE tenant = %s AND type = %s AND name = ANY(%s) "
        "AND value = ANY(%s)) ORDER BY key LIMIT %s"
    )
    return _all(tx, statement, [tenant, type_, list(names), list(targets), limit])


def about(tx: Connection, type_: str, patients: Sequence[str], *, tenant: int, limit: int) -> list[Stored]:
    """Return resources of a type that are about one of the patients, at most so many."""
    statement = (
        f"SELECT {COLUMNS} FROM resource WHERE tenant = %s AND patient = ANY(%s) AND type = %s "  # noqa: S608
        "AND NOT deleted ORDER BY key LIMIT %s"
    )
    return _all(tx, statement, [tenant, list(patients), type_, limit])


def _prepare(few: bool) -> bool | None:
    """Return whether the driver may prepare a statement, None, or the server shall plan it each time, False.

    A code that every second resource has is searched for in another way than one that nobody has, and a plan
    that was made once, for whatever value, is the wrong one of the two. Planning costs some milliseconds.
    https://www.postgresql.org/docs/current/sql-prepare.html
    """
    return None if few else False


def _begins(order: Sequence[Order], after: Place | None) -> tuple[str, list[Any]]:
    """Return the condition that a row comes after the place, and its values."""
    if after is None or not order:
        return "key > %s", [after.key if after else 0]
    ways, values = [], list[Any]()
    for number in range(len(order) + 1):
        same = [f"o{n} IS NOT DISTINCT FROM %s::{one.kind}" for n, one in enumerate(order[:number])]
        same_values: list[Any] = list(after.values[:number])
        if number == len(order):
            ways.append(" AND ".join([*same, "key > %s"]))
            values += [*same_values, after.key]
        elif after.values[number] is not None:
            one = order[number]
            sign = "<" if one.descending else ">"
            later = f"(o{number} {sign} %s::{one.kind} OR o{number} IS NULL)"
            ways.append(" AND ".join([*same, later]))
            values += [*same_values, after.values[number]]
    return f"({' OR '.join(f'({way})' for way in ways)})", values


def _all(tx: Connection, statement: str, parameters: list[Any]) -> list[Stored]:
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement, parameters)
        return [stored(row) for row in cursor]
