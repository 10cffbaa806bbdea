"""Up to which moment no version is missing, although writers overtake one another.

A writer reads the clock first and commits later. Another one may read it after and commit before, so
whoever asks "what is new since the last version I saw" would never see the first one's. Each writer
therefore announces a moment before it reads the clock, by a shared advisory lock whose number is that
moment: it ends with the transaction, however that ends, and hinders nobody.

    writer   announce m -> read the clock: received >= m -> write -> commit
    reader   now -> the earliest announced m -> a new snapshot: everything before the earlier is there

What is read below the horizon never changes: a version from before it is there, or will never be.
"""

from datetime import UTC, datetime, timedelta

from psycopg.rows import tuple_row
from sqlalchemy import Connection

from service import clock
from service.store.driver import raw

#: marks our locks of two numbers: this and the upper bits of the moment, then its lower bits
MARK = 0x6877

_MILLISECONDS = "floor(extract(epoch FROM coalesce(now, clock_timestamp())) * 1000)::bigint"
_ANNOUNCE = f"""
    SELECT pg_advisory_xact_lock_shared(
        ({MARK} << 16) | (at >> 32)::int, (at & 4294967295)::bit(32)::int
    ) FROM (SELECT {_MILLISECONDS} AS at FROM clock) AS c
"""  # noqa: S608 - constants of this module
_EARLIEST = f"""
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint >> 16 = {MARK} AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def announce(tx: Connection) -> None:
    """Announce that this transaction will write; before it reads the clock. No result is waited for."""
    raw(tx).execute(_ANNOUNCE)


def read(tx: Connection) -> datetime:
    """Return the first moment, in whole milliseconds, of which a version may still be missing.

    What is read below it must be read in another transaction, begun afterwards. A clock that was set
    stands still, and everything is received in one moment: that moment then is below the horizon, so
    whoever asks again must ask from it on, not after it.
    """
    at = clock.state(tx)
    cursor = raw(tx).cursor(row_factory=tuple_row)
    row = cursor.execute(_EARLIEST).fetchone()
    earliest = row[0] if row else None
    now = at.now.replace(microsecond=at.now.microsecond // 1000 * 1000)
    horizon = now if earliest is None else min(now, _EPOCH + earliest * _MILLISECOND)
    return horizon + _MILLISECOND if at.is_set else horizon
