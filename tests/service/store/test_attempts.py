"""Failures slow whoever tries, and lock nobody out.

https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html#login-throttling
"""

import threading

import pytest
from sqlalchemy import text

from service.store import attempts
from service.store.attempts import Try


@pytest.fixture(autouse=True)
def no_failures(owner):
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE sign_in_failure"))


def fail(database, who, times, *, was_here=False):
    return [database.run(lambda tx: attempts.begin(tx, who, was_here=was_here)) for _ in range(times)]


def age(owner, how_long):
    with owner.transaction() as tx:
        tx.execute(text(f"UPDATE sign_in_failure SET at = at - interval '{how_long}'"))


def who(name="vogt", address="192.0.2.1"):
    return Try(name=name, address=address, tenant=0)


@pytest.mark.parametrize(("failures", "wait"), [(4, 0), (5, 2), (6, 4), (9, 32), (10, 60), (5000, 60)])
def test_the_wait_doubles_and_is_a_minute_at_most(failures, wait):
    assert attempts.pause(failures, attempts.FREE_PAIR) == wait


def test_a_try_while_one_waits_makes_the_wait_no_longer(database, owner):
    assert fail(database, who(), 5) == [0] * 5

    assert all(0 < wait <= 2 for wait in fail(database, who(), 20))
    age(owner, "2 seconds")
    assert fail(database, who(), 1) == [0]


def test_a_quarter_of_an_hour_forgets(database, owner):
    fail(database, who(), 5)
    age(owner, "15 minutes")

    assert fail(database, who(), 5) == [0] * 5


def test_failures_elsewhere_slow_an_account_but_not_where_it_was_used_lately(database):
    for number in range(10):
        fail(database, who(address=f"198.51.100.{number}"), 1)

    assert fail(database, who(), 1)[0] > 0
    assert fail(database, who(), 1, was_here=True) == [0]
    assert fail(database, who("lindqvist"), 1) == [0]


def test_an_address_that_tries_many_accounts_waits(database):
    for number in range(20):
        assert fail(database, who(f"user{number}"), 1) == [0]

    assert fail(database, who("vogt"), 1)[0] > 0
    assert fail(database, who("vogt", "192.0.2.2"), 1) == [0]


def test_many_tries_at_once_are_counted_one_after_the_other(database):
    waits = []
    tries = [threading.Thread(target=lambda: waits.extend(fail(database, who(), 1))) for _ in range(12)]
    for each in tries:
        each.start()
    for each in tries:
        each.join()

    assert waits.count(0) == 5
