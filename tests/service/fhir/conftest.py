"""The application on the module's own database, without a worker."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from fhir_profiles import reading
from service.app import create_app
from service.settings import Settings
from service.store.database import Database

Json = dict[str, object]

BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url, base_url=BASE)


@pytest.fixture
def client(settings: Settings, database: Database) -> FlaskClient:
    return create_app(settings, database).test_client()


@pytest.fixture
def send(client: FlaskClient) -> Callable[[Json], TestResponse]:
    """POST a Bundle to the base."""

    def send(bundle: Json) -> TestResponse:
        return client.post("/fhir", data=reading.write(bundle), content_type="application/fhir+json")

    return send


@pytest.fixture
def stored(database: Database) -> Callable[[], int]:
    """Count the versions in the store."""

    def count() -> int:
        with database.transaction() as tx:
            statement = "SELECT (SELECT count(*) FROM resource) + (SELECT count(*) FROM history)"
            return int(tx.execute(text(statement)).scalar_one())

    return count


@pytest.fixture
def nothing_stored_after(stored: Callable[[], int]) -> Callable[[], Callable[[], None]]:
    """Note what is stored; the result checks that it is the same."""

    def note() -> Callable[[], None]:
        before = stored()

        def check() -> None:
            assert stored() == before

        return check

    return note


@pytest.fixture
def nothing_stored(stored: Callable[[], int]) -> Iterator[None]:
    """Fail the test if it left anything in the store."""
    before = stored()
    yield
    assert stored() == before
