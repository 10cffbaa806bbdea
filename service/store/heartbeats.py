"""When each part that works by itself was last seen to work, by the database's clock.

sweep    each of its rounds
broker   a round of the sweep in which it took a message
worker   a worker that answered such a message, or evaluated somebody
courier  each of its rounds, and before each question to the hospital's server
feeder   the same, where the hospital's data are read
herald   each of its rounds
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from service.store.driver import raw

SWEEP: Final = "sweep"
BROKER: Final = "broker"
WORKER: Final = "worker"
COURIER: Final = "courier"
FEEDER: Final = "feeder"
HERALD: Final = "herald"


def beat(tx: Connection, process: str) -> None:
    """Note that the part is at work now."""
    tx.execute(
        text(
            "INSERT INTO heartbeat (process, seen_at) VALUES (:process, clock_timestamp()) "
            "ON CONFLICT (process) DO UPDATE SET seen_at = excluded.seen_at"
        ),
        {"process": process},
    )


def ages(tx: Connection) -> dict[str, tuple[datetime, float]]:
    """Return, for each part ever seen, when that was and how many seconds ago."""
    return ask_ages(tx)()


def ask_ages(tx: Connection) -> Callable[[], dict[str, tuple[datetime, float]]]:
    """Ask for what `ages` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute(
        "SELECT process, seen_at, extract(epoch FROM clock_timestamp() - seen_at)::float FROM heartbeat"
    )
    return lambda: {process: (seen_at, age) for process, seen_at, age in cursor}
