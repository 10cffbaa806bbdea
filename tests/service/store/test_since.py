"""What changed after a moment: nothing that was seen then, and nothing that was not."""

from datetime import UTC, datetime

import pytest

from service.store import resources, since
from service.store.resources import Write
from service.store.since import Mark

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)


def save(tx, patient, status, *, type="Task", id="t", **how):
    body = {"resourceType": type, "id": f"{id}-{patient}", "status": status}
    write = Write(type=type, id=body["id"], body=body, patient=patient, owned=True, **how)
    resources.save(tx, [write], tenant=0, now=NOW)


def statuses(database, mark, patient):
    with database.transaction() as tx:
        return [task["status"] for task in since.as_of(tx, mark, {patient}, tenant=0)["Task"]]


def changed(database, mark):
    with database.transaction() as tx:
        return since.patients(tx, mark, 10, tenant=0)


@pytest.fixture
def seen(database):
    """A patient whose Task a page has shown, and the moment of the page."""
    with database.transaction() as tx:
        save(tx, "old", "requested")
    with database.transaction("REPEATABLE READ") as tx:
        return since.ask_now(tx, tenant=0)()


def test_what_was_there_has_not_changed(database, seen):
    assert "old" not in changed(database, seen)
    assert statuses(database, seen, "old") == ["requested"]


def test_what_was_written_afterwards_has_and_the_version_of_then_is_read(database, seen):
    for status in ("accepted", "in-progress", "completed"):
        with database.transaction() as tx:
            save(tx, "old", status)

    assert changed(database, seen) == {"old"}
    assert statuses(database, seen, "old") == ["requested"]
    with database.transaction() as tx:
        assert since.count(tx, seen, tenant=0) == 1
        assert since.count(tx, seen, tenant=0, patient="old") == 1
        assert since.count(tx, seen, tenant=0, patient="another") == 0


def test_what_was_made_afterwards_was_not_there(database, seen):
    with database.transaction() as tx:
        save(tx, "new", "requested")

    assert changed(database, seen) == {"new"}
    assert statuses(database, seen, "new") == []


def test_what_was_removed_afterwards_was_there(database, seen):
    with database.transaction() as tx:
        save(tx, "old", "requested", removed=True)

    assert "old" in changed(database, seen)
    assert statuses(database, seen, "old") == ["requested"]


def test_a_writer_that_was_overtaken_is_not_missed(database):
    """Its number is lower than the newest one that the page saw; its commit came later."""
    with database.transaction() as tx:
        save(tx, "slow", "requested")
    with database.transaction() as slow:
        save(slow, "slow", "completed")
        with database.transaction() as quick:
            save(quick, "quick", "requested")
        with database.transaction("REPEATABLE READ") as page:
            mark = since.ask_now(page, tenant=0)()

    assert changed(database, mark) == {"slow"}
    assert statuses(database, mark, "slow") == ["requested"]
    assert statuses(database, mark, "quick") == ["requested"]


def test_findings_of_the_hospital_are_no_change_of_the_engine(database, seen):
    with database.transaction() as tx:
        body = {"resourceType": "Observation", "id": "o", "status": "final"}
        resources.save(tx, [Write(type="Observation", id="o", body=body, patient="old")], tenant=0, now=NOW)

    assert changed(database, seen) == set()


def test_a_moment_is_read_as_it_was_written(database, seen):
    mark = Mark(seq=5, low=10, high=20, at_work=(10, 14))

    assert Mark.read(str(mark)) == mark
    assert mark.snapshot == "10:20:10,14"
    assert Mark.read(str(seen)) == seen


@pytest.mark.parametrize(
    "written",
    [
        "",
        "17",
        "1.2",
        "1.0.0.",
        "1.5.4.",
        "1.2.9.1",
        "1.2.9.9",
        "1.2.9.5-4",
        "1.2.9.4-4",
        "1.2.9.-",
        "x.2.3.",
        "٣.2.3.",
    ],
)
def test_what_is_no_moment_is_none(written):
    assert Mark.read(written) is None


@pytest.mark.parametrize(
    ("high", "is_new"),
    [
        pytest.param(2**32 - 5, True, id="the round has ended since"),
        pytest.param(2**32 + 5, True, id="a round has just begun"),
        pytest.param(2**32 + 2**31, False, id="the middle of a round"),
        pytest.param(3 * 2**32 + 10**8, False, id="some rounds later"),
    ],
)
def test_numbers_of_transactions_may_have_gone_round(database, high, is_new):
    """A row keeps 32 bits of them; meant is the number nearest to the snapshot."""
    with database.transaction() as tx:
        save(tx, "round", "requested")
        rows = since.patients(tx, Mark(seq=0, low=high, high=high, at_work=()), 10, tenant=0)

    assert ("round" in rows) is is_new
