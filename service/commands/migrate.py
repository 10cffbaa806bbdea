"""`hipway migrate`: bring the database to the schema of this version."""

import argparse
import sys
from typing import TYPE_CHECKING

from service.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from service.store.migrate import Move


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "migrate",
        help="bring the database to the schema of this version",
        description="Apply every migration that the database in HIPWAY_DATABASE_URL lacks. Run it as the "
        "role that owns the tables, with the service running or not: a newer schema is safe for an older "
        "version. One that is already newer is left as it is.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://owner:...@host/db hipway migrate --grant-to hipway",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--to", metavar="REVISION", default="head", help="go up or down to this revision, as 0001; or base"
    )
    what.add_argument("--check", action="store_true", help="change nothing; exit code 1 when it is behind")
    parser.add_argument("--yes", action="store_true", help="base removes every table and all data: do it")
    parser.add_argument(
        "--grant-to",
        metavar="ROLE",
        help="let the role that the service uses do what it needs with each table, and nothing else; "
        "in a sandbox (HIPWAY_MODE) also erase and set the clock",
    )


def run(args: argparse.Namespace) -> int:
    """Migrate and say what was done; 1 when a check finds it behind, 2 when nothing could be done."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.doctor import connecting
    from service.store.migrate import NotMigrated
    from service.store.privileges import NoSuchRole

    settings = Settings.from_environment()
    if not settings.database_url:
        raise InvalidSettings("HIPWAY_DATABASE_URL", "is not set")
    if args.to == "base" and not args.yes:
        return _refused("base removes every table and all data; add --yes if that is meant.")
    if args.to == "base" and args.grant_to:
        return _refused("without tables there is nothing to grant; leave out --grant-to.")
    if args.check and args.grant_to:
        return _refused("--check changes nothing; leave out --grant-to.")
    try:
        return _check(settings) if args.check else _migrate(settings, args.to, args.grant_to)
    except (NotMigrated, NoSuchRole) as error:
        return _refused(str(error))
    except SQLAlchemyError as error:
        return _refused(connecting.sentence(error))


def _refused(sentence: str) -> int:
    print(f"hipway: {sentence}", file=sys.stderr)
    return 2


def _check(settings: Settings) -> int:
    from service.store import schema
    from service.store.database import Database

    database = Database(settings.database_url, pool_size=1)
    try:
        with database.transaction() as tx:
            at = schema.revision(tx)
    finally:
        database.close()
    is_well = schema.compatible(at)
    word = "behind" if not is_well else "as this version needs it" if at == schema.head() else "newer"
    print(f"The database is at {at or 'no revision'}; this version needs {schema.head()}: {word}.")
    return 0 if is_well else 1


def _migrate(settings: Settings, to: str, role: str | None) -> int:
    from sqlalchemy import Connection

    from service.store import migrate, privileges

    def work(tx: Connection) -> tuple["Move", tuple[str, ...]]:
        moved = migrate.move(tx, to)
        return moved, privileges.grant(tx, role, sandbox=settings.sandbox) if role else ()

    moved, granted = migrate.locked(settings.database_url, work)
    if moved.before == moved.after:
        print(f"The database is at {moved.after or 'no revision'}; nothing to do.")
    else:
        print(f"The database went from {moved.before or 'nothing'} to {moved.after or 'nothing'}.")
    if role:
        words = "a sandbox, which may also erase" if settings.sandbox else "production"
        print(f"The role {role} may use {len(granted)} tables, for {words}: {', '.join(granted)}.")
    return 0
