"""Real servers for every test that asks for one, and an honest account of what was left out.

The fixtures start the same PostgreSQL and Valkey as `make run`; HIPWAY_DATABASE_URL and
HIPWAY_BROKER_URL put servers of one's own in their place.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from service.store import migrate
from service.store.database import Database
from service.supervisor.postgres import Postgres
from service.supervisor.valkey import Valkey

TEMPLATE = "hipway_test_template"

pytest_plugins = ("optional_parts",)


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
def new_database_url(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Make an empty, migrated database and return its URL: a copy of a template, in milliseconds."""
    made: list[str] = []

    def make() -> str:
        name = f"hipway_test_{os.getpid()}_{len(made)}"
        _on_server(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        return _with_name(postgres_url, name)

    template = f"{TEMPLATE}_{os.getpid()}"
    _on_server(postgres_url, f'CREATE DATABASE "{template}"')
    migrate.upgrade(_with_name(postgres_url, template))
    yield make
    for name in (*made, template):
        _on_server(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def database_url(new_database_url: Callable[[], str]) -> str:
    """The URL of the module's own database."""
    return new_database_url()


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """The module's own database, migrated and empty at its first test."""
    opened = Database(database_url)
    yield opened
    opened.close()


def _on_server(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _with_name(url: str, name: str) -> str:
    server, _, options = url.partition("?")
    return f"{server.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
