"""How long answers are kept, and that there is one for a key."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from service.store import idempotency_keys


def test_the_database_keeps_one_answer_for_a_key(database):
    answer = idempotency_keys.Kept(digest=b"", status=200, headers={}, body="")
    with database.transaction() as tx:
        idempotency_keys.keep(tx, "one", answer, tenant=0)
        idempotency_keys.keep(tx, "one", answer, tenant=1)
    with pytest.raises(IntegrityError, match="idempotency_key_once"), database.transaction() as tx:
        idempotency_keys.keep(tx, "one", answer, tenant=0)


@pytest.fixture
def dated(database):
    """Keep answers of these ages, instead of all others."""

    def dated(*ages: timedelta) -> None:
        answer = idempotency_keys.Kept(digest=b"", status=200, headers={}, body="")
        with database.transaction() as tx:
            tx.execute(text("DELETE FROM idempotency_key"))
            for number, age in enumerate(ages):
                idempotency_keys.keep(tx, f"dated-{number}", answer, tenant=0)
                tx.execute(
                    text("UPDATE idempotency_key SET kept_at = clock_timestamp() - :age WHERE key = :key"),
                    {"age": age, "key": f"dated-{number}"},
                )

    return dated


def test_answers_are_kept_for_thirty_days(dated, database):
    dated(timedelta(days=30, minutes=1), timedelta(days=29, hours=23), timedelta(0))

    with database.transaction() as tx:
        assert idempotency_keys.purge(tx) == 1

    with database.transaction() as tx:
        found = [idempotency_keys.find(tx, f"dated-{number}", tenant=0) for number in range(3)]
    assert [answer is not None for answer in found] == [False, True, True]


def test_old_answers_go_in_small_batches_oldest_first(dated, database):
    dated(*(timedelta(days=31 + number) for number in range(5)))

    with database.transaction() as tx:
        assert idempotency_keys.purge(tx, limit=3) == 3
        assert idempotency_keys.find(tx, "dated-0", tenant=0) is not None
        assert idempotency_keys.find(tx, "dated-4", tenant=0) is None
        assert idempotency_keys.purge(tx, limit=3) == 2
        assert idempotency_keys.purge(tx, limit=3) == 0


def test_two_that_purge_at_once_do_not_wait_for_each_other(dated, database):
    dated(*(timedelta(days=31 + number) for number in range(4)))

    with database.transaction() as one, database.transaction() as other:
        assert idempotency_keys.purge(one, limit=2) == 2
        other.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert idempotency_keys.purge(other, limit=2) == 2
