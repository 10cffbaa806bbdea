"""Which schema a database has, and which one this version of the code needs.

Revisions are numbered, "0001", "0002", ...: the higher number is the newer schema. Within a
release a migration only adds, so this version works on a newer schema, never on an older one.

Asked by every process at every start and probe, so it does without Alembic, which takes
as long to load as the rest of the store; `migrate` changes what is told here.
"""

from pathlib import Path

from sqlalchemy import Connection, text

MIGRATIONS = Path(__file__).parent / "migrations"


def head(folder: Path = MIGRATIONS) -> str:
    """Return the revision this version of the code needs: the highest number among its migrations."""
    numbers = [step.name.partition("_")[0] for step in (folder / "versions").glob("[0-9]*_*.py")]
    if not numbers:
        raise RuntimeError("this installation has no migrations")
    return max(numbers, key=number)


def revision(tx: Connection) -> str | None:
    """Return the revision the database is at; None before the first migration."""
    if tx.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    at = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if at is None else str(at)


def compatible(revision: str | None) -> bool:
    """Return whether this version works on the schema: on its own and on every newer one."""
    return number(revision) >= number(head())


def number(revision: str | None) -> int:
    """Return the place in the order; a name that is no number, as of another program, is before all."""
    return int(revision) if revision is not None and revision.isascii() and revision.isdigit() else 0
