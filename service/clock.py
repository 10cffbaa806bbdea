"""The service clock: the database's, or the one a sandbox has set and stopped.

Several machines share one service, and their clocks differ or are stepped; they have one
database, so its clock is the only one that everybody reads. Due dates and clinical times
follow the service clock. Leases, retries and heartbeats follow the database's even while
a sandbox has set another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, update

from service.store import tables
from service.store.driver import only, raw


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
    return ask_state(tx)()


def ask_state(tx: Connection) -> Callable[[], Clock]:
    """Ask for what `state` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute("SELECT now, clock_timestamp(), held FROM clock")
    return lambda: of_row(*only(cursor))


def of_row(set_to: datetime | None, running: datetime, held: bool) -> Clock:
    """Return the clock that the stored row means.

    Args:
        running: what the database's clock showed when the row was read.
    """
    if set_to is None:
        return Clock(now=running.astimezone(UTC), is_set=False, held=False)
    return Clock(now=set_to.astimezone(UTC), is_set=True, held=held)


def set_(tx: Connection, now: datetime, held: bool) -> None:
    """Stop the clock at an instant; `held` also stops evaluations that nobody asked for."""
    if now.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    tx.execute(update(tables.clock).values(now=now, held=held))


def unset(tx: Connection) -> None:
    """Go back to the database's clock."""
    tx.execute(update(tables.clock).values(now=None, held=False))
