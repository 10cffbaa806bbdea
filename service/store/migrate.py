"""Bring a database to the schema of this version, or back to an older one.

Two processes may start at once: the second waits for the first and finds nothing to do.
"""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"

#: any number that nothing else in this database locks
MIGRATION_LOCK = 4_816_201_001


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration that is missing."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take migrations back down to the revision; `base` removes every table."""
    _run(url, lambda config: command.downgrade(config, revision))


def head() -> str:
    """Return the revision this version of the code needs."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if revision is None:
        raise RuntimeError("this installation has no migrations")
    return revision


def revision(tx: Connection) -> str | None:
    """Return the revision the database is at; None before the first migration."""
    return MigrationContext.configure(tx).get_current_revision()


def _run(url: str, work: Callable[[Config], None]) -> None:
    database = Database(url, statement_timeout_s=0, lock_timeout_s=0)
    try:
        with database.transaction() as tx:
            tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = tx
            work(config)
    finally:
        database.close()
