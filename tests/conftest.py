"""Real servers for every test that asks for one, and an honest account of what was left out.

The fixtures start the same PostgreSQL and Valkey as `make run`; HIPWAY_DATABASE_URL and
HIPWAY_BROKER_URL put servers of one's own in their place. With HIPWAY_TEST_OWNER_URL, as
`.ci/servers` sets it, databases belong to that role, and tests use the other as in production.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from service.store import migrate, privileges
from service.store.database import Database
from service.supervisor.postgres import Postgres
from service.supervisor.valkey import Valkey

TEMPLATE = "hipway_test_template"

pytest_plugins = ("figures", "optional_parts", "hazard_log")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A short folder that every user may enter, so that servers started by root can live in it."""
    folder = Path(tempfile.mkdtemp(prefix="hipway-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(scratch: Path) -> Iterator[str]:
    """The URL of a server on which databases may be created."""
    url = os.environ.get("HIPWAY_DATABASE_URL")
    if url:
        yield url
        return
    server = Postgres(scratch / "pg")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def broker_url(scratch: Path) -> Iterator[str]:
    url = os.environ.get("HIPWAY_BROKER_URL")
    if url:
        yield url
        return
    server = Valkey(scratch / "valkey")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def owner_url(postgres_url: str) -> Callable[[str], str]:
    """Turn a test database's URL into the one of the role that owns it; often they are the same."""
    owner = make_url(os.environ.get("HIPWAY_TEST_OWNER_URL") or postgres_url)

    def owned(url: str) -> str:
        return owner.set(database=make_url(url).database).render_as_string(hide_password=False)

    return owned


@pytest.fixture(scope="session")
def new_database_url(postgres_url: str, owner_url: Callable[[str], str]) -> Iterator[Callable[[], str]]:
    """Make an empty, migrated database and return its URL: a copy of a template, in milliseconds."""
    server = owner_url(postgres_url)
    made: list[str] = []

    def make() -> str:
        name = f"hipway_test_{os.getpid()}_{len(made)}"
        _on_server(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        return _with_name(postgres_url, name)

    template = f"{TEMPLATE}_{os.getpid()}"
    _on_server(server, f'CREATE DATABASE "{template}"')
    migrate.upgrade(_with_name(server, template))
    if (role := make_url(postgres_url).username) != make_url(server).username:
        assert role
        _grant(_with_name(server, template), role)
    yield make
    for name in (*made, template):
        _on_server(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def unprivileged(postgres_url: str, owner_url: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """Turn a test database's URL into the one of a role that may not yet use anything in it."""
    service = make_url(postgres_url)
    named = service.username != make_url(owner_url(postgres_url)).username
    role = service if named else service.set(username=f"hipway_test_{os.getpid()}", password="secret")
    assert role.username
    name = sql.Identifier(role.username)
    if not named:
        _on_server(postgres_url, f"CREATE ROLE \"{role.username}\" LOGIN PASSWORD 'secret'")
    entered: list[str] = []

    def url(of: str) -> str:
        entered.append(owner_url(of))
        revoke = sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA public FROM {}")
        with psycopg.connect(owner_url(of), autocommit=True) as connection:
            for kind in ("TABLES", "SEQUENCES"):
                connection.execute(revoke.format(sql.SQL(kind), name))
        return role.set(database=make_url(of).database).render_as_string(hide_password=False)

    yield url
    if not named:
        for each in entered:
            _on_server(each, f'DROP OWNED BY "{role.username}"')
        _on_server(postgres_url, f'DROP ROLE "{role.username}"')


@pytest.fixture(scope="module")
def database_url(new_database_url: Callable[[], str]) -> str:
    """The URL of the module's own database."""
    return new_database_url()


@pytest.fixture(scope="module")
def owner(database_url: str, owner_url: Callable[[str], str]) -> Iterator[Database]:
    """The module's own database as the role that owns its tables has it."""
    opened = Database(owner_url(database_url), pool_size=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """The module's own database, migrated and empty at its first test."""
    opened = Database(database_url)
    yield opened
    opened.close()


def _grant(url: str, role: str) -> None:
    """Grant what the service needs, and what only tests do: they empty tables, and make arrivals old."""
    migrate.locked(url, lambda tx: privileges.grant(tx, role, sandbox=True))
    with psycopg.connect(url, autocommit=True) as connection:
        for what in ("TRUNCATE ON ALL TABLES IN SCHEMA public", "UPDATE ON arrival"):
            connection.execute(f'GRANT {what} TO "{role}"')


def _on_server(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _with_name(url: str, name: str) -> str:
    server, _, options = url.partition("?")
    return f"{server.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
