"""`hipway migrate`: what it says, and its exit codes."""

import subprocess
import sys

import next_release
import psycopg
import pytest
from sqlalchemy.engine import make_url

from service.commands import main
from service.store import migrate, schema


@pytest.fixture
def url(new_database_url, owner_url, monkeypatch):
    """A migrated database, named to the command as its owner names it."""
    made = owner_url(new_database_url())
    monkeypatch.setenv("HIPWAY_DATABASE_URL", made)
    return made


def at(url):
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def test_it_goes_down_and_up_and_says_so(url, capsys):
    older = migrate.revisions()[-2]

    assert main(["migrate", "--to", older]) == 0
    assert at(url) == older
    assert f"from {schema.head()} to {older}" in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert at(url) == schema.head()
    assert f"from {older} to {schema.head()}" in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_check_changes_nothing_and_fails_while_the_database_is_behind(url, tmp_path):
    assert main(["migrate", "--check"]) == 0

    migrate.downgrade(url, migrate.revisions()[-2])
    assert main(["migrate", "--check"]) == 1
    assert at(url) == migrate.revisions()[-2]

    migrate.upgrade(url, folder=next_release.migrations(tmp_path / "next"))
    assert main(["migrate", "--check"]) == 0
    assert at(url) == next_release.REVISION


def test_a_newer_database_is_left_alone(url, tmp_path, capsys):
    migrate.upgrade(url, folder=next_release.migrations(tmp_path / "next"))

    assert main(["migrate"]) == 0
    assert main(["migrate", "--to", schema.head()]) == 2
    assert "the version that brought it there" in capsys.readouterr().err
    assert at(url) == next_release.REVISION


def test_every_table_is_removed_only_when_that_is_meant(url, capsys):
    assert main(["migrate", "--to", "base"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert at(url) == schema.head()

    assert main(["migrate", "--to", "base", "--yes"]) == 0
    assert at(url) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--to", "9999"], "no revision 9999", id="unknown revision"),
        pytest.param(["--grant-to", "nobody-here"], "no role nobody-here", id="unknown role"),
        pytest.param(["--check", "--grant-to", "someone"], "changes nothing", id="check and grant"),
        pytest.param(["--to", "base", "--yes", "--grant-to", "x"], "nothing to grant", id="base and grant"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(url, capsys, arguments, words):
    assert main(["migrate", *arguments]) == 2

    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert at(url) == schema.head()


def test_a_grant_lets_a_role_in_and_says_to_which_tables(url, unprivileged, capsys, monkeypatch):
    service = unprivileged(url)
    role = make_url(service).username

    assert main(["migrate", "--grant-to", role]) == 0
    assert "sandbox" in capsys.readouterr().out
    with psycopg.connect(service, autocommit=True) as connection:
        connection.execute("TRUNCATE decision")

    # In production the log of decisions stays.
    for name in ("MODE", "BROKER_URL", "BASE_URL", "SECRET_KEY"):
        monkeypatch.setenv(f"HIPWAY_{name}", {"MODE": "production", "BROKER_URL": "redis://h"}.get(name, "x"))
    assert main(["migrate", "--grant-to", role]) == 0
    assert "production" in capsys.readouterr().out
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(service, autocommit=True) as connection, refused:
        connection.execute("TRUNCATE decision")


def test_a_role_that_may_not_is_told_who_may(url, unprivileged, capsys, monkeypatch):
    service = unprivileged(url)
    main(["migrate", "--grant-to", make_url(service).username])
    migrate.downgrade(url, migrate.revisions()[-2])
    monkeypatch.setenv("HIPWAY_DATABASE_URL", service)
    capsys.readouterr()

    assert main(["migrate"]) == 2

    said = capsys.readouterr().err
    assert "migrate as the role that owns the tables" in said
    assert str(make_url(service).password) not in said


def test_at_the_head_a_role_that_may_not_migrate_has_nothing_to_do(url, unprivileged, monkeypatch):
    service = unprivileged(url)
    main(["migrate", "--grant-to", make_url(service).username])
    monkeypatch.setenv("HIPWAY_DATABASE_URL", service)

    assert main(["migrate"]) == 0


def test_a_server_that_does_not_answer_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setenv("HIPWAY_DATABASE_URL", "postgresql://owner:s3cret@127.0.0.1:1/hipway")

    assert main(["migrate"]) == 2

    said = capsys.readouterr().err
    assert "no server answers there" in said
    assert "s3cret" not in said


def test_of_two_commands_at_once_one_waits_and_both_succeed(url):
    migrate.downgrade(url, "base")

    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "service.commands", "migrate"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = sorted(command.communicate()[0] for command in commands)

    assert [command.returncode for command in commands] == [0, 0]
    assert "nothing to do" in said[0]
    assert f"from nothing to {schema.head()}" in said[1]
    assert at(url) == schema.head()
