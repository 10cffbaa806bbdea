"""Statements by the driver itself, without SQLAlchemy, where microseconds and round trips count."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from sqlalchemy import Connection

_BEGIN = {None: "BEGIN"} | {
    level: f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}" for level in IsolationLevel
}


Row = TypeVar("Row")
Result = TypeVar("Result")

#: Work that yields where it waits for the answers to what it has executed by the driver so far, and returns
#: its result: any number of works wait together, `side_by_side`.
Work = Generator[None, None, Result]


class _AtItsEnd(psycopg.Pipeline):
    """A pipeline whose statements are sent at its end, before a fetch, or by `send_now`.

    The driver's own sends each as it comes and looks for answers: three system calls a statement, here and
    at the server, for statements that nobody waits for one by one.
    """

    #: the server has heard something since it was last asked to answer everything
    _asked = False

    def _communicate_gen(self) -> PQGen[None]:
        self._asked |= bool(self.command_queue)
        while self.command_queue:
            self.command_queue.popleft()()
        # A generator, as what it stands for, that waits for nothing.
        yield from ()

    def _sync_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        # What no buffer holds must have left before answers are waited for, or both sides wait.
        yield from self.send_gen()
        self._asked = False
        yield from self._fetch_gen(flush=False)

    def send_gen(self) -> PQGen[None]:
        """Send what has been executed so far."""
        yield from self._communicate_gen()
        yield from send(self.pgconn)

    def _exit_gen(self) -> PQGen[None]:
        if not self.command_queue and not self._asked:
            # Nothing was asked, so nothing is waited for. A statement that failed and was fetched from within
            # the block was asked: until it is told that the block ends the server passes over all else.
            return
        try:
            # The driver's own asks for the answers once more, in a message of its own.
            yield from self._sync_gen()
        finally:
            yield from self._fetch_gen(flush=True)


def raw(tx: Connection) -> psycopg.Connection[Any]:
    """Return the driver's connection, for statements whose round trips count."""
    connection: psycopg.Connection[Any] = tx.connection.driver_connection  # type: ignore[assignment]
    return connection


@contextmanager
def together(tx: Connection) -> Iterator[None]:
    """Send what the block executes by the driver without waiting for each: one round trip for all.

    Results are fetched after the block; a fetch within it would be a round trip more. Where the transaction
    has done nothing yet, its BEGIN goes along too.
    """
    connection = raw(tx)
    # Within another block the connection may look idle after a fetch, though its transaction goes on.
    within = connection.pgconn.pipeline_status != PipelineStatus.OFF
    begins = not within and connection.pgconn.transaction_status == TransactionStatus.IDLE
    if begins:
        # Of itself the driver says BEGIN before the first statement and waits for the answer, also in a
        # pipeline. Until the connection is put back, `as_before`, it leaves that to us.
        connection.autocommit = True
    if not within and not connection.closed:
        # Nobody outside the driver chooses its pipeline; `test_driver` says when this no longer does.
        connection._pipeline = _AtItsEnd(connection)  # noqa: SLF001
    with connection.pipeline():
        if begins:
            connection.execute(_BEGIN[connection.isolation_level], prepare=False)
        yield


def side_by_side(tx: Connection, works: Sequence[Work[Result]]) -> list[Result]:
    """Do several works in step and return what each returns: what all of them wait for is one round trip.

    What one raises ends them all.
    """
    results: dict[int, Result] = {}
    going = dict(enumerate(works))
    while going:
        with together(tx):
            for number, work in list(going.items()):
                try:
                    next(work)
                except StopIteration as end:
                    results[number] = end.value
                    del going[number]
    return [results[number] for number in range(len(works))]


def alone(tx: Connection, work: Work[Result]) -> Result:
    """Do a work and return what it returns."""
    return side_by_side(tx, [work])[0]


def send_now(tx: Connection) -> None:
    """Send what the block of `together` has executed so far: the server works while the block goes on."""
    connection = raw(tx)
    pipeline = connection._pipeline  # noqa: SLF001 - as in `together`
    assert isinstance(pipeline, _AtItsEnd)
    with connection.lock:
        connection.wait(pipeline.send_gen())


def commit_along(tx: Connection) -> None:
    """Commit with what a block of `together` executes before this: one round trip for both.

    Nothing may follow in the transaction. Where one of the statements fails nothing is committed, and the
    block raises it, as it raises a commit that fails.
    """
    raw(tx).execute("COMMIT", prepare=False)


def plan_once(tx: Connection) -> None:
    """Have every statement of this transaction planned once for all values, where it is prepared.

    For what looks a patient up by indexes the plan is the same whoever it is. PostgreSQL would plan some of
    these statements anew each time, because it reckons with ten ids where there is one.

    https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-PLAN-CACHE-MODE
    """
    raw(tx).execute("SET LOCAL plan_cache_mode = force_generic_plan")


def wait_at_most(tx: Connection, ms: int) -> None:
    """Have the statements of this transaction wait for a lock no longer than so many milliseconds."""
    raw(tx).execute(f"SET LOCAL lock_timeout = {ms:d}")


def plan_anew(connection: psycopg.Connection[Any]) -> None:
    """Have every prepared statement planned anew when it is next used; the connection is in no transaction.

    https://www.postgresql.org/docs/current/sql-discard.html
    """
    answer = connection.pgconn.exec_(b"DISCARD PLANS")
    if answer.status != ExecStatus.COMMAND_OK:
        raise psycopg.OperationalError("plans were not discarded")


def only(cursor: psycopg.Cursor[Row]) -> Row:
    """Return the row of an answer that always has one.

    Raises:
        LookupError: it has none.
    """
    row = cursor.fetchone()
    if row is None:
        raise LookupError("an answer that always has a row has none")
    return row


def as_before(connection: psycopg.Connection[Any]) -> None:
    """Have the driver begin transactions again, whoever uses the connection next; it is in none."""
    if connection.autocommit and not connection.closed:
        connection.autocommit = False
