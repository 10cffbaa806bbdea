"""Why a connection to PostgreSQL fails, in words for the person who set it up.

Only what the server says after "FATAL:" is repeated. What the client library says may hold
parts of a URL that was written wrongly, and so a password.
"""

import re

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.store.database import sqlstate

VARIABLE = "HIPWAY_DATABASE_URL"

#: in the words of libpq and of the server: what it means, what to do. The first that fits holds.
REASONS = (
    (
        r"failed to resolve host|could not translate host name",
        "the host is not known",
        f"correct the host in {VARIABLE}",
    ),
    (
        r"password authentication failed|no password supplied",
        "the server does not take this role and password",
        f"correct both in {VARIABLE}; in a password @ : / # are written %40 %3A %2F %23",
    ),
    (
        r'database "[^"]*" does not exist',
        "the server has no database of this name",
        f"make it (CREATE DATABASE ... OWNER ...), or correct the name in {VARIABLE}",
    ),
    (
        r"no pg_hba\.conf entry.*no encryption",
        "the server takes no connection without TLS",
        f"add ?sslmode=verify-full&sslrootcert=FILE to {VARIABLE}",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "the server does not let this role in from this machine",
        "let it in in the server's pg_hba.conf: hostssl DATABASE ROLE ADDRESS scram-sha-256",
    ),
    (
        r"server does not support SSL",
        "TLS is asked for, and the server offers none",
        f"turn on ssl in the server, or take sslmode out of {VARIABLE} on a network that is yours alone",
    ),
    (
        r"certificate verify failed",
        "the certificate of the server is not trusted: another authority has issued it",
        f"name the certificate of its authority as sslrootcert in {VARIABLE}",
    ),
    (
        r"does not match host name",
        "the certificate of the server is for another host name",
        f"use the name that the certificate has in {VARIABLE}",
    ),
    (
        r"root certificate file",
        "the file that sslrootcert names is not there or holds no certificate",
        f"correct sslrootcert in {VARIABLE}",
    ),
    (
        r"too many (connections|clients)|remaining connection slots",
        "the server has no connection left",
        "raise max_connections in the server, or stop what holds them",
    ),
    (
        r"the database system is (starting up|shutting down|in recovery)",
        "the server is starting or stopping",
        "wait a little and try again",
    ),
    (
        r"is not permitted to log in",
        "the role may not log in",
        "ALTER ROLE ... LOGIN",
    ),
    (
        r"permission denied for database",
        "the role may not connect to this database",
        "GRANT CONNECT ON DATABASE ... TO the role",
    ),
    (
        r"Connection refused|No such file|timeout|timed out|unreachable|No route",
        "no server answers there",
        f"start the server, or correct host and port in {VARIABLE}",
    ),
)

INSUFFICIENT_PRIVILEGE = "42501"


def trouble(error: SQLAlchemyError | ValueError) -> tuple[str, str]:
    """Return what is wrong, and what to do about it."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    said = str(origin)
    if not isinstance(origin, psycopg.OperationalError):
        if isinstance(origin, psycopg.Error) and sqlstate(origin) is not None:
            return f"the server refuses ({type(origin).__name__})", "look into the log of the server"
        return "the URL cannot be read", f"correct {VARIABLE}: postgresql://role:password@host:port/name"
    for pattern, seen, fix in REASONS:
        if re.search(pattern, said, re.DOTALL):
            return seen, fix
    if re.search(r"invalid|connection is bad", said):
        return "the URL holds an option that PostgreSQL does not know", f"correct {VARIABLE}"
    server = re.search(r"FATAL:\s*(.+)", said)
    return f"not reachable ({server[1] if server else type(origin).__name__})", f"correct {VARIABLE}"


def sentence(error: SQLAlchemyError) -> str:
    """Return the same for somebody who migrates."""
    if isinstance(error, DBAPIError) and sqlstate(error) == INSUFFICIENT_PRIVILEGE:
        return "This role may not do that; migrate as the role that owns the tables and the database."
    seen, fix = trouble(error)
    return f"The database cannot be migrated: {seen}; {fix}."
