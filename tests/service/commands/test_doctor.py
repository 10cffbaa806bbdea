"""`hipway doctor` against real servers: what is well, and what to do about what is not."""

import pytest

from service.commands import doctor


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch, database_url: str, broker_url: str) -> None:
    monkeypatch.setenv("HIPWAY_DATABASE_URL", database_url)
    monkeypatch.setenv("HIPWAY_BROKER_URL", broker_url)


def test_a_set_up_in_order_needs_no_fix(connected: None):
    found = list(doctor.examine())

    assert [finding.what for finding in found] == [
        *("python", "settings", "database", "durability", "schema", "broker"),
    ]
    assert [finding for finding in found if finding.fix] == []


def test_a_database_without_tables_asks_for_a_migration(
    connected: None, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HIPWAY_DATABASE_URL", postgres_url)

    schema = next(finding for finding in doctor.examine() if finding.what == "schema")

    assert "hipway migrate" in schema.fix


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        pytest.param("HIPWAY_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/none", id="database"),
        pytest.param("HIPWAY_BROKER_URL", "redis://:secret@127.0.0.1:1", id="broker"),
    ],
)
def test_a_server_that_does_not_answer_is_named_without_its_password(
    connected: None, monkeypatch: pytest.MonkeyPatch, variable: str, url: str
):
    monkeypatch.setenv(variable, url)

    fixes = [finding for finding in doctor.examine() if finding.fix]

    assert [variable in finding.fix for finding in fixes] == [True]
    assert "secret" not in str(fixes)


def test_nothing_set_is_checked_for_the_servers_of_the_sandbox(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HIPWAY_DATABASE_URL", raising=False)
    monkeypatch.delenv("HIPWAY_BROKER_URL", raising=False)

    assert [finding.fix for finding in doctor.examine()] == ["", "", "", ""]
