"""Debian's PostgreSQL and Redis with passwords and TLS: those that are named, or our own for the session.

A test here begins with a database as a hospital's administrator makes it: empty, with an
owner, and with a role for the service that may create nothing.
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from optional_parts import need
from sqlalchemy.engine import make_url

ROOT = Path(__file__).parents[2]

NAMES = ("HIPWAY_DATABASE_URL", "HIPWAY_TEST_OWNER_URL", "HIPWAY_BROKER_URL", "HIPWAY_TEST_SERVERS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where they are."""

    #: of the service, and of the owner of the tables: the same database
    database_url: str
    owner_url: str
    broker_url: str
    #: `ca.crt` and `server.crt` lie in it
    certificates: Path

    @property
    def role(self) -> str:
        """Return the name of the service's role."""
        return str(make_url(self.database_url).username)


@pytest.fixture(scope="session")
def named() -> Iterator[dict[str, str]]:
    """The variables that `.ci/servers` sets; it runs for the session if it does not run already."""
    need("servers", "the servers")
    if all(name in os.environ for name in NAMES):
        yield {name: os.environ[name] for name in NAMES}
        return
    # The command says what it was given, and ends with its input.
    running = subprocess.Popen(
        [ROOT / ".ci" / "servers", "sh", "-c", "env; echo; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdin
    assert running.stdout
    found = dict(
        line.rstrip("\n").partition("=")[::2] for line in iter(running.stdout.readline, "\n") if line
    )
    yield {name: found[name] for name in NAMES}
    running.stdin.close()
    assert running.wait(60) == 0
    running.stdout.close()


@pytest.fixture
def servers(named: dict[str, str]) -> Iterator[Servers]:
    """The servers, with an empty database."""
    name = f"hipway_{uuid.uuid4().hex}"
    owner = named["HIPWAY_TEST_OWNER_URL"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield Servers(
        database_url=_in(named["HIPWAY_DATABASE_URL"], name),
        owner_url=_in(owner, name),
        broker_url=named["HIPWAY_BROKER_URL"],
        certificates=Path(named["HIPWAY_TEST_SERVERS"]) / "tls",
    )
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _in(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
