"""Versions as rows: the statements that write them, any number of resources in one statement.

The rows travel as one JSON text. A statement with a place for each value would be another one for
each number of rows, too long for the driver to remember and dearer to fill than the rows are to insert.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from service.store import search_index


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


class IndexRow(NamedTuple):
    """A value by which a version is found."""

    type: str
    id: str
    name: str
    system: str
    value: str


def as_json(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as the text that `json_to_recordset` takes."""
    return _ENCODER.encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()


def supersede(cursor: psycopg.Cursor[Any], keys: Sequence[int]) -> None:
    """Move the current versions with these keys to history; what was found by their content no longer is."""
    cursor.execute(_TO_HISTORY, [keys])
    cursor.execute(_FORGET, [list(search_index.KEPT), keys])


def write(
    cursor: psycopg.Cursor[Any],
    versions: Sequence[Version],
    index: Sequence[IndexRow],
    *,
    tenant: int,
    received: datetime,
    sender: str,
) -> None:
    """Make the versions the current ones, numbered in their order, and index them.

    The cursor holds key, type and id of each. Nothing is waited for within a pipeline.
    """
    cursor.execute(
        _WRITE,
        {
            "versions": as_json(Version._fields, versions),
            "index": as_json(IndexRow._fields, index),
            "tenant": tenant,
            "received": received,
            "sender": sender,
        },
    )


_ENCODER = msgspec.json.Encoder()

#: what is copied from the row that was sent, or from the current version to history
_CONTENT = "type, id, version, patient, code, date, status, owned, body, posted, deleted"
_COLUMNS = f"tenant, {_CONTENT}, received, sender, digest, seq"
_UPDATED = ("version", "patient", "code", "date", "status", "owned", "body", "posted", "deleted")

# One statement, so that the values find the keys of their resources without looking for them.
_WRITE = f"""
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
        RETURNING key, type, id
    ), indexed AS (
        INSERT INTO search_value (key, tenant, type, name, system, value)
        SELECT w.key, %(tenant)s, w.type, i.name, i.system, i.value
        FROM json_to_recordset(%(index)s::json) AS i (type text, id text, name text, system text, value text)
        JOIN written AS w USING (type, id)
    )
    SELECT key, type, id FROM written
"""  # noqa: S608 - constants of this module
_TO_HISTORY = f"INSERT INTO history ({_COLUMNS}) SELECT {_COLUMNS} FROM resource WHERE key = ANY(%s)"  # noqa: S608
_FORGET = "DELETE FROM search_value WHERE name <> ALL(%s) AND key = ANY(%s)"
