"""A sign-in and a change of its account at the same moment: whichever comes second knows of the other."""

import threading
import time
from contextlib import suppress

import pytest
import signing_in
from sqlalchemy import text

from service.auth import sign_in
from service.auth.sign_in import NotSignedIn, SignedIn
from service.store import accounts, sessions


@pytest.fixture
def account(owner, database):
    """An account as it was read when its password was found to be right."""
    signing_in.account(owner, "vogt", "vogt")
    owner.run(lambda tx: accounts.enable(tx, "vogt", tenant=0))
    owner.run(lambda tx: sessions.end_all(tx, "vogt", tenant=0))
    return find(database)


def find(database):
    return database.run(lambda tx: accounts.find(tx, "vogt", tenant=0))


def another_password(tx):
    accounts.set_password(tx, "vogt", f"hash {time.monotonic_ns()}", tenant=0)


def disabled(tx):
    accounts.disable(tx, "vogt", tenant=0)


CHANGES = pytest.mark.parametrize("change", [another_password, disabled])


def begin(database, account):
    return sign_in.begun(database, account, "192.0.2.1", before=None, tenant=0)


def living(database):
    with database.transaction() as tx:
        return tx.execute(text("SELECT count(*) FROM session WHERE ended_at IS NULL")).scalar_one()


def wait_for_a_lock(database):
    """Wait until somebody waits for a lock of ours."""
    for _ in range(500):
        with database.transaction() as tx:
            found = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            if tx.execute(text(found)).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_an_account_that_is_as_it_was_is_signed_in(database, account):
    assert isinstance(begin(database, account), SignedIn)
    assert living(database) == 1


@CHANGES
def test_what_changed_while_the_password_was_looked_at_signs_nobody_in(database, owner, account, change):
    owner.run(change)

    assert isinstance(begin(database, account), NotSignedIn)
    assert living(database) == 0


@CHANGES
def test_a_change_that_is_under_way_is_waited_for(database, owner, account, change):
    done = []
    thread = threading.Thread(target=lambda: done.append(begin(database, account)))
    with owner.transaction() as tx:
        change(tx)
        thread.start()
        # What was not made to wait is in by now: then the change, whose sessions were ended, misses it.
        with suppress(AssertionError):
            wait_for_a_lock(database)
        sessions.end_all(tx, "vogt", tenant=0)
    thread.join()

    assert isinstance(done[0], NotSignedIn)
    assert living(database) == 0


@CHANGES
def test_a_change_waits_for_a_sign_in_that_is_under_way_and_ends_it(database, owner, account, change):
    ended = []

    def work(tx):
        change(tx)
        ended.append(sessions.end_all(tx, "vogt", tenant=0))

    thread = threading.Thread(target=lambda: owner.run(work))
    with database.transaction() as tx:
        accounts.hold(tx, "vogt", tenant=0)
        sessions.begin(tx, b"under way", "vogt", "192.0.2.1", tenant=0)
        thread.start()
        wait_for_a_lock(database)
    thread.join()

    assert ended == [1]
    assert living(database) == 0
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM session"))
