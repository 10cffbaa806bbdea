"""Which errors of the database say nothing about what was asked: real ones, from a real server.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import time

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from service.store.database import IDLE_S, Database, of_the_moment


@pytest.fixture(scope="module")
def impatient(database_url):
    opened = Database(
        database_url, pool_size=1, overflow=0, pool_timeout_s=0.2, lock_timeout_s=1, statement_timeout_s=2
    )
    yield opened
    opened.close()


def failure(impatient: Database, statement: str, **values: object) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is is the question
        impatient.run(lambda tx: tx.execute(text(statement), values))
    return caught.value


def test_a_lock_that_somebody_holds_is_of_the_moment(impatient, database):
    def lock(tx: Connection) -> None:
        tx.execute(text("LOCK TABLE heartbeat"))

    with database.transaction() as other:
        lock(other)
        assert of_the_moment(failure(impatient, "SELECT * FROM heartbeat"))


def test_no_free_connection_is_of_the_moment(impatient):
    with impatient.transaction():
        assert of_the_moment(failure(impatient, "SELECT 1"))


def test_a_connection_that_is_ended_is_of_the_moment(impatient):
    assert of_the_moment(failure(impatient, "SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_connection_that_was_ended_while_it_lay_idle_is_replaced(impatient, database):
    impatient.run(lambda tx: tx.execute(text("SELECT 1")))
    with impatient.transaction() as tx:
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
    database.run(lambda tx: tx.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid}))
    time.sleep(IDLE_S)

    assert impatient.run(lambda tx: tx.execute(text("SELECT 1")).scalar_one()) == 1


def test_a_server_that_is_not_there_is_of_the_moment():
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing")

    assert of_the_moment(failure(nowhere, "SELECT 1"))


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param("SELECT pg_sleep(5)", {}, id="takes too long"),
        pytest.param("SELECT 1 / 0", {}, id="has no answer"),
        pytest.param("SELECT :text", {"text": "\0"}, id="cannot be sent"),
        pytest.param("INSERT INTO clock (one) VALUES (true)", {}, id="is there already"),
    ],
)
def test_what_a_statement_does_wrong_itself_is_not(impatient, statement, values):
    assert not of_the_moment(failure(impatient, statement, **values))


def test_an_error_of_the_program_is_not():
    assert not of_the_moment(KeyError("a name"))


def test_the_text_of_an_error_names_no_parameter(database):
    """Libraries log what an error says, and parameters are patients' data."""
    with pytest.raises(DBAPIError) as raised, database.transaction() as tx:
        tx.execute(
            text("SELECT 1 / :zero FROM (SELECT CAST(:name AS text)) AS t"), {"zero": 0, "name": "Castell"}
        )

    assert "Castell" not in str(raised.value)
