"""Versions as rows: the statements that write them, any number of resources in one statement.

The rows travel as one JSON text. A statement with a place for each value would be another one for
each number of rows, too long for the driver to remember and dearer to fill than the rows are to insert.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from service.store import search_index
from service.store.indexing.rows import Number, Rows, Span, Text, Value


class Version(NamedTuple):
    """A version that becomes the current one."""

    type: str
    id: str
    version: int
    patient: str | None
    code: Sequence[str] | None
    date: datetime | None
    status: str | None
    owned: bool
    #: in hexadecimal
    digest: str
    #: JSON, id and meta included
    body: str
    #: a POST created it
    posted: bool
    #: it says that the resource is no longer there
    deleted: bool

    @property
    def identity(self) -> tuple[str, str]:
        """Return type and id."""
        return self.type, self.id


@dataclass(frozen=True, slots=True)
class Index:
    """What versions are found by: rows that begin with type and id of their version, for each table."""

    values: list[tuple[object, ...]] = field(default_factory=list)
    texts: list[tuple[object, ...]] = field(default_factory=list)
    spans: list[tuple[object, ...]] = field(default_factory=list)
    numbers: list[tuple[object, ...]] = field(default_factory=list)
    narratives: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, type_: str, id_: str, rows: Rows) -> None:
        """Add everything that one version is found by."""
        self.values.extend((type_, id_, *row) for row in rows.values)
        self.texts.extend((type_, id_, *row) for row in rows.texts)
        self.spans.extend((type_, id_, *_ends(row)) for row in rows.spans)
        self.numbers.extend((type_, id_, *_numbers(row)) for row in rows.numbers)
        if rows.narrative:
            self.narratives.append((type_, id_, rows.narrative))


def as_json(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as the text that `json_to_recordset` takes."""
    return _ENCODER.encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()


def supersede(cursor: psycopg.Cursor[Any], keys: Sequence[int]) -> None:
    """Move the current versions with these keys to history; what was found by their content no longer is."""
    cursor.execute(_TO_HISTORY, [keys])
    cursor.execute(FORGET, {"kept": list(search_index.KEPT), "keys": list(keys)})


def forget_narratives(cursor: psycopg.Cursor[Any], keys: Sequence[int]) -> None:
    """Forget the words of what is removed, or indexed anew.

    Those of what is superseded stay until the next narrative: they are not found, as their seq is another,
    and to look for them would cost whatever has none.
    """
    cursor.execute(_FORGET_NARRATIVES, {"keys": list(keys)})


def write(
    cursor: psycopg.Cursor[Any],
    versions: Sequence[Version],
    index: Index,
    *,
    tenant: int,
    received: datetime,
    sender: str,
) -> None:
    """Make the versions the current ones, numbered in their order, and index them.

    It returns no rows.
    """
    # Few resources have a narrative, and the others shall not pay for it.
    cursor.execute(
        _WRITE_WITH_NARRATIVES if index.narratives else _WRITE,
        {
            "versions": as_json(Version._fields, versions),
            **index_parameters(index),
            "tenant": tenant,
            "received": received,
            "sender": sender,
        },
    )


def index_parameters(index: Index) -> dict[str, str]:
    """Return the parameters of INSERT_INDEX besides the tenant, and of INSERT_NARRATIVES."""
    narratives = as_json(("type", "id", "words"), index.narratives) if index.narratives else None
    return {
        **({"narratives": narratives} if narratives else {}),
        "index": as_json(("type", "id", *Value._fields), index.values),
        "texts": as_json(("type", "id", *Text._fields), index.texts),
        "spans": as_json(("type", "id", *Span._fields), index.spans),
        "numbers": as_json(("type", "id", *Number._fields), index.numbers),
    }


def _ends(row: Span) -> tuple[object, ...]:
    return (
        row.name,
        row.part,
        "-infinity" if row.low is None else row.low,
        "infinity" if row.high is None else row.high,
    )


def _numbers(row: Number) -> tuple[object, ...]:
    low, high = row.low, row.high
    return (
        row.name,
        row.part,
        "-Infinity" if low is None else str(low),
        "Infinity" if high is None else str(high),
        row.base,
        "-Infinity" if low is None else str(row.base_low),
        "Infinity" if high is None else str(row.base_high),
        row.code,
        row.unit,
    )


_ENCODER = msgspec.json.Encoder()

#: what is copied from the row that was sent, or from the current version to history
_CONTENT = "type, id, version, patient, code, date, status, owned, body, posted, deleted"
_COLUMNS = f"tenant, {_CONTENT}, received, sender, digest, seq"
_UPDATED = ("version", "patient", "code", "date", "status", "owned", "body", "posted", "deleted")

_NUMBERS = (
    "name text, part smallint, low numeric, high numeric, base text, base_low numeric, base_high numeric, "
    "code text, unit text"
)
#: the search tables, what is sent for each, and its columns with their types; `written` has the keys
TABLES = (
    ("search_value", "index", "name text, system text, value text, part smallint"),
    ("search_text", "texts", "name text, part smallint, folded text, written text"),
    ("search_date", "spans", "name text, part smallint, low timestamptz, high timestamptz"),
    ("search_number", "numbers", _NUMBERS),
)


def _insert(table: str, sent: str, columns: str) -> str:
    names = [column.split()[0] for column in columns.split(", ")]
    return (
        f"INSERT INTO {table} (key, tenant, type, {', '.join(names)}) "  # noqa: S608 - constants
        f"SELECT w.key, %(tenant)s, w.type, {', '.join(f'i.{name}' for name in names)} "
        f"FROM json_to_recordset(%({sent})s::json) AS i (type text, id text, {columns}) "
        "JOIN written AS w USING (type, id)"
    )


#: parts of a WITH that come after `written`, which has key, type and id of each version
INSERT_INDEX = ", ".join(f"{table} AS ({_insert(table, sent, columns)})" for table, sent, columns in TABLES)

#: a further part, where there are any; `written` has seq as well
INSERT_NARRATIVES = """narratives AS (
    INSERT INTO search_narrative (key, seq, words) SELECT w.key, w.seq, i.words::tsvector
    FROM json_to_recordset(%(narratives)s::json) AS i (type text, id text, words text)
    JOIN written AS w USING (type, id)
    ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, words = excluded.words
)"""

# One statement, so that the values find the keys of their resources without looking for them.
_WRITING = f"""
    WITH written AS (
        INSERT INTO resource ({_COLUMNS})
        SELECT %(tenant)s, {_CONTENT}, %(received)s, %(sender)s, decode(digest, 'hex'),
            nextval('receipt_seq')
        FROM json_to_recordset(%(versions)s::json) AS v (
            type text, id text, version integer, patient text, code text[], date timestamptz, status text,
            owned boolean, digest text, body text, posted boolean, deleted boolean)
        ON CONFLICT (tenant, type, id) DO UPDATE SET
            {", ".join(f"{name} = excluded.{name}" for name in _UPDATED)}, received = excluded.received,
            sender = excluded.sender, digest = excluded.digest, seq = excluded.seq
        RETURNING key, type, id, seq
    ), {INSERT_INDEX}
"""  # noqa: S608 - constants of this module
# All parts of a WITH that change anything are carried out, whatever is selected of them.
_WRITE = f"{_WRITING} SELECT WHERE false"
_WRITE_WITH_NARRATIVES = f"{_WRITING}, {INSERT_NARRATIVES} SELECT WHERE false"
_TO_HISTORY = f"INSERT INTO history ({_COLUMNS}) SELECT {_COLUMNS} FROM resource WHERE key = ANY(%s)"  # noqa: S608
FORGET = """
    WITH texts AS (DELETE FROM search_text WHERE key = ANY(%(keys)s)),
        dates AS (DELETE FROM search_date WHERE key = ANY(%(keys)s)),
        numbers AS (DELETE FROM search_number WHERE key = ANY(%(keys)s))
    DELETE FROM search_value WHERE name <> ALL(%(kept)s) AND key = ANY(%(keys)s)
"""
_FORGET_NARRATIVES = "DELETE FROM search_narrative WHERE key = ANY(%(keys)s)"
