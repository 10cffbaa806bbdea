"""The chain of hashes over what is never changed: accesses and decisions.

    new rows  ->  a digest of each  ->  one link: hash of the link before and of all digests, in order

Whoever removes or changes a row, a digest or a link breaks the chain from there on, also as the owner of
the database. Whoever makes the whole chain anew does not: note a link elsewhere now and then, and compare.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

#: rows of one link at most, and of one source that are looked at behind the newest sealed one: a row that
#: was numbered before others may be committed after them
AT_ONCE = 5_000
BEHIND = 10_000

#: by source, what is digested; a column that is added later is not, so that old digests stay true
SOURCES = {
    "access": "key, tenant, at, who, action, place, reference, patients, status",
    "decision": "key, tenant, patient, pathway, instance, number, at, run, rule, before, after, basis",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of the chain."""

    number: int
    at: datetime
    entries: int
    #: hexadecimal
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where the chain is broken."""

    #: of the link
    number: int
    #: what is wrong: `link` (its hash, or the link itself), `changed` or `removed` (an entry)
    kind: str
    #: `source/key` of an entry
    entry: str = ""


def seal(tx: Connection, *, tenant: int) -> int:
    """Add a link over what is not sealed yet, and return how many entries it holds; 0: there is nothing.

    Of several processes that do it at once one waits for the other.
    """
    tx.execute(text("SELECT pg_advisory_xact_lock(hashtext('hipway seal'), :tenant)"), {"tenant": tenant})
    tx.execute(text("SET LOCAL timezone = 'UTC'"))
    found: list[tuple[str, int, bytes]] = []
    for source, columns in SOURCES.items():
        rows = tx.execute(
            text(_unsealed(source, columns)), {"tenant": tenant, "limit": AT_ONCE, "behind": BEHIND}
        )
        found += [(source, key, digest) for key, digest in rows]
    if not found:
        return 0
    last = latest(tx, tenant=tenant)
    number = last.number + 1 if last else 1
    link = bytes.fromhex(_hash(last.hash if last else "", number, found))
    entries = [{"tenant": tenant, "source": s, "key": k, "number": number, "digest": d} for s, k, d in found]
    tx.execute(text(_SEALED), entries)
    tx.execute(text(_SEAL), {"tenant": tenant, "number": number, "entries": len(found), "hash": link})
    return len(found)


def latest(tx: Connection, *, tenant: int) -> Link | None:
    """Return the newest link."""
    return next(iter(_links(tx, "ORDER BY number DESC LIMIT 1", tenant=tenant)), None)


def check(tx: Connection, *, tenant: int, newest: int | None = None) -> Iterator[Fault]:
    """Yield where the chain is broken, in order.

    Args:
        newest: how many of the newest links are looked at; None: all.
    """
    tx.execute(text("SET LOCAL timezone = 'UTC'"))
    latest_link = latest(tx, tenant=tenant)
    last = latest_link.number if latest_link else 0
    first = 1 if newest is None else max(1, last - newest + 1)
    known = {link.number: link for link in _links(tx, f"AND number >= {first - 1}", tenant=tenant)}
    before = known[first - 1].hash if first - 1 in known else ""
    for number in range(first, last + 1):
        link = known.get(number)
        entries = _entries(tx, number, tenant=tenant)
        if link is None or link.hash != _hash(before, number, entries) or link.entries != len(entries):
            yield Fault(number=number, kind="link")
        before = link.hash if link else ""
        yield from _changed(tx, number, tenant=tenant)


def holds(tx: Connection, noted: str, *, tenant: int) -> bool:
    """Return whether a link that was noted elsewhere, as `number:hash`, is in the chain as it was."""
    number = noted.partition(":")[0]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return False
    links = _links(tx, f"AND number = {int(number)}", tenant=tenant)
    return any(f"{link.number}:{link.hash}" == noted for link in links)


_SEALED = """
    INSERT INTO sealed (tenant, source, key, number, digest)
    VALUES (:tenant, :source, :key, :number, :digest)
"""
_SEAL = """
    INSERT INTO seal (tenant, number, at, entries, hash)
    VALUES (:tenant, :number, clock_timestamp(), :entries, :hash)
"""
_OF_LINK = """
    SELECT source, key, digest FROM sealed WHERE tenant = :tenant AND number = :number ORDER BY source, key
"""


def _links(tx: Connection, order: str, *, tenant: int) -> list[Link]:
    statement = (
        f"SELECT number, at, entries, encode(hash, 'hex') AS hash FROM seal WHERE tenant = :tenant {order}"  # noqa: S608
    )
    return [Link(**row) for row in tx.execute(text(statement), {"tenant": tenant}).mappings()]


def _entries(tx: Connection, number: int, *, tenant: int) -> list[tuple[str, int, bytes]]:
    rows = tx.execute(text(_OF_LINK), {"tenant": tenant, "number": number})
    return [(row.source, row.key, row.digest) for row in rows]


def _changed(tx: Connection, number: int, *, tenant: int) -> Iterator[Fault]:
    for source, columns in SOURCES.items():
        rows = tx.execute(text(_compared(source, columns)), {"tenant": tenant, "number": number})
        for key, gone in rows:
            yield Fault(number=number, kind="removed" if gone else "changed", entry=f"{source}/{key}")


def _hash(before: str, number: int, entries: Sequence[tuple[str, int, bytes]]) -> str:
    """Return the hash of a link."""
    link = hashlib.sha256(f"{before}\n{number}\n".encode())
    for source, key, digest in entries:
        link.update(f"{source} {key} ".encode() + digest)
    return link.hexdigest()


def _digest(alias: str, columns: str) -> str:
    named = ", ".join(f"{alias}.{column}" for column in columns.split(", "))
    return f"sha256(convert_to(json_build_array({named})::text, 'UTF8'))"


def _unsealed(source: str, columns: str) -> str:
    return f"""
        SELECT r.key, {_digest("r", columns)} FROM {source} r
        WHERE r.tenant = :tenant AND r.key > coalesce(
            (SELECT max(key) FROM sealed WHERE tenant = :tenant AND source = '{source}'), 0) - :behind
            AND NOT EXISTS (SELECT FROM sealed s
                WHERE s.tenant = r.tenant AND s.source = '{source}' AND s.key = r.key)
        ORDER BY r.key LIMIT :limit
    """  # noqa: S608 - constants of this module


def _compared(source: str, columns: str) -> str:
    return f"""
        SELECT s.key, r.key IS NULL FROM sealed s
        LEFT JOIN {source} r ON r.tenant = s.tenant AND r.key = s.key
        WHERE s.tenant = :tenant AND s.number = :number AND s.source = '{source}'
            AND (r.key IS NULL OR s.digest <> {_digest("r", columns)})
        ORDER BY s.key
    """  # noqa: S608 - constants of this module
