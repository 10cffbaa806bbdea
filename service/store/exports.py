"""Exports: what a system asked to be written into files, and how far that is.

An export is long work, see `leased`. All times here are the database's, but the two between which a version
was received.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, text

from service.store import leased, tables
from service.store.changes import Place
from service.store.leased import Claim, Outcome

#: a download that has begun by then may still end
GRACE = timedelta(hours=1)
#: for how long one is tried that cannot be worked on
LONGEST = timedelta(days=7)
#: pieces that a purge removes at once: each may hold some MiB
PURGED_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be written."""

    #: the name of who asked
    caller: str
    #: the address of the request
    request: str
    #: in the order in which they are written
    types: tuple[str, ...]
    #: only what belongs to a patient
    of_patients: bool
    #: to one of these; None: to any
    patients: tuple[str, ...] | None
    #: as they were given; empty: whole resources
    elements: tuple[str, ...]
    #: searches, as `Type?criteria`: of those of a type one must be fulfilled
    filters: tuple[str, ...]
    #: what was received before is left out
    since: datetime | None
    #: the horizon when it was asked for: the files show the record as it was then
    until: datetime

    @property
    def last(self) -> datetime:
        """Return the last moment that the files know of: moments have milliseconds."""
        return self.until - timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One export, and how far it is."""

    id: str
    asked: Asked
    asked_at: datetime
    #: seconds since then
    age_s: float
    #: how many there are of each type, about; None: not begun
    counts: Mapping[str, int] | None
    #: which of the types is being written
    place: int
    #: the last version of it that was looked at; None: none
    reached: Place | None
    #: how many of its versions were written
    gone: int
    failed_reason: str | None
    #: None: it goes on
    outcome: Outcome | None
    expires_at: datetime

    @property
    def percent(self) -> int:
        """Return how much is done, as far as that can be known; 100 only at the end."""
        if self.outcome == "finished":
            return 100
        if not self.counts:
            return 0
        types = self.asked.types
        done = sum(self.counts.get(type_, 0) for type_ in types[: self.place])
        if self.place < len(types):
            done += min(self.gone, self.counts.get(types[self.place], 0))
        return min(99, 100 * done // sum(self.counts.values()))


_COLUMNS = (
    "id, caller, request, types, of_patients, patients, elements, filters, since, until, asked_at, counts, "
    "place, reached_at, reached_seq, gone, failed_reason, outcome, expires_at, "
    "extract(epoch FROM clock_timestamp() - asked_at)::float AS age_s"
)
_THIS = "tenant = :tenant AND id = :id"


def ask(tx: Connection, id_: str, asked: Asked, *, tenant: int) -> None:
    """Promise an export."""
    statement = insert(tables.export).values(
        tenant=tenant,
        id=id_,
        caller=asked.caller,
        request=asked.request,
        types=list(asked.types),
        of_patients=asked.of_patients,
        patients=None if asked.patients is None else list(asked.patients),
        elements=list(asked.elements),
        filters=list(asked.filters),
        since=asked.since,
        until=asked.until,
        expires_at=text(f"clock_timestamp() + interval '{LONGEST.days} days'"),
    )
    tx.execute(statement)


def count_of(tx: Connection, caller: str, *, tenant: int) -> int:
    """Return how many exports somebody has that take up work or room."""
    statement = """
        SELECT count(*) FROM export WHERE tenant = :tenant AND caller = :caller
            AND expires_at > clock_timestamp() AND outcome IS DISTINCT FROM 'cancelled'
    """
    return int(tx.execute(text(statement), {"tenant": tenant, "caller": caller}).scalar_one())


def reached(
    tx: Connection, claim: Claim, counts: Mapping[str, int], *, place: int, after: Place | None, gone: int
) -> None:
    """Note how far the export is, in the transaction that wrote the step, and give it back.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    at, seq = after or (None, 0)
    named = {"counts": json.dumps(counts), "place": place, "reached_at": at, "reached_seq": seq, "gone": gone}
    leased.reached(tx, claim, named)


def find(tx: Connection, id_: str, *, tenant: int) -> Export | None:
    """Return an export; None for one that is unknown, was cancelled, or has expired."""
    where = f"{_THIS} AND outcome IS DISTINCT FROM 'cancelled' AND expires_at > clock_timestamp()"
    found = _exports(tx, where, {"tenant": tenant, "id": id_})
    return found[0] if found else None


def newest(tx: Connection, limit: int, *, tenant: int) -> list[Export]:
    """Return the exports that there are, the newest first."""
    where = (
        "tenant = :tenant AND outcome IS DISTINCT FROM 'cancelled' AND expires_at > clock_timestamp() "
        "ORDER BY asked_at DESC LIMIT :limit"
    )
    return _exports(tx, where, {"tenant": tenant, "limit": limit})


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove pieces of exports that were cancelled or have expired, and exports that have none left.

    Returns:
        how many pieces were removed; `limit` means that there may be more.
    """
    names = {"limit": limit, "grace_s": GRACE.total_seconds()}
    removed = tx.execute(text(_PURGE_CHUNKS), names).rowcount
    if removed < limit:
        tx.execute(text(_PURGE), names)
    return removed


# Whoever writes one at this moment finds its row ended or gone, and keeps nothing of what it wrote.
_OVER = "(e.outcome = 'cancelled' OR e.expires_at < clock_timestamp() - make_interval(secs => :grace_s))"
_PURGE_CHUNKS = f"""
    DELETE FROM export_chunk WHERE (tenant, export, file, number) IN (
        SELECT c.tenant, c.export, c.file, c.number
        FROM export e JOIN export_chunk c ON c.tenant = e.tenant AND c.export = e.id
        WHERE {_OVER} LIMIT :limit
    )
"""  # noqa: S608
_PURGE = f"""
    DELETE FROM export e WHERE {_OVER}
        AND NOT EXISTS (SELECT FROM export_chunk c WHERE c.tenant = e.tenant AND c.export = e.id)
"""  # noqa: S608


def _exports(tx: Connection, where: str, names: Mapping[str, object]) -> list[Export]:
    statement = f"SELECT {_COLUMNS} FROM export WHERE {where}"  # noqa: S608 - constants of this module
    return [_export(dict(row)) for row in tx.execute(text(statement), names).mappings()]


def _export(row: Mapping[str, Any]) -> Export:
    asked = Asked(
        caller=row["caller"],
        request=row["request"],
        types=tuple(row["types"]),
        of_patients=row["of_patients"],
        patients=None if row["patients"] is None else tuple(row["patients"]),
        elements=tuple(row["elements"]),
        filters=tuple(row["filters"]),
        since=row["since"],
        until=row["until"],
    )
    return Export(
        id=row["id"],
        asked=asked,
        asked_at=row["asked_at"],
        age_s=row["age_s"],
        counts=json.loads(row["counts"]) if row["counts"] else None,
        place=row["place"],
        reached=(row["reached_at"], row["reached_seq"]) if row["reached_at"] else None,
        gone=row["gone"],
        failed_reason=row["failed_reason"],
        outcome=row["outcome"],
        expires_at=row["expires_at"],
    )
