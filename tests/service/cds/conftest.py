"""The application on the module's own database, without a worker."""

from collections.abc import Iterator

import pytest
from cds_calls import rows
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database

BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url, base_url=BASE)


@pytest.fixture(scope="module")
def client(settings: Settings, database: Database) -> FlaskClient:
    return create_app(settings, database).test_client()


@pytest.fixture
def nothing_stored(database: Database) -> Iterator[None]:
    """Fail the test if a row was added to any table, or taken from one."""
    with database.transaction() as tx:
        before = rows(tx)
    assert "resource" in before
    yield
    with database.transaction() as tx:
        assert rows(tx) == before
