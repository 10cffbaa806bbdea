"""A transaction for tests that need only one; what it did is undone."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from service.store.database import Database


class _Undo(Exception):
    pass


@pytest.fixture
def tx(database: Database) -> Iterator[Connection]:
    try:
        with database.transaction() as connection:
            yield connection
            raise _Undo
    except _Undo:
        pass
