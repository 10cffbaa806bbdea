"""The log of decisions is append-only and numbered without a gap for two."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.store import decisions
from service.store.decisions import Row

RUN = UUID("00000000-0000-4000-8000-000000000001")


def row(number: int = 1, *, instance: str = "left", run: UUID = RUN, rule: str = "R1") -> Row:
    return Row(
        tenant=0,
        patient="p",
        pathway="plan",
        instance=instance,
        number=number,
        at=datetime(2026, 1, 5, 9, tzinfo=UTC),
        run=run,
        rule=rule,
        before={},
        after={"stage": "b", "stay": number},
        basis={"inputs": [{"value": "4.50"}]},
    )


def test_the_latest_decision_of_each_instance_is_what_is_remembered(tx):
    decisions.append(tx, [row(1), row(2), row(1, instance="")], read=(), tenant=0)

    found = decisions.latest(tx, "p", tenant=0)

    assert {key: value.number for key, value in found.items()} == {("plan", "left"): 2, ("plan", ""): 1}
    assert found["plan", "left"] == row(2)


def test_an_instance_is_read_newest_first_and_a_run_in_order(tx):
    other = uuid4()
    decisions.append(tx, [row(1), row(2), row(3, run=other)], read=(), tenant=0)

    assert [r.number for r in decisions.of_instance(tx, "p", "plan", "left", tenant=0)] == [3, 2, 1]
    assert [r.number for r in decisions.of_run(tx, RUN)] == [1, 2]


def test_two_evaluations_cannot_write_the_same_decision(tx):
    decisions.append(tx, [row(1)], read=(), tenant=0)

    with pytest.raises(UniqueViolation):
        decisions.append(tx, [row(1, rule="R2")], read=(), tenant=0)


@pytest.mark.parametrize("statement", ["UPDATE decision SET rule = 'x'", "DELETE FROM decision"])
def test_a_decision_is_neither_changed_nor_removed(tx, statement):
    decisions.append(tx, [row(1)], read=(), tenant=0)

    # By the table itself, or before that because the role may not.
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        tx.execute(text(statement))
