"""The log of decisions: what was decided, on what basis, by which version. Append-only.

Where a patient stands is the `after` of the latest row of an instance; nothing else
is remembered anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from service.store import content, tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One applied rule."""

    tenant: int
    #: the id alone
    patient: str
    pathway: str
    #: a side word; empty for the person
    instance: str
    #: 1 for the first decision of the instance
    number: int
    #: service clock
    at: datetime
    #: all decisions of one evaluation share it
    run: UUID
    rule: str
    before: dict[str, Any]
    after: dict[str, Any]
    basis: dict[str, Any]


COLUMNS = tuple(field.name for field in fields(Row))


def append(tx: Connection, rows: Sequence[Row], *, tenant: int) -> None:
    """Store the decisions, in their order.

    Raises:
        sqlalchemy.exc.IntegrityError: another evaluation wrote the same number first.
    """
    if rows:
        tx.execute(insert(tables.decision), [_values(row, tenant) for row in rows])


def latest(tx: Connection, patient: str, *, tenant: int) -> dict[tuple[str, str], Row]:
    """Return the newest decision of each (pathway, instance)."""
    table = tables.decision.c
    rows = tx.execute(
        _select(table.tenant == tenant, table.patient == patient)
        .ext(distinct_on(table.pathway, table.instance))
        .order_by(table.pathway, table.instance, table.number.desc())
    )
    return {(row.pathway, row.instance): row for row in map(_row, rows.mappings())}


def of_instance(tx: Connection, patient: str, pathway: str, instance: str, *, tenant: int) -> list[Row]:
    """Return every decision of the instance, newest first."""
    table = tables.decision.c
    rows = tx.execute(
        _select(
            table.tenant == tenant,
            table.patient == patient,
            table.pathway == pathway,
            table.instance == instance,
        ).order_by(table.number.desc())
    )
    return [_row(row) for row in rows.mappings()]


def of_numbers(
    tx: Connection, patient: str, pathway: str, instance: str, numbers: Sequence[int], *, tenant: int
) -> list[Row]:
    """Return the decisions of the instance with these numbers, newest first."""
    table = tables.decision.c
    rows = tx.execute(
        _select(
            table.tenant == tenant,
            table.patient == patient,
            table.pathway == pathway,
            table.instance == instance,
            table.number.in_(numbers),
        ).order_by(table.number.desc())
    )
    return [_row(row) for row in rows.mappings()]


def of_run(tx: Connection, run: UUID, *, tenant: int = 0) -> list[Row]:
    """Return every decision of one evaluation, in order."""
    table = tables.decision.c
    rows = tx.execute(_select(table.tenant == tenant, table.run == run).order_by(table.key))
    return [_row(row) for row in rows.mappings()]


def _select(*conditions: ColumnElement[bool]) -> Any:
    return select(*(tables.decision.c[name] for name in COLUMNS)).where(*conditions)


def _values(row: Row, tenant: int) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    for name in ("before", "after", "basis"):
        values[name] = content.write(values[name])
    return {**values, "tenant": tenant}


def _row(row: RowMapping) -> Row:
    values: dict[str, Any] = dict(row)
    for name in ("before", "after", "basis"):
        values[name] = msgspec.json.decode(values[name])
    return Row(**values)
