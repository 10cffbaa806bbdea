"""What was sent to be stored: one row for each request, also for one that was refused. Ids and counts only.

Rows are kept for a month, and of each sender the newest one for a year: whoever has fallen silent must not
be forgotten for it. All times are those of the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from service.store.driver import raw

KEPT = timedelta(days=30)
KEPT_OF_SENDER = timedelta(days=365)
#: as many rows as a transaction removes without holding others up
PURGED_AT_ONCE = 500
#: senders that are told apart; more than any hospital has systems
MOST_SENDERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One request."""

    key: int
    at: datetime
    sender: str
    #: transaction, batch, create, update, ...
    interaction: str
    #: of the answer
    status: int
    #: None: it could not be read
    entries: int | None
    #: of the entries
    refused: int
    #: ids
    patients: tuple[str, ...]
    #: `Type/id/_history/version` of what was stored, or was there already
    stored: tuple[str, ...]
    #: answered as before, by its Idempotency-Key
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Somebody who sends, and when they did last."""

    name: str
    at: datetime
    #: seconds since then
    age_s: float
    #: of the last answer; None: never anything was sent, `at` is when the sender was given a token
    status: int | None
    #: when something of theirs was stored last; None: not within the time that is kept
    stored_at: datetime | None


def add(
    tx: Connection,
    *,
    tenant: int,
    sender: str,
    interaction: str,
    status: int,
    entries: int | None,
    refused: int = 0,
    patients: Collection[str] = (),
    stored: Sequence[str] = (),
    repeated: bool = False,
) -> None:
    """Write a request down."""
    # By the driver alone: every Bundle comes by here.
    ids = sorted(set(patients)), list(stored)
    raw(tx).execute(_ADD, [tenant, sender, interaction, status, entries, refused, *ids, repeated])


_ADD = (
    "INSERT INTO sending (tenant, sender, interaction, status, entries, refused, patients, stored, repeated) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def newest(tx: Connection, *, limit: int, offset: int = 0, tenant: int) -> list[Sending]:
    """Return requests, the newest first."""
    rows = tx.execute(text(_NEWEST), {"tenant": tenant, "limit": limit, "offset": offset}).mappings()
    return [
        Sending(**{**row, "patients": tuple(row["patients"]), "stored": tuple(row["stored"])}) for row in rows
    ]


def senders(tx: Connection, *, tenant: int) -> list[Sender]:
    """Return everybody who sent something, whoever has been silent longest first."""
    rows = tx.execute(text(_SENDERS), {"tenant": tenant, "limit": MOST_SENDERS}).mappings()
    return [Sender(**row) for row in rows]


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove the oldest rows that have been kept long enough; return how many."""
    names = {"days": KEPT.days, "of_sender": KEPT_OF_SENDER.days, "limit": limit}
    return tx.execute(text(_PURGE), names).rowcount


_NEWEST = """
    SELECT key, at, sender, interaction, status, entries, refused, patients, stored, repeated
    FROM sending WHERE tenant = :tenant ORDER BY key DESC LIMIT :limit OFFSET :offset
"""
# From one sender to the next by the index: rows there are many, senders few.
_SENDERS = """
    WITH RECURSIVE known AS (
        (SELECT sender FROM sending WHERE tenant = :tenant ORDER BY sender LIMIT 1)
        UNION ALL
        SELECT (
            SELECT s.sender FROM sending s WHERE s.tenant = :tenant AND s.sender > known.sender
            ORDER BY s.sender LIMIT 1
        ) FROM known WHERE known.sender IS NOT NULL
    )
    SELECT known.sender AS name, last.at, last.status, stored.at AS stored_at,
        extract(epoch FROM clock_timestamp() - last.at)::float AS age_s
    FROM (SELECT sender FROM known WHERE sender IS NOT NULL) AS known
    CROSS JOIN LATERAL (
        SELECT at, status FROM sending s WHERE s.tenant = :tenant AND s.sender = known.sender
        ORDER BY at DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
        SELECT at FROM sending s WHERE s.tenant = :tenant AND s.sender = known.sender AND s.status < 300
        ORDER BY at DESC LIMIT 1
    ) AS stored ON true
    ORDER BY last.at LIMIT :limit
"""
_PURGE = """
    DELETE FROM sending WHERE key IN (
        SELECT key FROM sending s
        WHERE at < clock_timestamp() - make_interval(days => :days) AND (
            at < clock_timestamp() - make_interval(days => :of_sender)
            OR EXISTS (
                SELECT FROM sending later
                WHERE later.tenant = s.tenant AND later.sender = s.sender AND later.at > s.at
            )
        )
        ORDER BY key LIMIT :limit
    )
"""
