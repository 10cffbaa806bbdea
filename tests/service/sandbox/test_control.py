"""Checks the edges of the control interface that need no worker."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from service import clock
from service.app import create_app
from service.sandbox import answers, clocks, erasing
from service.sandbox.answers import NotDone
from service.settings import Settings
from service.store import resources
from service.store.database import Database
from service.store.resources import Write

MORNING = datetime(2026, 2, 16, 9, tzinfo=UTC)

URLS = (
    ("GET", "/sandbox/clock"),
    ("PUT", "/sandbox/clock"),
    ("DELETE", "/sandbox/clock"),
    ("POST", "/sandbox/evaluate"),
    ("GET", "/sandbox/parameters"),
    ("PUT", "/sandbox/parameters"),
    ("DELETE", "/sandbox/data"),
)


@pytest.mark.parametrize(("method", "url"), URLS)
def test_production_has_no_such_urls(database: Database, method: str, url: str) -> None:
    app = create_app(Settings(mode="production", secret_key="a"), database)

    assert app.test_client().open(url, method=method).status_code == 404


def test_every_url_of_the_control_interface_is_there_in_a_sandbox(database: Database) -> None:
    app = create_app(Settings(mode="sandbox"), database)
    rules = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}

    assert set(URLS) <= rules


def test_a_request_that_is_too_large_is_not_read() -> None:
    with pytest.raises(NotDone) as refused:
        answers.of(b'{"now": "' + b"9" * (11 * 1024 * 1024) + b'"}')

    assert refused.value.status == 413


def test_an_instant_is_shown_in_utc() -> None:
    moment = answers.instant({"now": "2026-02-16T10:00:00+01:00"}, "now")

    assert answers.written(moment) == "2026-02-16T09:00:00Z"
    assert answers.written(moment + timedelta(milliseconds=5)) == "2026-02-16T09:00:00.005Z"


def test_the_clock_goes_back_only_without_patient_data(database: Database) -> None:
    with database.transaction() as tx:
        erasing.erase(tx)
        clocks.set_to(tx, MORNING, held=True)
        clocks.set_to(tx, MORNING - timedelta(days=1), held=True)
        resources.save(tx, [_patient()], tenant=0, now=MORNING)

        with pytest.raises(NotDone) as refused:
            clocks.set_to(tx, MORNING - timedelta(days=2), held=True)
        assert refused.value.status == 409
        assert clock.now(tx) == MORNING - timedelta(days=1)

        # The same instant is not backwards.
        clocks.set_to(tx, MORNING - timedelta(days=1), held=False)
        erasing.erase(tx)
        clocks.set_to(tx, MORNING - timedelta(days=2), held=True)
        clock.unset(tx)


def test_a_clock_that_is_ahead_stays_until_the_data_are_gone(database: Database) -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    with database.transaction() as tx:
        erasing.erase(tx)
        clocks.set_to(tx, ahead, held=True)
        resources.save(tx, [_patient()], tenant=0, now=ahead)
    with pytest.raises(NotDone) as refused, database.transaction() as tx:
        clocks.free(tx)
    assert refused.value.status == 409
    with database.transaction() as tx:
        assert clock.now(tx) == ahead
        erasing.erase(tx)
        assert not clocks.free(tx).is_set


def test_erasing_leaves_no_search_row_of_what_is_gone(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO search_value (key, tenant, type, name, system, value, part)"
                " VALUES (987654321, 0, 'Patient', 'family', '', 'secret', 0)"
            )
        )
        erasing.erase(tx)
        left = tx.execute(text("SELECT count(*) FROM search_value WHERE value = 'secret'")).scalar_one()

    assert left == 0


def test_erasing_keeps_what_belongs_to_the_site(database: Database) -> None:
    colleague = Write(
        type="Practitioner", id="p", body={"resourceType": "Practitioner", "id": "p"}, patient=None
    )
    with database.transaction() as tx:
        resources.save(tx, [_patient(), colleague], tenant=0, now=MORNING)

        erasing.erase(tx)

        assert not erasing.any_patient(tx)
        assert resources.current(tx, "Patient", "p", tenant=0) is None
        assert resources.current(tx, "Practitioner", "p", tenant=0) is not None


def _patient() -> Write:
    return Write(type="Patient", id="p", body={"resourceType": "Patient", "id": "p"}, patient="p")


@pytest.mark.parametrize("patient", ["Patient/\x00", "Patient/", "Group/1", "Patient/a b", 7])
def test_what_is_no_reference_to_a_patient_is_one_sentence(database: Database, patient: object) -> None:
    client = create_app(Settings(mode="sandbox"), database).test_client()

    answer = client.post("/sandbox/evaluate", json={"patient": patient})

    assert answer.status_code == 422
    assert "must be a reference" in answer.get_json()["error"]


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_outside_the_calendar_is_one_sentence(database: Database, now: str) -> None:
    client = create_app(Settings(mode="sandbox"), database).test_client()

    answer = client.put("/sandbox/clock", json={"now": now})

    assert answer.status_code == 422
    assert "outside the calendar" in answer.get_json()["error"]
