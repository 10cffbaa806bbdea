"""The application on the module's own database, without a worker."""

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url, base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def client(settings: Settings, database: Database) -> FlaskClient:
    return create_app(settings, database).test_client()
