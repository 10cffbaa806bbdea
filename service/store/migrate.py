"""Bring a database to the schema of this version, or to the schema of another.

Two processes may start at once: the second waits for the first and finds nothing to do. A
table that is in use is asked for a few seconds at a time, because whoever waits for a table
holds up everybody behind.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from service.store import schema
from service.store.database import Database, sqlstate
from service.store.schema import MIGRATIONS

#: any number that nothing else in this database locks
MIGRATION_LOCK = 4_816_201_001

#: Shorter than the service itself waits for a lock (`Database`), so that no request fails by it.
TABLE_WAIT_S = 3
#: between two attempts, for those who waited
PAUSE_S = 1.0
ATTEMPTS = 20
#: no lock in time, a deadlock: nothing was changed, the same again may succeed
RETRIED = {"55P03", "40P01"}

HEAD = "head"
#: before the first migration: no tables
BASE = "base"

Result = TypeVar("Result")


class NotMigrated(Exception):
    """The database stays as it was. The message is one sentence for the person who migrates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From which revision to which; None: before the first."""

    before: str | None
    after: str | None


def upgrade(url: str, revision: str = HEAD, *, folder: Path = MIGRATIONS) -> Move:
    """Apply every migration up to the revision that is missing; never takes one back."""
    return locked(url, lambda tx: move(tx, revision, folder=folder, back=False))


def downgrade(url: str, revision: str, *, folder: Path = MIGRATIONS) -> Move:
    """Take migrations back down to the revision; `base` removes every table."""
    return locked(url, lambda tx: move(tx, revision, folder=folder))


def move(tx: Connection, to: str, *, folder: Path = MIGRATIONS, back: bool = True) -> Move:
    """Go up or down to a revision, inside the transaction of `locked`.

    Args:
        to: a revision, `head` or `base`. A database newer than `head` is left as it is.
        folder: where `env.py` and the steps lie.
        back: False: stay where the way leads down.

    Raises:
        NotMigrated: this version does not know the way.
    """
    here, newest = schema.revision(tx), schema.head(folder)
    ahead = schema.number(here) > schema.number(newest)
    target = newest if to == HEAD else None if to == BASE else to
    if here == target or (not back and schema.number(target) < schema.number(here)) or (to == HEAD and ahead):
        return Move(before=here, after=here)
    if target is not None and target not in revisions(folder):
        raise NotMigrated(f"There is no revision {target}; this version has {', '.join(revisions(folder))}.")
    if ahead:
        raise NotMigrated(
            f"The database is at {here}, which this version does not know; take it back with the version "
            "that brought it there."
        )
    go = command.upgrade if schema.number(target) > schema.number(here) else command.downgrade
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = tx
    go(config, target or BASE)
    return Move(before=here, after=schema.revision(tx))


def locked(url: str, work: Callable[[Connection], Result]) -> Result:
    """Return what the work returns, in a transaction that no other migration runs beside.

    The work is repeated when a table is in use for long, so it may do nothing but read and
    write through its connection.
    """
    database = Database(url, pool_size=1, statement_timeout_s=0, lock_timeout_s=0)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with database.transaction() as tx:
                    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                    tx.execute(text(f"SET LOCAL lock_timeout = '{TABLE_WAIT_S}s'"))
                    return work(tx)
            except DBAPIError as error:
                if sqlstate(error) not in RETRIED or attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE_S)
        raise AssertionError("the last attempt returns or raises")
    finally:
        database.close()


def revisions(folder: Path = MIGRATIONS) -> tuple[str, ...]:
    """Return every revision this version knows, oldest first."""
    return tuple(sorted(step.revision for step in ScriptDirectory(str(folder)).walk_revisions()))
