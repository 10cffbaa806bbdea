"""The one way to write resources: new versions of what changed, nothing for what did not.

    look up what is there -> lock what is new (by identity) -> lock what changed (its row)
    -> move old versions to history -> write versions and index values

Locks are taken in sorted order, so two writers of the same resources never wait for
each other in a circle. Unchanged content takes no lock: every visit repeats the same
Practitioner, and visits must not queue behind one another for it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row, tuple_row
from sqlalchemy import Connection

from service.store import content, search_index
from service.store.search_index import Json

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of a current version without reading its body."""

    type: str
    id: str
    version: int
    patient: str | None
    owned: bool
    received: datetime

    @property
    def identity(self) -> Identity:
        """Return type and id."""
        return self.type, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One version of a resource."""

    type: str
    id: str
    version: int
    #: the order of receipt, over all resources
    seq: int
    #: the id alone
    patient: str | None
    received: datetime
    #: made by the engine
    owned: bool
    deleted: bool
    #: JSON, id and meta included
    body: str

    @property
    def reference(self) -> str:
        """Return `Type/id`."""
        return f"{self.type}/{self.id}"

    @property
    def head(self) -> Head:
        """Return all but the body."""
        return Head(
            type=self.type,
            id=self.id,
            version=self.version,
            patient=self.patient,
            owned=self.owned,
            received=self.received,
        )

    @property
    def resource(self) -> dict[str, Any]:
        """Return the resource; its numbers are decimals."""
        return content.read(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What a resource should be from now on."""

    type: str
    id: str
    body: Json
    patient: str | None = None
    owned: bool = False
    #: the id was made just now, so nobody else can be writing it
    fresh: bool = False
    #: refuse unless this is the current version
    if_version: int | None = None
    #: by which it is found besides what its body says; kept by later versions
    also: tuple[search_index.Value, ...] = ()


class VersionConflict(Exception):
    """The resource has another version than the writer knows."""

    def __init__(self, identity: Identity) -> None:
        super().__init__("/".join(identity))
        self.identity = identity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The current version, and by what unchanged content is known."""

    digest: bytes
    stored: Stored


COLUMNS = "type, id, version, seq, patient, received, owned, deleted, body"


def save(
    tx: Connection, writes: Sequence[Write], *, tenant: int, now: datetime, sender: str = "engine"
) -> list[Stored]:
    """Store each write as the new current version; of unchanged content return the current one.

    Args:
        writes: at most one for a resource.
        now: the service clock; becomes `meta.lastUpdated`.
        sender: who sent it; kept with each version.

    Raises:
        VersionConflict: `if_version` is not the current version.
    """
    connection = raw(tx)
    digests = {(write.type, write.id): content.digest(write.body) for write in writes}
    heads = _heads(connection, tenant, [(w.type, w.id) for w in writes if not w.fresh])
    new = [(w.type, w.id) for w in writes if not w.fresh and (w.type, w.id) not in heads]
    if new:
        lock_identities(tx, tenant, new)
        heads |= _heads(connection, tenant, new)
    changed = [w for w in writes if _changes(w, heads.get((w.type, w.id)), digests)]
    known = [(w.type, w.id) for w in changed if (w.type, w.id) in heads]
    if known:
        # What is read under the lock is what the new version follows.
        heads |= _heads(connection, tenant, known, lock=True)
        changed = [w for w in changed if _changes(w, heads.get((w.type, w.id)), digests)]
    for write in writes:
        head = heads.get((write.type, write.id))
        if write.if_version is not None and (head is None or head.stored.version != write.if_version):
            raise VersionConflict((write.type, write.id))
    written = _write(connection, changed, heads, digests, tenant=tenant, now=now, sender=sender)
    return [written.get((w.type, w.id)) or heads[w.type, w.id].stored for w in writes]


def lock_identities(tx: Connection, tenant: int, names: Iterable[tuple[str, ...]]) -> None:
    """Wait until nobody else is creating any of the resources with these names.

    A name is type and id, or type, system and value of an identifier. The locks end
    with the transaction; taking one twice is harmless.
    """
    keys = sorted({_lock_key(tenant, name) for name in names})
    if keys:
        raw(tx).execute("SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%s::bigint[]) AS k", [keys])


def raw(tx: Connection) -> psycopg.Connection[Any]:
    """Return the driver's connection, for statements whose round trips count."""
    connection: psycopg.Connection[Any] = tx.connection.driver_connection  # type: ignore[assignment]
    return connection


def stored(row: dict[str, Any]) -> Stored:
    """Return the version a row of COLUMNS holds."""
    return Stored(**row)


def _lock_key(tenant: int, name: tuple[str, ...]) -> int:
    text = "\x1f".join((str(tenant), *name))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _changes(write: Write, head: _Head | None, digests: dict[Identity, bytes]) -> bool:
    if head is None or head.stored.deleted:
        return True
    became_ours = write.owned and not head.stored.owned
    return became_ours or head.digest != digests[write.type, write.id]


def _heads(
    connection: psycopg.Connection[Any], tenant: int, identities: Sequence[Identity], *, lock: bool = False
) -> dict[Identity, _Head]:
    if not identities:
        return {}
    ordered = sorted(set(identities))
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"SELECT {COLUMNS}, digest FROM resource WHERE tenant = %s AND (type, id) IN "  # noqa: S608
            "(SELECT * FROM unnest(%s::text[], %s::text[])) "
            f'ORDER BY type COLLATE "C", id COLLATE "C" {"FOR UPDATE" if lock else ""}',
            [tenant, [type_ for type_, _ in ordered], [id_ for _, id_ in ordered]],
        )
        return {
            (row["type"], row["id"]): _Head(digest=row.pop("digest"), stored=stored(row)) for row in cursor
        }


def _write(
    connection: psycopg.Connection[Any],
    writes: Sequence[Write],
    heads: dict[Identity, _Head],
    digests: dict[Identity, bytes],
    *,
    tenant: int,
    now: datetime,
    sender: str,
) -> dict[Identity, Stored]:
    """Write the versions and their index values in one round trip."""
    if not writes:
        return {}
    rows: list[dict[str, Any]] = []
    index: list[tuple[str, str, str, str, str]] = []
    for write in writes:
        head = heads.get((write.type, write.id))
        version = head.stored.version + 1 if head else 1
        columns = search_index.promoted(write.body)
        rows.append(
            {
                "type": write.type,
                "id": write.id,
                "version": version,
                "patient": write.patient,
                "code": list(columns.codes) if columns.codes else None,
                "date": columns.date,
                "status": columns.status,
                "owned": write.owned or (head is not None and head.stored.owned),
                "digest": digests[write.type, write.id],
                "body": content.stamped(write.body, id_=write.id, version=version, received=now),
            }
        )
        found = (*search_index.values(write.body), *(write.also if head is None else ()))
        index += [(write.type, write.id, v.name, v.system, v.value) for v in found]
    known = sorted((w.type, w.id) for w in writes if (w.type, w.id) in heads)
    with connection.pipeline(), connection.cursor(row_factory=tuple_row) as cursor:
        if known:
            _supersede(cursor, tenant, known)
        cursor.execute(
            f"INSERT INTO resource ({_ROW}) VALUES {', '.join([_ROW_VALUES] * len(rows))} {_UPDATE}",  # noqa: S608
            [value for row in rows for value in _parameters(row, tenant=tenant, now=now, sender=sender)],
        )
        receipts = cursor
        if index:
            with connection.cursor() as values:
                values.execute(
                    "INSERT INTO search_value (key, tenant, type, name, system, value) "
                    "SELECT r.key, r.tenant, r.type, v.name, v.system, v.value FROM "
                    "unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) "
                    "AS v (type, id, name, system, value) "
                    "JOIN resource r ON r.tenant = %s AND r.type = v.type AND r.id = v.id",
                    [*(list(column) for column in zip(*index, strict=True)), tenant],
                )
        seqs = {(type_, id_): seq for type_, id_, seq in receipts.fetchall()}
    return {
        (row["type"], row["id"]): Stored(
            type=row["type"],
            id=row["id"],
            version=row["version"],
            seq=seqs[row["type"], row["id"]],
            patient=row["patient"],
            received=now,
            owned=row["owned"],
            deleted=False,
            body=row["body"],
        )
        for row in rows
    }


_NAMES = (
    "tenant",
    "type",
    "id",
    "version",
    "patient",
    "code",
    "date",
    "status",
    "owned",
    "received",
    "sender",
    "digest",
    "body",
)
_ROW = ", ".join((*_NAMES, "seq", "deleted"))
_ROW_VALUES = f"({', '.join(['%s'] * len(_NAMES))}, nextval('receipt_seq'), false)"
_UPDATE = (
    "ON CONFLICT (tenant, type, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_NAMES[3:], "seq", "deleted"))
    + " RETURNING type, id, seq"
)
_HISTORY = ", ".join((*_NAMES, "seq", "deleted"))


def _supersede(cursor: psycopg.Cursor[Any], tenant: int, identities: Sequence[Identity]) -> None:
    types, ids = [type_ for type_, _ in identities], [id_ for _, id_ in identities]
    which = "tenant = %s AND (type, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
    cursor.execute(
        f"INSERT INTO history ({_HISTORY}) SELECT {_HISTORY} FROM resource WHERE {which}",  # noqa: S608
        [tenant, types, ids],
    )
    cursor.execute(
        f"DELETE FROM search_value WHERE name <> ALL(%s) AND key IN (SELECT key FROM resource WHERE {which})",  # noqa: S608
        [list(search_index.KEPT), tenant, types, ids],
    )


def _parameters(row: dict[str, Any], *, tenant: int, now: datetime, sender: str) -> list[Any]:
    values = {**row, "tenant": tenant, "received": now, "sender": sender}
    return [values[name] for name in _NAMES]
