"""How many plans are open: what every snapshot is told is what it would count, whoever writes."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from service.sandbox import erasing
from service.store import migrate, open_plans, privileges, resources
from service.store.database import Database
from service.store.resources import Write

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)
COUNTED = """
    SELECT count(*) FROM resource
    WHERE tenant = 0 AND type = 'CarePlan' AND owned AND NOT deleted AND status = 'active'
"""
STATUSES = ("active", "on-hold", "completed", "revoked")


class GivenUp(Exception):
    """The transaction is taken back."""


def save(tx, id, status="active", *, owned=True, type="CarePlan", removed=False):
    body = {"resourceType": type, "id": id, "status": status}
    write = Write(type=type, id=id, body=body, patient="p", owned=owned, removed=removed)
    resources.save(tx, [write], tenant=0, now=NOW)


def told(database):
    """Return how many are told, and how many are there, in one snapshot."""
    with database.transaction("REPEATABLE READ") as tx:
        return open_plans.count(tx, tenant=0), tx.execute(text(COUNTED)).scalar_one()


def rows(database):
    with database.transaction() as tx:
        return tx.execute(text("SELECT count(*) FROM open_plan")).scalar_one()


@pytest.fixture(autouse=True)
def empty(owner):
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE resource, history, search_value"))


def change(database, steps):
    for id, how in steps:
        with database.transaction() as tx:
            save(tx, id, **how)


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        pytest.param([{}], 1, id="one that is opened"),
        pytest.param([{"status": "on-hold"}], 0, id="one that is made and stands apart"),
        pytest.param([{}, {"status": "completed"}], 0, id="one that is closed"),
        pytest.param([{}, {"status": "completed"}, {}], 1, id="one that is opened again"),
        pytest.param([{"owned": False}], 0, id="another system's"),
        pytest.param([{"owned": False}, {}], 1, id="another system's that becomes ours"),
        pytest.param([{}, {"removed": True}], 0, id="one that is removed"),
        pytest.param([{"type": "Goal"}], 0, id="no plan"),
    ],
)
def test_a_plan_counts_while_it_is_open(database, steps, left):
    change(database, [("a", step) for step in steps])

    assert told(database) == (left, left)


def test_a_new_version_of_an_open_plan_writes_nothing_more(database):
    change(database, [("a", {}), ("b", {})])
    before = rows(database)
    with database.transaction() as tx:
        body = {"resourceType": "CarePlan", "id": "a", "status": "active", "title": "another"}
        resources.save(
            tx, [Write(type="CarePlan", id="a", body=body, patient="p", owned=True)], tenant=0, now=NOW
        )

    assert rows(database) == before == 2


def test_what_is_taken_back_was_never_counted(database):
    def give_up(tx):
        save(tx, "a")
        assert open_plans.count(tx, tenant=0) == 1
        raise GivenUp

    with pytest.raises(GivenUp):
        database.run(give_up)

    assert told(database) == (0, 0)


def test_many_rows_become_one_of_the_same_sum(database):
    for number in range(open_plans.FEW + 1):
        change(database, [(f"a-{number}", {})])
    before = told(database)

    database.run(open_plans.fold)

    assert told(database) == before == (open_plans.FEW + 1, open_plans.FEW + 1)
    assert rows(database) == 1


def test_a_few_rows_are_left_alone(database):
    change(database, [("a", {}), ("b", {})])

    database.run(open_plans.fold)

    assert rows(database) == 2


def test_erased_plans_are_not_open_any_more(database, owner):
    change(database, [("a", {}), ("b", {})])
    with owner.transaction() as tx:
        erasing.erase(tx)
    assert told(database) == (0, 0)

    change(database, [("a", {})])
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE resource"))
    assert told(database) == (0, 0)


def test_every_snapshot_is_told_what_is_there_while_many_write_and_fold(database, monkeypatch):
    monkeypatch.setattr(open_plans, "FEW", 3)
    writing = threading.Event()
    seen: list[tuple[int, int]] = []

    def write(seed):
        chance = random.Random(seed)
        for _ in range(120):
            try:
                with database.transaction() as tx:
                    # Sorted, as an evaluation writes: nobody waits in a circle.
                    for number in sorted(chance.sample(range(12), 3)):
                        save(tx, f"w-{number}", chance.choice(STATUSES), removed=chance.random() < 0.1)
                    if chance.random() < 0.2:
                        raise GivenUp
            except GivenUp:
                pass

    def fold():
        while not writing.is_set():
            database.run(open_plans.fold)

    def read():
        while not writing.is_set():
            seen.append(told(database))

    with ThreadPoolExecutor() as pool:
        others = [pool.submit(task) for task in (fold, fold, read, read)]
        try:
            for done in [pool.submit(write, seed) for seed in range(4)]:
                done.result()
        finally:
            writing.set()
        for done in others:
            done.result()

    assert all(sum_ == there for sum_, there in [*seen, told(database)])
    assert len({there for _, there in seen}) > 3


def test_the_step_counts_what_is_there_and_whoever_may_not_use_the_table_yet_goes_on(
    new_database_url, owner_url, unprivileged
):
    of_owner = owner_url(url := new_database_url())
    migrate.downgrade(of_owner, "0024")
    of_service = unprivileged(url)
    migrate.locked(of_owner, lambda tx: privileges.grant(tx, make_url(of_service).username, sandbox=False))
    owner, service = Database(of_owner), Database(of_service)
    change(service, [("a", {}), ("b", {}), ("c", {"status": "completed"})])

    migrate.upgrade(of_owner)
    # Tables of the same owner are granted by default; those of others are not.
    with owner.transaction() as tx:
        tx.execute(text(f'REVOKE ALL ON open_plan FROM "{make_url(of_service).username}"'))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.run(lambda tx: open_plans.count(tx, tenant=0))
    change(service, [("a", {"status": "revoked"}), ("c", {}), ("d", {})])

    assert told(owner) == (3, 3)
    owner.close()
    service.close()


def test_folding_makes_a_sum_right_that_went_wrong(database):
    """So it does after data were loaded beside the triggers, which counts every plan twice."""
    change(database, [("a", {}), ("b", {})])
    with database.transaction() as tx:
        tx.execute(text("INSERT INTO open_plan SELECT 0, 1 FROM generate_series(1, 300)"))
    assert told(database) == (302, 2)

    database.run(open_plans.fold)

    assert told(database) == (2, 2)
    assert rows(database) == 1
