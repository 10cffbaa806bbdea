"""What the service needs from a PostgreSQL server and from its role there."""

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.doctor import connecting
from service.doctor.finding import Finding
from service.settings import Settings
from service.store import privileges, schema
from service.store.database import Database
from service.store.privileges import Missing

OLDEST = 15

#: what was acknowledged outlives a crash only while all of these are on
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")

#: connections that one worker process opens at most
PER_WORKER = 4
#: the sweep and its helper, a probe of readiness, and one who migrates
BESIDES = 8

#: leases and retries follow the database's clock, logs this machine's
CLOCKS_APART_S = 2.0

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def examine(settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Yield what was found, or why nothing could be looked at."""
    try:
        database = Database(settings.database_url, pool_size=1)
    except (SQLAlchemyError, ValueError) as error:
        seen, fix = connecting.trouble(error)
        yield Finding(what="database", seen=seen, fix=fix)
        return
    try:
        with database.transaction() as tx:
            found = tuple(_look(tx, settings, now))
    except SQLAlchemyError as error:
        seen, fix = connecting.trouble(error)
        found = (Finding(what="database", seen=seen, fix=fix),)
    finally:
        database.close()
    yield from found


def _look(tx: Connection, settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    lacking = privileges.missing(tx, sandbox=settings.sandbox)
    may_read = privileges.READ_REVISION not in lacking
    at = schema.revision(tx) if may_read else None
    yield version(int(_setting(tx, "server_version_num")))
    yield _encryption(tx, settings.database_url)
    yield _durability(tx)
    if may_read:
        yield _schema(at)
    # Of an older schema it is too early to ask: the migration comes first.
    if not may_read or schema.compatible(at):
        yield from _privileges(tx, settings, lacking)
    yield _indexes(tx)
    yield _connections(tx, settings)
    yield _clock(tx, now)


def version(number: int) -> Finding:
    """Judge the version of the server, as `server_version_num` writes it: 150018."""
    return Finding(
        what="database",
        seen=f"PostgreSQL {number // 10000}.{number % 10000}",
        fix="" if number // 10000 >= OLDEST else f"use PostgreSQL {OLDEST} or newer",
    )


def _setting(tx: Connection, name: str) -> str:
    return str(tx.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one())


def _encryption(tx: Connection, url: str) -> Finding:
    encrypted = tx.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar_one()
    parts = make_url(url)
    leaves = parts.host not in (None, "", *LOOPBACK)
    verified = parts.query.get("sslmode") in ("verify-ca", "verify-full")
    advice = ""
    if leaves and not encrypted:
        advice = "patient data cross the network readable; turn on ssl in the server"
    elif leaves and not verified:
        advice = "the server is not checked; add sslmode=verify-full and sslrootcert to HIPWAY_DATABASE_URL"
    checked = " to a server that is checked" if verified else ""
    return Finding(what="connection", seen=f"TLS{checked}" if encrypted else "without TLS", advice=advice)


def _durability(tx: Connection) -> Finding:
    found = {name: _setting(tx, name) for name in DURABLE}
    weak = [name for name, value in found.items() if value == "off"]
    return Finding(
        what="durability",
        seen=", ".join(f"{name} {value}" for name, value in found.items()),
        fix=f"turn on {' and '.join(weak)}: what was confirmed may be forgotten" if weak else "",
    )


def _schema(at: str | None) -> Finding:
    needs = schema.head()
    if at is None:
        return Finding(what="schema", seen="no tables", fix="run `hipway migrate` as the owner")
    if not schema.compatible(at):
        return Finding(
            what="schema",
            seen=f"{at}, behind: this version needs {needs}",
            fix="run `hipway migrate` as the owner",
        )
    if at != needs:
        return Finding(
            what="schema",
            seen=f"{at}, ahead: this version needs {needs}",
            advice="bring every process to the newer version; until then this one works on it",
        )
    return Finding(what="schema", seen=f"{at}, as this version needs it")


def _indexes(tx: Connection) -> Finding:
    """Judge what an index that was built beside the work has left behind where it failed.

    https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """
    unfinished = (
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indexrelid "
        "WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace ORDER BY 1"
    )
    names = list(tx.execute(text(unfinished)).scalars())
    return Finding(
        what="indexes",
        seen=f"unfinished: {', '.join(names)}" if names else "all in use",
        fix="drop them, or build them anew: they cost each write, and no search uses them" if names else "",
    )


def _privileges(tx: Connection, settings: Settings, lacking: tuple[Missing, ...]) -> Iterator[Finding]:
    role = str(tx.execute(text("SELECT current_user")).scalar_one())
    named = ", ".join(f"{one.privilege} on {one.table}" for one in lacking)
    surplus = privileges.beyond(tx, sandbox=settings.sandbox)
    grant = f"run `hipway migrate --grant-to {role}` as the owner"
    yield Finding(
        what="privileges",
        seen=f"{role} lacks {named}" if lacking else f"{role} may do what the service does",
        fix=grant if lacking else "",
    )
    if surplus:
        yield Finding(
            what="role",
            seen=f"{role} {', '.join(surplus)}",
            advice="let another role own the tables and migrate; the service needs no such right",
        )


def _connections(tx: Connection, settings: Settings) -> Finding:
    needed = (
        settings.web_processes * settings.web_connections + settings.worker_processes * PER_WORKER + BESIDES
    )
    limits = tx.execute(
        text(
            # Some are kept for superusers and, since 16, for whom the server names; -1 is no limit.
            "SELECT current_setting('max_connections')::int "
            "- current_setting('superuser_reserved_connections')::int "
            "- coalesce(current_setting('reserved_connections', true)::int, 0) AS server, "
            "(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role, "
            "(SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database"
        )
    ).one()
    fixes = {
        "max_connections of the server": limits.server,
        "CONNECTION LIMIT of the role": limits.role,
        "CONNECTION LIMIT of the database": limits.database,
    }
    small = [name for name, limit in fixes.items() if 0 <= limit < needed]
    free = min(limit for limit in fixes.values() if limit >= 0)
    return Finding(
        what="connections",
        seen=f"{free} may be open; these processes open at most {needed}",
        fix=f"raise {' and '.join(small)} by {needed - free}, or start fewer processes" if small else "",
    )


def _clock(tx: Connection, now: Callable[[], datetime]) -> Finding:
    before = now()
    there: datetime = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
    here = before + (now() - before) / 2
    apart = abs((there - here).total_seconds())
    far = apart > CLOCKS_APART_S
    return Finding(
        what="clocks",
        seen=f"the database's and this machine's are {apart:.1f} s apart",
        fix="set both by NTP (chrony, systemd-timesyncd)" if far else "",
    )
