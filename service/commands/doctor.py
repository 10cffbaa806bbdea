"""`hipway doctor`: look at a set-up and say what to fix."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.settings import InvalidSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `fix` is empty when it is well."""

    what: str
    seen: str
    fix: str = ""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "doctor",
        help="check a set-up and say what to fix",
        description="Check Python, the settings, the database and the broker. Exit code 1 when "
        "something has to be fixed. Without HIPWAY_DATABASE_URL or HIPWAY_BROKER_URL it checks that the "
        "servers of the sandbox can be started.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... HIPWAY_BROKER_URL=redis://... hipway doctor",
    )


def run(_args: argparse.Namespace) -> int:
    """Print every finding; 1 when one asks for a fix."""
    sick = False
    for finding in examine():
        sick = sick or bool(finding.fix)
        print(f"{'fix ' if finding.fix else 'well'}  {finding.what}: {finding.seen}")
        if finding.fix:
            print(f"      {finding.fix}")
    return 1 if sick else 0


def examine() -> Iterator[Finding]:
    """Yield the findings, what others rest on first."""
    yield _python()
    try:
        settings = Settings.from_environment()
    except InvalidSettings as error:
        yield Finding(what="settings", seen=str(error), fix=f"set {error.variable} and try again")
        return
    yield Finding(what="settings", seen=f"{settings.mode}, data in {settings.data}")
    if settings.database_url:
        yield from _tried("database", "HIPWAY_DATABASE_URL", lambda: _database(settings))
    else:
        yield from _tried("database", "HIPWAY_DATABASE_URL", _embedded_postgres)
    if settings.broker_url:
        yield from _tried("broker", "HIPWAY_BROKER_URL", lambda: _broker(settings))
    else:
        yield from _tried("broker", "HIPWAY_BROKER_URL", _embedded_valkey)


def _python() -> Finding:
    # An older one cannot install this package at all, so there is nothing to fix here.
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(what="python", seen=version)


def _tried(what: str, variable: str, look: Callable[[], list[Finding]]) -> Iterator[Finding]:
    """Yield what was seen, or why nothing could be: the kind of the error, which holds no password."""
    from psycopg import Error as DatabaseError
    from redis import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from service.supervisor.unusable import Unusable

    try:
        yield from look()
    except Unusable as error:
        yield Finding(what=what, seen="cannot be started here", fix=str(error))
    except (OSError, DatabaseError, RedisError, SQLAlchemyError) as error:
        yield Finding(
            what=what,
            seen=f"not reachable ({type(error).__name__})",
            fix=f"start the server, or correct {variable}",
        )


def _database(settings: Settings) -> list[Finding]:
    from sqlalchemy import text

    from service.store import migrate
    from service.store.database import Database

    database = Database(settings.database_url)
    try:
        with database.transaction() as tx:
            number = int(tx.execute(text("SHOW server_version_num")).scalar_one())
            durable = {
                name: tx.execute(text(f"SHOW {name}")).scalar_one()
                for name in ("fsync", "synchronous_commit")
            }
            at = migrate.revision(tx)
    finally:
        database.close()
    weak = [name for name, value in durable.items() if value == "off"]
    return [
        Finding(
            what="database",
            seen=f"PostgreSQL {number // 10000}.{number % 10000}",
            fix="" if number >= 150000 else "use PostgreSQL 15 or newer",
        ),
        Finding(
            what="durability",
            seen=", ".join(f"{name} {value}" for name, value in durable.items()),
            fix=f"turn on {' and '.join(weak)}: what was confirmed may be forgotten" if weak else "",
        ),
        Finding(
            what="schema",
            seen=f"{at or 'none'}, this version needs {migrate.head()}",
            fix="" if at == migrate.head() else "run `hipway migrate`",
        ),
    ]


def _broker(settings: Settings) -> list[Finding]:
    from redis import Redis

    url = settings.broker_url.replace("redis+socket://", "unix://", 1)
    with Redis.from_url(url, socket_timeout=5) as client:
        version = client.info("server")["redis_version"]
    return [Finding(what="broker", seen=f"answers as Redis {version}")]


def _embedded_postgres() -> list[Finding]:
    from service.supervisor import account, binaries

    user = account.unprivileged()
    binaries.postgres(user)
    name = f"the user {user.name}" if user else f"this user ({os.geteuid()})"
    return [Finding(what="database", seen=f"embedded PostgreSQL, run as {name}")]


def _embedded_valkey() -> list[Finding]:
    from service.supervisor import binaries

    binaries.valkey()
    return [Finding(what="broker", seen="embedded Valkey")]
