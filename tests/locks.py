"""Of two transactions one waits for the other: for tests that play such a moment."""

from time import monotonic, sleep

from sqlalchemy import text

from service.store.database import Database

LONGEST_S = 10.0
LOOK_S = 0.02

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def wait_for_who_waits(database: Database, count: int = 1) -> None:
    """Return as soon as so many transactions of this database wait for a lock.

    Raises:
        AssertionError: they do not.
    """
    end = monotonic() + LONGEST_S
    while monotonic() < end:
        with database.transaction() as tx:
            if tx.execute(text(_WAITING)).scalar_one() >= count:
                return
        sleep(LOOK_S)
    raise AssertionError(f"fewer than {count} wait for a lock")
