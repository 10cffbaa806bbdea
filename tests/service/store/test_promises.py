"""Promises: nothing that arrived is forgotten, and one worker at a time is at work on a patient.

Settling: the pathway's rules, section 2.3.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from service import clock
from service.store import promises, standings
from service.store.database import Database
from service.store.promises import LeaseLost

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = 10 * MINUTE


@pytest.fixture(autouse=True)
def _at_nine(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise"))
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def want(database, patient="p", *, at=NOW, settles=False, **more):
    with database.transaction() as tx:
        promises.want(
            tx, patient, tenant=0, due_at=at + WINDOW if settles else at, received=at, settles=settles, **more
        )


def claim(database, patient="p", **more):
    with database.transaction() as tx:
        return promises.claim(tx, tenant=0, patient=patient, **more)


def done(database, claim, **more):
    with database.transaction() as tx:
        promises.settle_done(tx, claim, **more)


def failed(database, claim, reason="a rule erred"):
    with database.transaction() as tx:
        return promises.fail(tx, claim, reason)


def due(database, now=NOW):
    with database.transaction() as tx:
        return [found.patient for found in promises.due(tx, now, 100)]


def standing(database, patient="p"):
    with database.transaction() as tx:
        return standings.of_patient(tx, patient, tenant=0)


def later(database):
    """Let every pause and lease pass."""
    with database.transaction() as tx:
        tx.execute(text("UPDATE promise SET retry_at = NULL, lease_until = clock_timestamp()"))


def test_what_is_wanted_is_due_and_claimed_once(database):
    want(database)

    assert due(database) == ["p"]
    assert claim(database).attempt == 1
    assert claim(database) is None
    assert claim(database, forced=True) is None
    assert due(database) == []


def test_without_anything_wanted_there_is_nothing_to_claim_and_nothing_left(database):
    assert claim(database) is None
    assert standing(database) is None


def test_a_kept_promise_is_not_due_again(database):
    want(database)
    done(database, claim(database))

    assert due(database) == []
    assert claim(database) is None


def test_what_arrives_during_the_work_is_due_after_it(database):
    want(database)
    first = claim(database)
    want(database)

    done(database, first)

    assert due(database) == ["p"]
    assert len(claim(database).wanted) == 1


def test_ten_arrivals_are_one_evaluation(database):
    for _ in range(10):
        want(database)

    done(database, claim(database))

    assert due(database) == []


def test_a_promise_is_not_claimed_before_its_data_is_there(database):
    want(database)
    first = claim(database)
    with database.transaction() as unfinished:
        promises.want(unfinished, "p", tenant=0, due_at=NOW)
        done(database, first)
        assert claim(database) is None

    assert claim(database) is not None


def test_an_evaluation_whose_snapshot_is_older_leaves_the_newer_arrival(database):
    want(database)
    first = claim(database)
    with database.transaction("REPEATABLE READ") as evaluation:
        seen = promises.wanted(evaluation, "p", tenant=0)
        want(database)
        promises.settle_done(evaluation, first, seen)

    assert due(database) == ["p"]


def test_the_window_moves_with_each_arrival(database):
    want(database, settles=True)
    want(database, at=NOW + 5 * MINUTE, settles=True)

    assert due(database, NOW + 14 * MINUTE) == []
    assert due(database, NOW + 15 * MINUTE) == ["p"]


def test_no_input_waits_longer_than_an_hour(database):
    for minutes in range(0, 60, 9):
        want(database, at=NOW + minutes * MINUTE, settles=True)

    assert due(database, NOW + 59 * MINUTE) == []
    assert due(database, NOW + 60 * MINUTE) == ["p"]


def test_what_does_not_settle_makes_all_due_at_once(database):
    want(database, settles=True)
    want(database, at=NOW + MINUTE)
    want(database, at=NOW + 2 * MINUTE, settles=True)

    assert due(database, NOW + MINUTE) == ["p"]


def test_a_timer_is_due_at_its_date_and_not_before(database):
    want(database)
    done(database, claim(database), next_due=NOW + MINUTE)

    assert due(database) == []
    assert due(database, NOW + MINUTE) == ["p"]
    with database.transaction() as tx:
        clock.set_(tx, NOW + MINUTE, held=False)
    assert claim(database) is not None


def test_new_data_come_before_timers(database):
    want(database, "timer")
    done(database, claim(database, "timer"), next_due=NOW - MINUTE)
    want(database, "data")

    assert due(database) == ["data", "timer"]


def test_a_held_clock_lets_only_what_a_person_asked_for_through(database):
    want(database)
    with database.transaction() as tx:
        clock.set_(tx, NOW, held=True)
    assert (due(database), claim(database)) == ([], None)

    want(database, forced=True)

    assert due(database) == ["p"]
    assert claim(database) is not None


def test_a_lease_that_runs_out_comes_back_with_the_attempt_counted(database):
    want(database)
    lost = claim(database, lease_s=0)

    again = claim(database)

    assert again.attempt == 2
    with pytest.raises(LeaseLost):
        done(database, lost)
    done(database, again)


def test_a_renewed_lease_stays(database):
    want(database)
    held = claim(database, lease_s=0)
    with database.transaction() as tx:
        tx.execute(text("UPDATE promise SET lease_until = clock_timestamp() + interval '1 minute'"))
        assert promises.renew(tx, held)


def test_a_lost_lease_cannot_be_renewed(database):
    want(database)
    lost = claim(database, lease_s=0)
    claim(database)

    with database.transaction() as tx:
        assert not promises.renew(tx, lost)


def test_a_failure_pauses_and_the_third_parks(database):
    want(database)
    outcomes = []
    for _ in range(3):
        outcomes.append(failed(database, claim(database)))
        assert claim(database) is None
        later(database)

    assert outcomes == [False, False, True]
    assert due(database) == []
    assert standing(database).failed_reason == "a rule erred"
    with database.transaction() as tx:
        assert [s.patient for s in standings.parked(tx, tenant=0)] == ["p"]
        assert standings.waiting(tx, NOW) == standings.Waiting(
            count=0, oldest_due_at=None, late_s=0, parked=1
        )


def test_a_parked_promise_does_not_hold_others(database):
    want(database, "poison")
    for _ in range(3):
        failed(database, claim(database, "poison"))
        later(database)
    want(database, "p")

    assert due(database) == ["p"]


def test_new_data_try_a_parked_promise_again(database):
    want(database)
    for _ in range(3):
        failed(database, claim(database))
        later(database)

    want(database)

    assert due(database) == ["p"]
    assert standing(database).parked_at is None
    assert claim(database).attempt == 1


def test_a_patient_that_kills_its_workers_is_parked(database):
    want(database)
    attempts = 0
    while claim(database, lease_s=0):
        attempts += 1

    assert attempts == promises.MAX_LOST
    assert standing(database).parked_at is not None


def test_success_forgets_the_failures(database):
    want(database)
    failed(database, claim(database))
    later(database)
    done(database, claim(database), now=NOW)

    assert (standing(database).attempts, standing(database).failed_reason) == (0, None)
    assert standing(database).done_at == NOW


def test_kinds_of_work_do_not_wait_for_each_other(database):
    want(database)
    want(database, kind="deliver")
    claim(database)

    assert claim(database, kind="deliver") is not None


def test_many_workers_with_one_message_claim_once(database):
    want(database)
    barrier = threading.Barrier(8)
    claims = []

    def work():
        barrier.wait()
        claims.append(claim(database))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(found is not None for found in claims) == 1


def test_a_claim_that_had_to_wait_sees_what_the_other_one_left(database):
    """SP-12: it looks once it has the lock, not before."""
    want(database)
    done(database, claim(database))
    want(database)
    found = []
    with database.transaction() as tx:
        first = promises.claim(tx, tenant=0, patient="p")
        second = threading.Thread(target=lambda: found.append(claim(database)))
        second.start()
        until_one_waits(database)
    second.join()

    assert first is not None
    assert found == [None]


def until_one_waits(database):
    """Return when a transaction waits for a lock in this database."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    while True:
        with database.transaction() as tx:
            if tx.execute(statement).scalar_one():
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


def test_an_unfinished_post_and_an_evaluation_do_not_wait_for_each_other(database):
    want(database)
    held = claim(database)
    with database.transaction("REPEATABLE READ") as evaluation:
        seen = promises.wanted(evaluation, "p", tenant=0)
        with database.transaction() as intake:
            promises.want(intake, "p", tenant=0, due_at=NOW)
            promises.settle_done(evaluation, held, seen)


@pytest.mark.parametrize("column", ["lease_until", "retry_at"])
def test_a_clock_that_was_set_back_keeps_nobody_waiting(database, column):
    """What lies an hour ahead was written before the step; the longest lease and pause are minutes."""
    want(database)
    first = claim(database)
    failed(database, first) if column == "retry_at" else None
    with database.transaction() as tx:
        tx.execute(text(f"UPDATE promise SET {column} = clock_timestamp() + interval '1 hour'"))

    assert due(database) == ["p"]
    second = claim(database)

    assert second is not None
    if column == "lease_until":
        # Whoever held it may still be at work; what that one did is not kept.
        with pytest.raises(LeaseLost):
            done(database, first)
    done(database, second)
    assert due(database) == []


def test_what_is_late_is_told_in_seconds_and_a_held_clock_is_never_late(database):
    with database.transaction() as tx:
        clock.unset(tx)
        promises.want(tx, "p", tenant=0, due_at=clock.now(tx) - timedelta(minutes=5))

    def late(held=False):
        with database.transaction() as tx:
            if held:
                clock.set_(tx, clock.now(tx), held=True)
            return standings.waiting(tx, clock.now(tx)).late_s

    assert 300 <= late() < 330
    assert late(held=True) == 0


def test_leases_of_workers_that_are_gone_are_taken_back_and_their_attempts_count(database):
    want(database)
    gone = claim(database)

    with database.transaction() as tx:
        promises.release(tx)

    assert claim(database).attempt == 2
    with pytest.raises(LeaseLost):
        done(database, gone)


def test_what_arrives_during_the_last_attempt_is_tried_before_anything_is_given_up(database):
    """It may be the correction of what made the others fail."""
    want(database)
    for _ in range(2):
        failed(database, claim(database))
        later(database)
    last = claim(database)
    want(database)

    assert failed(database, last)
    later(database)

    assert due(database) == ["p"]
    assert claim(database).attempt == 1


def test_what_arrives_before_lost_workers_are_told_is_tried_too(database):
    want(database)
    for _ in range(promises.MAX_LOST):
        assert claim(database) is not None
        later(database)
    want(database)

    assert claim(database).attempt == 1
    for _ in range(promises.MAX_LOST):
        later(database)
        claim(database)
    assert standing(database).parked_at is not None


def test_an_arrival_that_commits_after_the_park_is_tried_whatever_its_number(database):
    with database.transaction() as slow:
        promises.want(slow, "p", tenant=0, due_at=NOW)
        want(database)
        for _ in range(3):
            failed(database, claim(database))
            later(database)
        assert due(database) == []

    assert due(database) == ["p"]


def test_a_claim_does_not_wait_for_the_disk_and_whatever_follows_does(database):
    want(database)
    with database.transaction() as tx:
        assert promises.claim(tx, tenant=0, patient="p") is not None
        claiming = tx.execute(text("SHOW synchronous_commit")).scalar_one()
    with database.transaction() as tx:
        after = tx.execute(text("SHOW synchronous_commit")).scalar_one()

    assert (claiming, after) == ("off", "on")
