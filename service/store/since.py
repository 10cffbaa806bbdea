"""What the engine changed after a page was read, exactly: nothing the page showed, and nothing it missed.

A number of receipt is given before the commit, so a change may become visible later than one with a higher
number. A page therefore keeps the snapshot it was read in, as PostgreSQL writes it. A version is new if the
transaction that wrote it was not visible there; the numbers only keep the search short.

https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, text

from service.store.driver import only, raw

Json = dict[str, Any]

#: so many numbers before the newest one may belong to transactions that were still at work
AT_WORK = 10_000

_MARK = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,18})\.((?:\d{1,18}(?:-\d{1,18})*)?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The moment in which a page was read."""

    #: the newest number of receipt of what the engine wrote
    seq: int
    #: the first transaction that was at work, and the first that had not begun
    low: int
    high: int
    #: the transactions between them that were at work
    at_work: tuple[int, ...]

    def __str__(self) -> str:
        """Return it as it stands in an address."""
        return f"{self.seq}.{self.low}.{self.high}.{'-'.join(map(str, self.at_work))}"

    @property
    def snapshot(self) -> str:
        """Return it as PostgreSQL writes it."""
        return f"{self.low}:{self.high}:{','.join(map(str, self.at_work))}"

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Return what `__str__` wrote; None for what can be no moment."""
        found = _MARK.fullmatch(written)
        if found is None:
            return None
        seq, low, high = (int(part) for part in found.groups()[:3])
        at_work = tuple(int(part) for part in found[4].split("-") if part)
        in_order = list(at_work) == sorted(set(at_work)) and all(low <= number < high for number in at_work)
        return cls(seq=seq, low=low, high=high, at_work=at_work) if 0 < low <= high and in_order else None


def ask_now(tx: Connection, *, tenant: int) -> Callable[[], Mark]:
    """Ask in which moment this transaction reads, and return how to get it after a block of `together`."""
    cursor = raw(tx).execute(_NOW, {"tenant": tenant})
    return lambda: _mark(*only(cursor))


def _mark(seq: int, snapshot: str) -> Mark:
    low, high, at_work = snapshot.split(":")
    numbers = tuple(int(number) for number in at_work.split(",") if number)
    return Mark(seq=seq, low=int(low), high=int(high), at_work=numbers)


def count(tx: Connection, mark: Mark, *, tenant: int, patient: str | None = None) -> int:
    """Return how many Tasks, orders and plans the engine changed since then, of one patient or of all."""
    asked = {**_asked(mark, tenant), "patient": patient}
    return int(tx.execute(text(_COUNT), asked).scalar_one())


def patients(tx: Connection, mark: Mark, limit: int, *, tenant: int) -> set[str]:
    """Return the patients of whom a Task or plan changed since then, at most so many."""
    return set(tx.execute(text(_PATIENTS), {**_asked(mark, tenant), "limit": limit}).scalars())


def as_of(tx: Connection, mark: Mark, patients: Collection[str], *, tenant: int) -> dict[str, list[Json]]:
    """Return the Tasks and plans that the engine had made for these patients then, by type."""
    asked = {**_asked(mark, tenant), "patients": sorted(patients)}
    found: dict[str, list[Json]] = {"Task": [], "CarePlan": []}
    for row in tx.execute(text(_AS_OF), asked):
        if not row.deleted:
            found[row.type].append(msgspec.json.decode(row.body))
    return found


def _asked(mark: Mark, tenant: int) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "seq": mark.seq,
        "sure": mark.seq - AT_WORK,
        "snapshot": mark.snapshot,
        "high": mark.high,
        "round": mark.high >> 32 << 32,
    }


#: The number of the transaction that wrote a row. A row keeps the lower 32 bits of it; the upper ones are
#: those that bring it nearest to the snapshot.
_WRITTEN_BY = """
    CAST(CAST(greatest(0, b.xid + CASE WHEN b.xid > CAST(:high AS bigint) + 2147483648 THEN -4294967296
        WHEN b.xid < CAST(:high AS bigint) - 2147483648 THEN 4294967296 ELSE 0 END) AS text) AS xid8)
"""
_XID = """
    CROSS JOIN LATERAL (SELECT CAST(:round AS bigint) + CAST(CAST(r.xmin AS text) AS bigint) AS xid) AS b
"""
_WAS_THERE = f"pg_visible_in_snapshot({_WRITTEN_BY}, CAST(:snapshot AS pg_snapshot))"

_NOW = """
    SELECT coalesce(max(seq), 0) AS seq, CAST(pg_current_snapshot() AS text) AS snapshot FROM resource
    WHERE tenant = %(tenant)s AND owned
"""
_CHANGED = f"""
    FROM resource AS r {_XID}
    WHERE r.tenant = :tenant AND r.owned AND r.seq > :sure AND NOT {_WAS_THERE}
"""
_COUNT = f"""
    SELECT count(*) {_CHANGED} AND r.type IN ('Task', 'CarePlan', 'ServiceRequest')
    AND (CAST(:patient AS text) IS NULL OR r.patient = :patient)
"""
_PATIENTS = f"""
    SELECT DISTINCT r.patient {_CHANGED} AND r.type IN ('Task', 'CarePlan') AND r.patient IS NOT NULL
    LIMIT :limit
"""
#: A row of the history is written by the transaction that superseded it, so the version that was current
#: then is the current one if that was there, or else the first that was superseded afterwards.
_AS_OF = f"""
    SELECT DISTINCT ON (type, id) type, body, deleted FROM (
        SELECT type, id, version, body, deleted FROM resource AS r {_XID}
        WHERE r.tenant = :tenant AND r.patient = ANY(:patients) AND r.type IN ('Task', 'CarePlan') AND r.owned
            AND (r.seq <= :sure OR {_WAS_THERE})
        UNION ALL
        SELECT type, id, version, body, deleted FROM history AS r {_XID}
        WHERE r.tenant = :tenant AND r.patient = ANY(:patients) AND r.type IN ('Task', 'CarePlan') AND r.owned
            AND r.seq <= :seq AND NOT {_WAS_THERE}
    ) AS v ORDER BY type, id, version
"""  # noqa: S608 - constants of this module
