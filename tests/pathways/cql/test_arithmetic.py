"""Arithmetic where no expression leads: types side by side, no value, and why there is no answer."""

from decimal import Decimal
from typing import Any

import pytest

from pathways.cql import Date, Quantity, Time
from pathways.cql.arithmetic import (
    add,
    high_boundary,
    least,
    low_boundary,
    modulo,
    most,
    multiply,
    power,
    predecessor,
    subtract,
    successor,
    truncated_divide,
)
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import OutOfRange
from pathways.cql.values import Long

HALF = Decimal("2.5")
GRAMS = Quantity(Decimal(3), "g")


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        (truncated_divide, 7, HALF, Decimal(2)),
        (truncated_divide, Decimal("7.5"), 2, Decimal(3)),
        (modulo, 7, HALF, Decimal(2)),
        (modulo, Decimal("7.5"), 2, Decimal("1.5")),
        (power, 2, Decimal(2), Decimal(4)),
        (power, Decimal(2), 2, Decimal(4)),
        (add, 1, HALF, Decimal("3.5")),
        (add, HALF, 1, Decimal("3.5")),
        (subtract, HALF, 1, Decimal("1.5")),
        (multiply, 2, HALF, Decimal(5)),
        (multiply, GRAMS, HALF, Quantity(Decimal("7.5"), "g")),
        (multiply, HALF, GRAMS, Quantity(Decimal("7.5"), "g")),
        (add, 1, Long(2), Long(3)),
        (add, Long(1), 2, Long(3)),
        (modulo, 7, Long(4), Long(3)),
        (modulo, Long(7), 4, Long(3)),
        (truncated_divide, 7, Long(2), Long(3)),
        (truncated_divide, Long(7), 2, Long(3)),
        (power, 2, Long(3), Long(8)),
        (power, Long(2), 3, Long(8)),
    ],
)
def test_of_two_types_the_wider_is_that_of_the_result(
    operator: Any, left: Any, right: Any, expected: Any
) -> None:
    result = operator(left, right)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "digits", "low", "high"),
    [
        ("1.58", 3, "1.580", "1.589"),
        ("1.58", 1, "1.5", "1.6"),
        ("1.58", 2, "1.58", "1.58"),
        ("-1.58", 3, "-1.589", "-1.580"),
    ],
)
def test_what_a_quantity_may_be_has_its_unit(value: str, digits: int, low: str, high: str) -> None:
    quantity = Quantity(Decimal(value), "g")

    assert low_boundary(quantity, digits) == Quantity(Decimal(low), "g")
    assert high_boundary(quantity, digits) == Quantity(Decimal(high), "g")
    assert low_boundary(quantity, 9) is None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (lambda: least("Boolean"), "Boolean has no least value"),
        (lambda: most("Boolean"), "Boolean has no most value"),
        (lambda: add(Quantity(None, "g"), GRAMS), "a quantity has no value"),
        (lambda: add(Date(2024), GRAMS), "a date moves by a duration only"),
    ],
)
def test_what_has_no_answer_says_why(asked: Any, why: str) -> None:
    with pytest.raises(Unanswerable) as failed:
        asked()

    assert str(failed.value) == why


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        # Beyond an Integer: beside a decimal a whole number counts as one.
        (add, Decimal(3_000_000_000), 1, Decimal(3_000_000_001)),
        (add, 1, Decimal(3_000_000_000), Decimal(3_000_000_001)),
        (truncated_divide, Decimal(6_000_000_000), 2, Decimal(3_000_000_000)),
        (modulo, Decimal(9_000_000_000), 5_000_000_000, Decimal(4_000_000_000)),
        (power, 2, Decimal("0.5"), Decimal("1.41421356")),
    ],
)
def test_a_whole_number_beside_a_decimal_is_a_decimal(
    operator: Any, left: Any, right: Any, expected: Decimal
) -> None:
    assert operator(left, right) == expected


def test_the_next_long_is_a_long() -> None:
    following = successor(Long(3_000_000_000))

    assert (following, type(following)) == (3_000_000_001, Long)


@pytest.mark.parametrize(
    ("step", "value", "why"),
    [
        (successor, Time(23, 59, 59, 999), "a time of day has its end"),
        (predecessor, Time(0), "a time of day has its end"),
        (successor, 2**31 - 1, "no further value"),
        (predecessor, -(2**31), "no further value"),
    ],
)
def test_beyond_the_last_value_there_is_none(step: Any, value: Any, why: str) -> None:
    with pytest.raises(OutOfRange, match=f"^{why}$"):
        step(value)
