"""The service clock: the machine's, or the one a sandbox has set and stopped.

Due dates and clinical times follow it. Leases, retries and heartbeats do not: they
follow the database's own clock, which nobody sets.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from service.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What time it is for the service."""

    #: timezone-aware, UTC
    now: datetime
    #: someone set it; it stands still until it is set again
    is_set: bool
    #: nothing is evaluated unless a person asks
    held: bool


def now(tx: Connection) -> datetime:
    """Return the service's instant."""
    return state(tx).now


def state(tx: Connection) -> Clock:
    """Return the service's instant and whether it stands still."""
    row = tx.execute(select(tables.clock.c.now, tables.clock.c.held)).one_or_none()
    return of_row(row.now, row.held) if row else of_row(None, held=False)


def of_row(set_to: datetime | None, held: bool) -> Clock:
    """Return the clock that the stored row means."""
    if set_to is None:
        return Clock(now=datetime.now(UTC), is_set=False, held=False)
    return Clock(now=set_to.astimezone(UTC), is_set=True, held=held)


def set_(tx: Connection, now: datetime, held: bool) -> None:
    """Stop the clock at an instant; `held` also stops evaluations that nobody asked for."""
    if now.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    tx.execute(update(tables.clock).values(now=now, held=held))


def unset(tx: Connection) -> None:
    """Go back to the machine's clock."""
    tx.execute(update(tables.clock).values(now=None, held=False))
