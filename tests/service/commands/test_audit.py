"""`hipway audit`: whole or not, in words and as an exit code."""

import pytest
from sqlalchemy import text

from service.commands import main
from service.store import accesses, seals


@pytest.fixture
def link(database, database_url, monkeypatch):
    """A chain of one link, as it is noted elsewhere."""
    monkeypatch.setenv("HIPWAY_DATABASE_URL", database_url)
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE access, seal, sealed, decision, evaluation"))
        accesses.add(tx, tenant=0, who="", action="R", place="/x", reference=None, patients=["p"], status=200)
        seals.seal(tx, tenant=0)
        found = seals.latest(tx, tenant=0)
    return f"{found.number}:{found.hash}"


def test_a_whole_record_is_said_to_be_whole(link, capsys):
    assert main(["audit", "--expect", link]) == 0
    assert capsys.readouterr().out.splitlines() == [link, "whole"]


def test_what_was_changed_is_named(link, database, capsys):
    with database.transaction() as tx:
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE access SET patients = '{q}'"))

    assert main(["audit"]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("link 1: changed access/")
    assert last == "not whole"


def test_a_chain_that_was_made_anew_is_not_the_one_that_was_noted(link, database, capsys):
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE access, seal, sealed"))
        accesses.add(tx, tenant=0, who="", action="R", place="/y", reference=None, patients=["p"], status=200)
        seals.seal(tx, tenant=0)

    assert main(["audit"]) == 0
    assert main(["audit", "--expect", link]) == 1
    assert f"link {link} is not in the chain" in capsys.readouterr().out
