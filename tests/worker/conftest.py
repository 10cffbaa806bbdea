"""A hospital's server that is read from, and a record that is fed from it."""

from collections.abc import Iterator

import hospital_server
import pytest
from reading_from import TABLES, Fed
from source_server import SourceServer
from sqlalchemy import text

from service import clock
from service.store.database import Database


@pytest.fixture(scope="module")
def only_source() -> Iterator[SourceServer]:
    with hospital_server.running(make=SourceServer) as started:
        yield started


@pytest.fixture
def source(only_source: SourceServer) -> SourceServer:
    only_source.begin()
    return only_source


@pytest.fixture
def empty(database: Database, owner: Database) -> Database:
    """The record without anything in it."""
    with owner.transaction() as tx:
        for table in TABLES:
            tx.execute(text(f"DELETE FROM {table}"))
        clock.unset(tx)
    return database


@pytest.fixture
def fed(empty: Database, source: SourceServer) -> Iterator[Fed]:
    made = Fed(empty, source)
    yield made
    made.connection.close()
