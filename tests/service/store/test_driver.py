"""What shares a round trip with the BEGIN of its transaction is in the transaction that was asked for."""

import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.store.database import PLANNED_ANEW_S, Database, of_the_moment
from service.store.driver import alone as by_itself
from service.store.driver import commit_along, only, plan_once, raw, send_now, side_by_side, together


@pytest.fixture
def alone(database_url):
    """A database of one connection, which each transaction here uses after the other."""
    opened = Database(database_url, pool_size=1, overflow=0)
    with opened.transaction() as tx:
        tx.execute(text("CREATE TEMPORARY TABLE note (n int PRIMARY KEY)"))
    yield opened
    opened.close()


def notes(database):
    with database.transaction() as tx:
        return list(tx.execute(text("SELECT n FROM note ORDER BY n")).scalars())


def write_and_fail(tx):
    tx.execute(text("INSERT INTO note VALUES (2)"))
    raise ZeroDivisionError


def isolation(tx):
    return tx.execute(text("SHOW transaction_isolation")).scalar_one()


def test_what_is_sent_together_is_there_after_the_transaction_and_not_before(alone):
    with alone.transaction() as tx:
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            raw(tx).execute("INSERT INTO note VALUES (2)")
        assert raw(tx).info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    assert notes(alone) == [1, 2]


def test_an_exception_takes_back_the_block_and_what_came_after_it(alone):
    def work(tx):
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
        write_and_fail(tx)

    with pytest.raises(ZeroDivisionError):
        alone.run(work)
    assert notes(alone) == []


def test_the_next_transaction_of_the_connection_is_one_again(alone):
    with alone.transaction() as tx, together(tx):
        raw(tx).execute("INSERT INTO note VALUES (1)")

    with pytest.raises(ZeroDivisionError):
        alone.run(write_and_fail)
    assert notes(alone) == [1]


def test_a_refused_statement_takes_back_the_block_and_leaves_the_connection_usable(alone):
    def work(tx):
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            raw(tx).execute("INSERT INTO note VALUES (1)")

    with pytest.raises(psycopg.errors.UniqueViolation):
        alone.run(work)
    assert notes(alone) == []


def test_a_block_within_another_begins_nothing_also_after_a_fetch(alone):
    with alone.transaction() as tx:
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            assert raw(tx).execute("SELECT n FROM note").fetchall() == [(1,)]
            with together(tx):
                raw(tx).execute("INSERT INTO note VALUES (2)")
        tx.execute(text("INSERT INTO note VALUES (3)"))

    assert notes(alone) == [1, 2, 3]


@pytest.mark.parametrize("wanted", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_isolation_is_the_one_that_was_asked_for_and_only_then(alone, wanted):
    with alone.transaction(wanted) as tx:
        with together(tx):
            raw(tx).execute("SELECT 1")
        assert isolation(tx) == wanted.lower()

    with alone.transaction() as tx:
        with together(tx):
            raw(tx).execute("SELECT 1")
        assert isolation(tx) == "read committed"


def test_a_block_keeps_its_statements_until_its_end(alone, database_url):
    asked = "SELECT state, xact_start IS NULL FROM pg_stat_activity WHERE pid = %s"
    with psycopg.connect(database_url, autocommit=True) as other, alone.transaction() as tx:
        backend = [raw(tx).info.backend_pid]
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            assert other.execute(asked, backend).fetchone() == ("idle", True)
        assert other.execute(asked, backend).fetchone() == ("idle in transaction", False)


def test_a_block_sends_and_reads_more_than_any_buffer_holds(alone):
    long = "x" * 5_000_000
    with alone.transaction() as tx:
        with together(tx):
            answers = [raw(tx).execute("SELECT %s || %s", [long, str(n)]) for n in range(4)]
        assert [only(answer)[0] for answer in answers] == [f"{long}{n}" for n in range(4)]


def test_a_block_within_another_sends_what_no_buffer_holds(alone):
    with alone.transaction() as tx:
        with together(tx):
            outer = raw(tx).execute("SELECT length(%s)", ["x" * 50_000_000])
            with together(tx):
                inner = raw(tx).execute("SELECT length(%s)", ["x" * 50_000_001])
        assert [only(outer), only(inner)] == [(50_000_000,), (50_000_001,)]


def test_a_connection_that_is_lost_in_a_block_is_not_used_again(alone, database_url):
    def work(tx):
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [raw(tx).info.backend_pid])

    with pytest.raises((psycopg.OperationalError, OperationalError)) as lost:
        alone.run(work)
    assert of_the_moment(lost.value)
    with alone.transaction() as tx:
        with together(tx):
            answer = raw(tx).execute("SELECT 1")
        assert only(answer) == (1,)


def test_a_block_that_begins_a_transaction_is_one_round_trip(alone, tmp_path: Path):
    said = tmp_path / "trace"
    with alone.transaction() as tx, said.open("wb") as file:
        raw(tx).pgconn.trace(file.fileno())
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            raw(tx).execute("INSERT INTO note VALUES (2)")
        raw(tx).pgconn.untrace()

    messages = [line.split("\t")[3] for line in said.read_text().splitlines() if line.split("\t")[1] == "F"]
    assert messages.count("Sync") == 1
    assert "Flush" not in messages
    assert messages.count("Execute") == 3


def test_what_is_sent_now_is_done_while_the_block_goes_on(alone, database):
    """Another connection sees the lock that a statement of the block takes, before the block ends."""
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 47 AND objid = 11"
    with alone.transaction() as tx:
        with together(tx):
            raw(tx).execute("SELECT pg_advisory_xact_lock(47, 11)")
            send_now(tx)
            end = time.monotonic() + 20
            with database.transaction() as other:
                while not only(raw(other).execute(held))[0]:
                    assert time.monotonic() < end
            one = raw(tx).execute("SELECT 1")
        assert only(one) == (1,)


def test_what_is_committed_along_stays_whatever_comes_after(alone):
    def work(tx):
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            commit_along(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        alone.run(work)
    assert notes(alone) == [1]


@pytest.mark.parametrize("begun", [True, False])
def test_nothing_is_committed_along_with_a_statement_that_is_refused(alone, begun):
    def work(tx):
        if begun:
            raw(tx).execute("INSERT INTO note VALUES (7)")
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            raw(tx).execute("INSERT INTO note VALUES (1)")
            commit_along(tx)

    with pytest.raises(psycopg.errors.UniqueViolation):
        alone.run(work)
    assert notes(alone) == []


def test_a_commit_along_that_fails_is_raised_and_takes_everything_back(alone):
    def work(tx):
        raw(tx).execute("CREATE TEMPORARY TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        with together(tx):
            raw(tx).execute("INSERT INTO note VALUES (1)")
            raw(tx).execute("INSERT INTO late VALUES (1), (1)")
            commit_along(tx)

    with pytest.raises(psycopg.errors.UniqueViolation):
        alone.run(work)
    assert notes(alone) == []


def test_the_next_transaction_after_a_commit_along_is_one_again(alone):
    with alone.transaction() as tx, together(tx):
        raw(tx).execute("INSERT INTO note VALUES (1)")
        commit_along(tx)

    with pytest.raises(ZeroDivisionError):
        alone.run(write_and_fail)
    assert notes(alone) == [1]


def test_every_statement_of_a_transaction_that_says_so_is_planned_once(alone):
    wanted = "SELECT n FROM note WHERE n = ANY(%s::int[])"
    planned = (
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%n = ANY%'"
    )
    for _ in range(12):
        with alone.transaction() as tx:
            plan_once(tx)
            raw(tx).execute(wanted, [[1]])
    with alone.transaction() as tx:
        generic, custom = only(raw(tx).execute(planned))
        assert generic > 0
        assert custom == 0
        assert only(raw(tx).execute("SHOW plan_cache_mode")) == ("auto",)


def test_plans_of_a_connection_are_made_anew_as_it_grows_older(alone):
    def planned(tx):
        plan_once(tx)
        raw(tx).execute("SELECT n FROM note WHERE n = %s", [1], prepare=True)
        (name,) = only(
            raw(tx).execute("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%note%'")
        )
        return only(raw(tx).execute(f"EXPLAIN EXECUTE {name}(1)"))[0]

    def prefer(tx, scan):
        # A plan that is there stays, whatever is preferred since: as with tables that have grown.
        for kind in ("seqscan", "indexscan", "bitmapscan"):
            tx.execute(text(f"SET enable_{kind} = {'on' if kind == scan else 'off'}"))

    alone.run(lambda tx: prefer(tx, "indexscan"))
    assert alone.run(planned).startswith("Index")
    alone.run(lambda tx: prefer(tx, "seqscan"))
    assert alone.run(planned).startswith("Index")

    time.sleep(PLANNED_ANEW_S)

    assert alone.run(planned).startswith("Seq Scan")
    alone.run(lambda tx: prefer(tx, "indexscan"))
    assert alone.run(planned).startswith("Seq Scan"), "not each time it is used"


def counting(tx, name, steps, said):
    """A work of so many steps; returns what the database answered in each."""
    answers = []
    for step in range(steps):
        said.append((name, step))
        cursor = raw(tx).execute("SELECT %s || %s", [name, str(step)])
        yield
        answers.append(only(cursor)[0])
    return answers


def test_works_go_side_by_side_and_each_returns_its_own(alone):
    said = []
    with alone.transaction() as tx:
        works = [counting(tx, name, steps, said) for name, steps in (("a", 1), ("b", 3), ("c", 0), ("d", 2))]
        assert side_by_side(tx, works) == [["a0"], ["b0", "b1", "b2"], [], ["d0", "d1"]]
        assert side_by_side(tx, []) == []
        assert by_itself(tx, counting(tx, "e", 2, said)) == ["e0", "e1"]

    first, then = said[: len(said) - 2], said[len(said) - 2 :]
    assert first == [("a", 0), ("b", 0), ("d", 0), ("b", 1), ("d", 1), ("b", 2)]
    assert then == [("e", 0), ("e", 1)]


def test_what_works_wait_for_is_one_round_trip(alone, tmp_path):
    said = tmp_path / "trace"
    with alone.transaction() as tx, said.open("wb") as file:
        raw(tx).pgconn.trace(file.fileno())
        side_by_side(tx, [counting(tx, name, 2, []) for name in "abcdef"])
        raw(tx).pgconn.untrace()

    # Two steps; after the last nothing is asked, and nothing waited for.
    assert said.read_text().count("\tReadyForQuery\t") == 2


def test_what_one_work_raises_ends_all(alone):
    def failing(tx):
        raw(tx).execute("INSERT INTO note VALUES (2)")
        yield
        raise ZeroDivisionError

    def other(tx):
        raw(tx).execute("INSERT INTO note VALUES (1)")
        yield
        raw(tx).execute("INSERT INTO note VALUES (3)")
        yield

    with pytest.raises(ZeroDivisionError):
        alone.run(lambda tx: side_by_side(tx, [other(tx), failing(tx)]))
    assert notes(alone) == []
    with alone.transaction() as tx:
        side_by_side(tx, [other(tx)])
    assert notes(alone) == [1, 3]


def test_a_block_without_anything_is_no_round_trip(alone, tmp_path):
    said = tmp_path / "trace"
    with alone.transaction() as tx, said.open("wb") as file:
        raw(tx).execute("SELECT 1")
        raw(tx).pgconn.trace(file.fileno())
        with together(tx):
            pass
        raw(tx).pgconn.untrace()
    assert said.read_text() == ""


@pytest.mark.parametrize("before", [0, 1], ids=["which begins the transaction", "within one"])
def test_a_block_in_which_a_failed_statement_was_fetched_leaves_the_connection_usable(alone, before):
    def work(tx):
        for _ in range(before):
            raw(tx).execute("SELECT 1")
        with together(tx):
            raw(tx).execute("SELECT 1 / 0").fetchone()

    with pytest.raises(psycopg.errors.DivisionByZero):
        alone.run(work)
    with alone.transaction() as tx:
        assert only(raw(tx).execute("SELECT 1")) == (1,)
