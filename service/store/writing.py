"""The one way to write resources: new versions of what changed, nothing for what did not.

    look up what is there -> lock what is new (by identity) -> lock what changed (its row)
    -> move old versions to history -> write versions and index values

Locks are taken in sorted order, so two writers of the same resources never wait for
each other in a circle. Unchanged content takes no lock: every visit repeats the same
Practitioner, and visits must not queue behind one another for it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store import content, search_index
from service.store.driver import Work, alone, raw, together
from service.store.search_index import Json
from service.store.versions import Index, Version, as_json, forget_narratives, supersede
from service.store.versions import write as write_versions

Identity = tuple[str, str]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a current version without reading its body."""

    type: str
    id: str
    version: int
    patient: str | None
    owned: bool
    received: datetime
    #: there is a version, which says that it was removed
    deleted: bool
    #: by which unchanged content is known
    digest: bytes

    @property
    def identity(self) -> Identity:
        """Return type and id."""
        return self.type, self.id

    @property
    def versioned(self) -> str:
        """Return `Type/id/_history/version`."""
        return f"{self.type}/{self.id}/_history/{self.version}"


class Current(Head, frozen=True, kw_only=True):
    """The same of one that was looked up."""

    #: the same for all versions that are ever the current one
    key: int


class Stored(NamedTuple):
    """One version of a resource."""

    #: of the current version; None for a superseded one
    key: int | None
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
    digest: bytes
    #: JSON, id and meta included
    body: str
    #: a POST created it; of a later version it says nothing
    posted: bool

    @property
    def reference(self) -> str:
        """Return `Type/id`."""
        return f"{self.type}/{self.id}"

    @property
    def head(self) -> Current:
        """Return all but the body, of a current version."""
        assert self.key is not None
        return Current(
            key=self.key,
            type=self.type,
            id=self.id,
            version=self.version,
            patient=self.patient,
            owned=self.owned,
            received=self.received,
            deleted=self.deleted,
            digest=self.digest,
        )

    @property
    def resource(self) -> dict[str, Any]:
        """Return the resource; its numbers are decimals."""
        return content.read(self.body)


class Write(msgspec.Struct, frozen=True, kw_only=True):
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
    #: it is to be no longer there; the body is what the rules still read of it
    removed: bool = False
    #: a POST asks for it
    posted: bool = False
    #: it is about another patient from now on: a version more, even with the same content
    moves: bool = False
    #: by which it is found besides what its body says; kept by later versions
    also: tuple[search_index.Value, ...] = ()

    @property
    def identity(self) -> Identity:
        """Return type and id."""
        return self.type, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Writes of which everything is locked that they change."""

    #: what is a new version; the other writes leave what is there
    changed: Sequence[Write]
    #: what is there
    heads: Mapping[Identity, Current]
    digests: Mapping[Identity, bytes]

    @property
    def versions(self) -> dict[Identity, int]:
        """Return the version of each when it is written."""
        next_ = {write.identity: _next_version(self.heads.get(write.identity)) for write in self.changed}
        return {identity: head.version for identity, head in self.heads.items()} | next_


class VersionConflict(Exception):
    """The resource has another version than the writer knows."""

    def __init__(self, identity: Identity) -> None:
        super().__init__("/".join(identity))
        self.identity = identity


#: the digest of what was removed: no content has it, so whatever is sent later is a change
REMOVED = b""

COLUMNS = ", ".join(Stored._fields)
HEAD = "key, type, id, version, patient, owned, received, deleted, digest"


def save(
    tx: Connection,
    writes: Sequence[Write],
    *,
    tenant: int,
    now: datetime,
    sender: str = "engine",
    seen: Mapping[Identity, Current] | None = None,
    besides: Callable[[], None] | None = None,
) -> list[Head]:
    """Make each write the new current version; of unchanged content keep the current one.

    Args:
        writes: at most one for a resource.
        now: the service clock, read after `horizon.announce`; becomes `meta.lastUpdated`, or what the
            version before has if that is later: of one resource no version is older than the one before.
        sender: who sent it; kept with each version.
        seen: what this transaction has looked up, with nothing missing but what is fresh.
        besides: called once if anything changes; what it executes shares the round trip of the
            writes, so it may not wait for a result.

    Returns:
        The current version of each, in the order of the writes.

    Raises:
        VersionConflict: `if_version` is not the current version.
    """
    prepared = alone(tx, preparing(tx, writes, tenant=tenant, seen=seen))
    with together(tx):
        heads = ask_to_write(tx, prepared, tenant=tenant, now=now, sender=sender, besides=besides)
    return [heads[write.identity] for write in writes]


def preparing(
    tx: Connection,
    writes: Sequence[Write],
    *,
    tenant: int,
    seen: Mapping[Identity, Current] | None = None,
    besides: Callable[[], None] | None = None,
) -> Work[Prepared]:
    """Look up and lock what a write needs, beside other work.

    Args:
        writes: at most one for a resource.
        seen: as `save` takes it.
        besides: called first; what it executes shares the first round trip.

    Raises:
        VersionConflict: `if_version` is not the current version.
    """
    digests = {write.identity: REMOVED if write.removed else content.digest(write.body) for write in writes}
    locked: set[Identity] = set()

    def to_lock() -> list[Identity]:
        """Return those of what is there that change and are not locked yet."""
        return [w.identity for w in writes if w.identity in heads and w.identity not in locked and changes(w)]

    def changes(write: Write) -> bool:
        return _changes(write, heads.get(write.identity), digests)

    if besides:
        besides()
    wanted = [] if seen is not None else [write.identity for write in writes if not write.fresh]
    looked = _ask(tx, wanted, tenant=tenant) if wanted else ()
    if besides or wanted:
        yield
    heads = {**(seen or {}), **{head.identity: head for head in looked}}
    missing = [identity for identity in wanted if identity not in heads]
    # Again where somebody has made meanwhile what was missing.
    while missing or to_lock():
        made: Iterable[Current] = ()
        if missing:
            lock_identities(tx, tenant, missing)
            made = _ask(tx, missing, tenant=tenant)
        # What is read under the lock is what the new version follows.
        locked |= set(known := to_lock())
        locked_heads = _ask(tx, known, tenant=tenant, lock=True) if known else ()
        yield
        heads |= {head.identity: head for head in (*made, *locked_heads)}
        missing = []
    for write in writes:
        head = heads.get(write.identity)
        if write.if_version is not None and (head is None or head.version != write.if_version):
            raise VersionConflict(write.identity)
    return Prepared(changed=[write for write in writes if changes(write)], heads=heads, digests=digests)


def look_up(
    tx: Connection, identities: Iterable[Identity], *, tenant: int, lock: bool = False
) -> list[Current]:
    """Return the current versions of those that exist; locked until the transaction ends, if asked."""
    ordered = set(identities)
    return _ask(tx, ordered, tenant=tenant, lock=lock).fetchall() if ordered else []


def look_up_or_lock(tx: Connection, writes: Sequence[Write], *, tenant: int) -> dict[Identity, Current]:
    """Return what is there, with a lock on the identity of what is not: what `save` takes as seen."""
    wanted = [write.identity for write in writes if not write.fresh]
    heads = {head.identity: head for head in look_up(tx, wanted, tenant=tenant)}
    missing = [identity for identity in wanted if identity not in heads]
    if missing:
        with together(tx):
            lock_identities(tx, tenant, missing)
            made_meanwhile = _ask(tx, missing, tenant=tenant)
        heads |= {head.identity: head for head in made_meanwhile}
    return heads


def _ask(
    tx: Connection, identities: Iterable[Identity], *, tenant: int, lock: bool = False
) -> psycopg.Cursor[Current]:
    """Ask for the current versions of those that exist."""
    cursor = raw(tx).cursor(row_factory=class_row(Current))
    return cursor.execute(LOCK if lock else LOOK_UP, look_up_parameters(sorted(set(identities)), tenant))


def each(columns: str, *, lock: bool = False) -> str:
    """Return a SELECT of the current version of each (type, id), in the order they are given.

    Each is one descent of the unique index. Without the fence of OFFSET 0 the planner is free
    to scan a table it knows nothing of yet, and before the first statistics it does.
    """
    return (
        f"SELECT {', '.join(f'r.{name}' for name in columns.split(', '))} "  # noqa: S608 - constants
        "FROM json_to_recordset(%s::json) AS n (type text, id text) CROSS JOIN LATERAL ("
        "SELECT * FROM resource WHERE tenant = %s AND type = n.type AND id = n.id "
        f"OFFSET 0 {'FOR UPDATE' if lock else ''}) AS r"
    )


LOOK_UP = each(HEAD)
LOCK = each(HEAD, lock=True)


def look_up_parameters(ordered: Sequence[Identity], tenant: int) -> list[Any]:
    """Return the parameters of LOOK_UP."""
    return [as_json(("type", "id"), ordered), tenant]


def lock_identities(tx: Connection, tenant: int, names: Iterable[tuple[str, ...]]) -> None:
    """Wait until nobody else is creating any of the resources with these names.

    A name is type and id, or type, system and value of an identifier. The locks end
    with the transaction; taking one twice is harmless.
    """
    keys = sorted({lock_key(tenant, name) for name in names})
    if keys:
        raw(tx).execute("SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%s::bigint[]) AS k", [keys])


def stored(row: dict[str, Any]) -> Stored:
    """Return the version a row of COLUMNS holds."""
    return Stored(**row)


def lock_key(tenant: int, name: tuple[str, ...]) -> int:
    """Return the number of the lock on a name."""
    text = "\x1f".join((str(tenant), *name))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _changes(write: Write, head: Head | None, digests: Mapping[Identity, bytes]) -> bool:
    if head is None:
        return True
    became_ours = write.owned and not head.owned
    return became_ours or write.moves or head.digest != digests[write.identity]


def ask_to_write(
    tx: Connection,
    prepared: Prepared,
    *,
    tenant: int,
    now: datetime,
    sender: str,
    besides: Callable[[], None] | None = None,
) -> dict[Identity, Head]:
    """Ask for the new versions and their index values, and return what each is then, changed or not.

    They are written at the end of the block of `together` around this.

    Args:
        now: as `save` takes it.
        besides: called once if anything changes; it may not wait for a result.
    """
    writes, heads, digests = prepared.changed, prepared.heads, prepared.digests
    if not writes:
        return dict(heads)
    # A writer that waited for this row has read the clock before the one that it waited for.
    now = max([now, *(heads[w.identity].received for w in writes if w.identity in heads)])
    versions = [_version(write, heads.get(write.identity), digests[write.identity], now) for write in writes]
    index = Index()
    for write in writes:
        rows = _found_by(write)
        if write.identity not in heads:
            rows.add_values(write.also)
        index.add(write.type, write.id, rows)
    known = [heads[write.identity].key for write in writes if write.identity in heads]
    removed = [heads[w.identity].key for w in writes if w.removed and w.identity in heads]
    cursor = raw(tx).cursor()
    if known:
        supersede(cursor, known)
    if removed:
        forget_narratives(cursor, removed)
    write_versions(cursor, versions, index, tenant=tenant, received=now, sender=sender)
    if besides:
        besides()
    return dict(heads) | {
        version.identity: _head(version, digests[version.identity], now) for version in versions
    }


def _found_by(write: Write) -> search_index.Rows:
    rows = search_index.rows(write.body, patient=write.patient)
    if not write.removed:
        return rows
    kept = search_index.OF_REMOVED
    return search_index.Rows(
        values={value: None for value in rows.values if (write.type, value.name) in kept}
    )


def _next_version(head: Head | None) -> int:
    return head.version + 1 if head else 1


def _version(write: Write, head: Head | None, digest: bytes, now: datetime) -> Version:
    number = _next_version(head)
    columns = search_index.promoted(write.body)
    return Version(
        type=write.type,
        id=write.id,
        version=number,
        patient=write.patient,
        code=columns.codes or None,
        date=columns.date,
        status=columns.status,
        owned=write.owned or (head is not None and head.owned),
        digest=digest.hex(),
        body=content.stamped(write.body, id_=write.id, version=number, received=now),
        posted=write.posted and head is None,
        deleted=write.removed,
    )


def _head(version: Version, digest: bytes, received: datetime) -> Head:
    return Head(
        type=version.type,
        id=version.id,
        version=version.version,
        patient=version.patient,
        owned=version.owned,
        received=received,
        deleted=version.deleted,
        digest=digest,
    )
