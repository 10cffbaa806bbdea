"""The log of decisions: what was decided, on what basis, by which version. Append-only.

Where a patient stands is the `after` of the latest row of an instance; nothing else
is remembered anywhere. What an evaluation read is kept beside its decisions, by the numbers
of the versions, so that they can be made again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import dict_row
from sqlalchemy import ColumnElement, Connection, select

from service.store import content, tables
from service.store.driver import raw
from service.store.versions import as_json

Json = dict[str, Any]

#: pathway and instance
Instance = tuple[str, str]


class Text(NamedTuple):
    """The JSON of a decision."""

    before: str
    after: str
    basis: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The decisions of one evaluation, with what they were made from."""

    run: UUID
    #: in their order
    rows: tuple[Row, ...]
    #: the same as they are stored, for comparisons to the last letter
    texts: tuple[Text, ...]
    #: the number of each version that was there; None where no evaluation kept them yet
    read: tuple[int, ...] | None


def append(tx: Connection, rows: Sequence[Row], *, read: Collection[int], tenant: int) -> None:
    """Store the decisions of one evaluation, in their order, and what it read.

    Nothing is waited for within a block of `together`.

    Args:
        read: the number of each version that was there.

    Raises:
        psycopg.errors.UniqueViolation: another evaluation wrote the same number first.
    """
    if rows:
        raw(tx).execute(_APPEND, [tenant, as_json(COLUMNS, map(_values, rows))])
        raw(tx).execute(_READ, [tenant, rows[0].run, rows[0].patient, list(read)])


def append_carried(tx: Connection, rows: Sequence[Row], *, tenant: int) -> None:
    """Store decisions that no evaluation made: those of another record, and that two were joined or parted.

    What was read for them is kept with the record they come from.
    """
    if rows:
        raw(tx).execute(_APPEND, [tenant, as_json(COLUMNS, map(_values, rows))])


def latest(tx: Connection, patient: str, *, tenant: int) -> dict[Instance, Row]:
    """Return the newest decision of each (pathway, instance)."""
    return ask_latest(tx, patient, tenant=tenant)()


def ask_latest(tx: Connection, patient: str, *, tenant: int) -> Callable[[], dict[Instance, Row]]:
    """Ask for what `latest` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).cursor(row_factory=dict_row)
    cursor.execute(_LATEST, [tenant, patient])
    return lambda: {(row.pathway, row.instance): row for row in map(_row, cursor)}


def memories(tx: Connection, patient: str, pathway: str, *, tenant: int) -> dict[str, Json]:
    """Return what is remembered of each instance of a pathway: the `after` of its newest decision."""
    return ask_memories(tx, patient, pathway, tenant=tenant)()


def ask_memories(tx: Connection, patient: str, pathway: str, *, tenant: int) -> Callable[[], dict[str, Json]]:
    """Ask for what `memories` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute(_MEMORIES, [tenant, patient, pathway])
    return lambda: {instance: msgspec.json.decode(after) for instance, after in cursor}


def ask_numbers(
    tx: Connection, patient: str, pathway: str, numbers: Mapping[str, Iterable[int]], *, tenant: int
) -> Callable[[], list[Row]]:
    """Ask for the decisions with these numbers of each instance, and return how to get them, in no order.

    They are there after the end of a block of `together`.
    """
    pairs = [(instance, number) for instance, wanted in numbers.items() for number in wanted]
    cursor = raw(tx).cursor(row_factory=dict_row)
    if pairs:
        cursor.execute(_NUMBERS, [*map(list, zip(*pairs, strict=True)), tenant, patient, pathway])
    return lambda: [_row(row) for row in cursor] if pairs else []


def of_instance(tx: Connection, patient: str, pathway: str, instance: str, *, tenant: int) -> list[Row]:
    """Return every decision of the instance, newest first."""
    return ask_of_instance(tx, patient, pathway, instance, tenant=tenant)()


def ask_of_instance(
    tx: Connection, patient: str, pathway: str, instance: str, *, tenant: int
) -> Callable[[], list[Row]]:
    """Ask for what `of_instance` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).cursor(row_factory=dict_row)
    cursor.execute(_OF_INSTANCE, [tenant, patient, pathway, instance])
    return lambda: [_row(row) for row in cursor]


def of_run(tx: Connection, run: UUID, *, tenant: int = 0) -> list[Row]:
    """Return every decision of one evaluation, in order."""
    table = tables.decision.c
    rows = tx.execute(_select(table.tenant == tenant, table.run == run).order_by(table.key))
    return [_row(dict(row)) for row in rows.mappings()]


def of_patient(tx: Connection, patient: str, *, tenant: int) -> list[Evaluation]:
    """Return every evaluation that decided something, in their order."""
    table = tables.decision.c
    found = tx.execute(
        _select(table.tenant == tenant, table.patient == patient).order_by(table.key)
    ).mappings()
    kept = tables.evaluation.c
    runs_of_patient = select(table.run).where(table.tenant == tenant, table.patient == patient)
    read = {
        row.run: tuple(row.read)
        for row in tx.execute(
            select(kept.run, kept.read).where(kept.tenant == tenant, kept.run.in_(runs_of_patient))
        )
    }
    runs: dict[UUID, list[Mapping[str, Any]]] = {}
    for row in found:
        runs.setdefault(row["run"], []).append(dict(row))
    return [
        Evaluation(
            run=run,
            rows=tuple(map(_row, rows)),
            texts=tuple(Text(*(row[name] for name in _JSON)) for row in rows),
            read=read.get(run),
        )
        for run, rows in runs.items()
    ]


def patients(tx: Connection, *, after: str = "", limit: int, tenant: int) -> list[str]:
    """Return the ids of patients with a decision, sorted, those after an id."""
    table = tables.decision.c
    return list(
        tx.execute(
            select(table.patient)
            .where(table.tenant == tenant, table.patient > after)
            .distinct()
            .order_by(table.patient)
            .limit(limit)
        ).scalars()
    )


def text(row: Row) -> Text:
    """Return the decision's texts as they are stored."""
    return Text(*(content.write(getattr(row, name)) for name in _JSON))


def _select(*conditions: ColumnElement[bool]) -> Any:
    return select(*(tables.decision.c[name] for name in COLUMNS)).where(*conditions)


def _values(row: Row) -> list[object]:
    return [content.write(value) if name in _JSON else value for name, value in _fields(row)]


def _fields(row: Row) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(row, name)) for name in COLUMNS)


def _row(row: Mapping[str, Any]) -> Row:
    return Row(**{name: msgspec.json.decode(v) if name in _JSON else v for name, v in row.items()})


_JSON = Text._fields
_NAMES = ", ".join(COLUMNS)
_REST = ", ".join(name for name in COLUMNS if name != "tenant")

_APPEND = (
    f"INSERT INTO decision (tenant, {_REST}) SELECT %s, {_REST} "  # noqa: S608 - constants of this module
    "FROM json_to_recordset(%s::json) AS d (patient text, pathway text, instance text, number integer, "
    "at timestamptz, run uuid, rule text, before text, after text, basis text)"
)
_READ = "INSERT INTO evaluation (tenant, run, patient, read) VALUES (%s, %s, %s, %s)"
_LATEST = (
    f"SELECT DISTINCT ON (pathway, instance) {_NAMES} FROM decision "  # noqa: S608
    "WHERE tenant = %s AND patient = %s ORDER BY pathway, instance, number DESC"
)
_MEMORIES = (
    "SELECT DISTINCT ON (instance) instance, after FROM decision "
    "WHERE tenant = %s AND patient = %s AND pathway = %s ORDER BY instance, number DESC"
)
_OF_INSTANCE = (
    f"SELECT {_NAMES} FROM decision "  # noqa: S608
    "WHERE tenant = %s AND patient = %s AND pathway = %s AND instance = %s ORDER BY number DESC"
)
_NUMBERS = (
    f"SELECT {_NAMES} FROM unnest(%s::text[], %s::integer[]) AS n (instance, number) "  # noqa: S608
    "JOIN decision USING (instance, number) WHERE tenant = %s AND patient = %s AND pathway = %s"
)
