"""A pool of connections, and transactions that are one visible block.

Every connection has its limits set: a statement, a lock or a forgotten transaction
never holds others up for longer than they may wait.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from service.store import driver

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
Result = TypeVar("Result")

#: serialization failure, deadlock: the database chose one of two to try again
RETRIED = {"40001", "40P01"}
ATTEMPTS = 4
#: a connection that lay idle longer is asked whether it still works before it is used
IDLE_S = 1.0
#: When the plans of a new connection are made anew, and then each time it is twice as old. What was planned
#: for empty tables may look through all that came since. PostgreSQL plans anew by itself once it has
#: statistics, which may take a minute.
PLANNED_ANEW_S = 1.0
#: operational errors that are the statement's own: it takes too long, or asks for too much
ITS_OWN = ("57014", "54")


class NotDurable(Exception):
    """The database may forget what it acknowledged."""


class Database:
    """One PostgreSQL database. Connections are opened when they are first needed."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        overflow: int = 8,
        pool_timeout_s: float = 5,
        statement_timeout_s: int = 30,
        lock_timeout_s: int = 10,
    ) -> None:
        """Prepare a pool for `postgresql://user:password@host/name?host=...&port=...`."""
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=overflow,
            # The one that was used last: what its server process knows is still in the processor's cache.
            pool_use_lifo=True,
            # a request that gets no connection in this time is answered 503
            pool_timeout=pool_timeout_s,
            # An error's text is logged by libraries, and the parameters are patients' data.
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                # A host that is gone without a word is noticed; the system alone would wait for hours.
                "tcp_user_timeout": 15_000,
                "keepalives_idle": 5,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "application_name": "hipway",
                "options": " ".join(
                    (
                        f"-c statement_timeout={statement_timeout_s}s",
                        f"-c lock_timeout={lock_timeout_s}s",
                        "-c idle_in_transaction_session_timeout=60s",
                        "-c timezone=UTC",
                    )
                ),
            },
        )
        _keep_ready(self._engine)

    @contextmanager
    def transaction(self, isolation: Isolation | None = None) -> Iterator[Connection]:
        """Open a transaction: committed at the end of the block, rolled back by an exception."""
        with self._engine.connect() as connection:
            if isolation is not None:
                connection.execution_options(isolation_level=isolation)
            with connection.begin():
                yield connection

    def run(self, work: Callable[[Connection], Result], *, isolation: Isolation | None = None) -> Result:
        """Return what the work returns, in a transaction of its own.

        The work is repeated up to three times when the database asks for it, so it
        may do nothing but read and write through its connection.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transaction(isolation) as tx:
                    return work(tx)
            except (DBAPIError, psycopg.Error) as error:
                if attempt == ATTEMPTS or sqlstate(error) not in RETRIED:
                    raise
                time.sleep(0.01 * 4**attempt)
        raise AssertionError("the last attempt returns or raises")

    def assert_durable(self) -> None:
        """Refuse a server that acknowledges before the disk has it: the first promise rests on it.

        Raises:
            NotDurable: naming the setting.
        """
        with self.transaction() as tx:
            for setting, unsafe in (("fsync", {"off"}), ("synchronous_commit", {"off"})):
                value = tx.execute(text("SELECT current_setting(:name)"), {"name": setting}).scalar_one()
                if value in unsafe:
                    raise NotDurable(f"the database setting {setting} is {value}; it must be on")

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def _keep_ready(engine: Engine) -> None:
    """Have connections put back as they were, and asked whether they work, and their plans made anew.

    One that lay idle and does not work is replaced before it is used. One that was in use a moment ago is not
    asked: a round trip for each transaction costs more than the error it would prevent, which senders and the
    queue know how to repeat.
    https://docs.sqlalchemy.org/en/20/core/pooling.html#custom-legacy-pessimistic-ping
    """

    @event.listens_for(engine, "checkin")
    def _put_back(connection: psycopg.Connection[Any] | None, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()
        # None: it was lost.
        if connection is not None:
            driver.as_before(connection)

    @event.listens_for(engine, "checkout")
    def _take(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        now = time.monotonic()
        opened = record.info.setdefault("opened", now)
        try:
            if now - record.info.get("idle_since", now) >= IDLE_S:
                engine.dialect.do_ping(connection)
            if now >= record.info.setdefault("planned_anew_at", opened + PLANNED_ANEW_S):
                record.info["planned_anew_at"] = now + (now - opened)
                driver.plan_anew(connection)
        except psycopg.Error as error:
            raise DisconnectionError(type(error).__name__) from None


def of_the_moment(error: Exception) -> bool:
    """Return whether the database could not do this now, whatever it was: the same may succeed later.

    So it is with a lost connection, a lock that somebody holds too long, a server that stops or is full.
    """
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, (DBAPIError, psycopg.Error)):
        return False
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.OperationalError) and not (sqlstate(error) or "").startswith(ITS_OWN)


def sqlstate(error: DBAPIError | psycopg.Error) -> str | None:
    """Return the five characters with which PostgreSQL says what went wrong."""
    state: str | None = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state
