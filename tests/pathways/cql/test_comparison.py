"""Equality, equivalence and order of values that no expression puts side by side, and why there is none."""

from decimal import Decimal
from typing import Any

import pytest

from pathways.cql import Code, Concept, Date, DateTime, Interval, Quantity, Ratio, Time, Tuple, Uncertainty
from pathways.cql.comparison import at_least, at_most, equal, equivalent, greater, less, order, ranked, same
from pathways.cql.refusal import Unanswerable
from pathways.cql.values import Labelled, Long

ONE = Decimal(1)
CODE, OTHER = Code("a", "s"), Code("b", "s")
GRAMS = Quantity(ONE, "g")
NO_VALUE = Quantity(None, "g")
SPAN = Uncertainty(1, 3)
POINT = Interval(7, 7, True, True, "Integer")

#: one of each kind, none of which is another
KINDS = (
    *("1", True, [1], Interval(1, 2, True, True, "Integer"), Date(2024, 3, 1), Time(10), GRAMS),
    *(
        Ratio(GRAMS, GRAMS),
        CODE,
        Concept((CODE,), None),
        Tuple(a=1),
        Uncertainty(1, 3),
        7,
        Labelled("Period", {}),
    ),
)
PAIRS = [
    pytest.param(left, right, id=f"{type(left).__name__} {type(right).__name__}")
    for left in KINDS
    for right in KINDS
    if left is not right
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_values_of_different_kinds_are_not_equal(left: Any, right: Any) -> None:
    assert equal(left, right) is False
    assert same(left, right) is False
    # A concept means what one of its codes means.
    assert equivalent(left, right) is ({type(left), type(right)} == {Code, Concept})


@pytest.mark.parametrize("value", KINDS, ids=lambda value: type(value).__name__)
def test_a_value_is_itself_and_not_null(value: Any) -> None:
    vague = isinstance(value, Uncertainty)
    assert equal(value, value) is (None if vague else True)
    assert equivalent(value, value) is not vague
    for answer in (equal(value, None), equal(None, value), order(value, None), order(None, value)):
        assert answer is None
    for other in ((value, None), (None, value)):
        assert equivalent(*other) is same(*other) is False


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        *((1, ONE, True), (ONE, 1, True), (Long(1), 1, True), (ONE, Decimal(2), False), (2, ONE, False)),
        *((SPAN, 4, False), (0, SPAN, False), (SPAN, 2, None), (2, SPAN, None), (Uncertainty(2, 2), 2, True)),
        *((Uncertainty(2, 2), Uncertainty(2, 2), True), (SPAN, Uncertainty(4, 5), False)),
        *((Uncertainty(2, 2), Uncertainty(2, 3), None), (Uncertainty(2, 3), Uncertainty(3, 3), None)),
        *((SPAN, ONE, False), (ONE, SPAN, False), (SPAN, "1", False)),
        *((Date(2024), DateTime(2024, offset=0), False), (NO_VALUE, GRAMS, None), (GRAMS, NO_VALUE, None)),
        *((Labelled("Period", {"start": 1}), Labelled("Period", {"start": 1}), True),),
        *((Labelled("Period", {"start": 1}), Labelled("Period", {"start": 2}), False),),
        *((Tuple(a=1), Tuple(a=1, b=2), False), (Tuple(a=1), Tuple(b=1), False)),
        *(([1], [1, 2], False), ([], [], True), ([None], [1], None)),
        *((POINT, 7, False), (7, POINT, False), (True, 1, False), (1, True, False)),
    ],
)
def test_two_values_are_equal_or_not_or_it_is_not_known(left: Any, right: Any, answer: bool | None) -> None:
    assert equal(left, right) is answer


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        *((NO_VALUE, NO_VALUE, True), (NO_VALUE, GRAMS, False), (GRAMS, NO_VALUE, False)),
        *((Tuple(a=1), Tuple(b=1), False), ([1], [1, 2], False), (CODE, "a", False), ("a", CODE, False)),
        *((Concept((OTHER, CODE), None), CODE, True), (Concept((OTHER,), None), CODE, False)),
        *((Concept((), None), Concept((), None), False), (Concept((CODE,), None), "a", False)),
        *(("a b", "A\u00a0B", True), ("ab", "a b", False), ("a b", "a", False), ("ab", "aXXXXb", False)),
        *((ONE, Decimal("1.4"), True), (ONE, Decimal("1.5"), False), (Decimal(100), Decimal("1E+2"), True)),
        *(
            (POINT, 7, False),
            (7, POINT, False),
            (Decimal(10), Decimal(20), False),
            (Decimal("0.1"), Decimal("0.2"), False),
        ),
    ],
)
def test_two_values_mean_the_same_or_not(left: Any, right: Any, answer: bool) -> None:
    assert equivalent(left, right) is answer


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        *((1, 2, -1), (2, 1, 1), (1, 1, 0), (1, ONE, 0), (Long(1), 2, -1)),
        *((Decimal("1.5"), 1, 1), (1, Decimal(2), -1)),
        *(("a", "b", -1), ("b", "a", 1), ("a", "a", 0), (True, True, 0)),
        *((SPAN, 4, -1), (4, SPAN, 1), (SPAN, 0, 1), (0, SPAN, -1), (SPAN, 2, None)),
        *((2, SPAN, None), (SPAN, 3, None)),
        *((Uncertainty(2, 2), 2, 0), (2, Uncertainty(2, 2), 0), (SPAN, SPAN, None)),
        *((SPAN, Uncertainty(3, 4), None),),
        *((GRAMS, Quantity(Decimal(2), "g"), -1), (GRAMS, Quantity(ONE, "mg"), 1)),
        *((GRAMS, Quantity(ONE, "m"), None),),
        *((NO_VALUE, GRAMS, None), (GRAMS, NO_VALUE, None), (NO_VALUE, NO_VALUE, None)),
        *((Date(2024, 3), Date(2024, 4), -1), (Date(2024, 3), Date(2024, 3, 1), None)),
    ],
)
def test_the_order_of_two_values(left: Any, right: Any, answer: int | None) -> None:
    assert order(left, right) == answer
    assert type(order(left, right)) in (int, type(None))
    assert ranked(left, right) == (
        len(left.fields) - len(right.fields) if answer is None and isinstance(left, Date) else answer or 0
    )


@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        (Date(2024), Time(10), "values of different types have no order"),
        (Date(2024), DateTime(2024, offset=0), "values of different types have no order"),
        (Date(2024), 1, "values of different types have no order"),
        ("a", 1, "values of these types have no order"),
        (1, "a", "values of these types have no order"),
        ([1], [2], "values of these types have no order"),
        (CODE, OTHER, "values of these types have no order"),
        (GRAMS, 1, "values of these types have no order"),
        ([1], "a", "values of these types have no order"),
    ],
)
def test_what_has_no_order_is_said_so(left: Any, right: Any, why: str) -> None:
    with pytest.raises(Unanswerable) as failed:
        order(left, right)

    assert str(failed.value) == why


@pytest.mark.parametrize("other", [None])
def test_nothing_is_before_or_after_what_is_not_there(other: None) -> None:
    for compared in (less, greater, at_most, at_least):
        for value in (1, "a", SPAN, GRAMS, Date(2024)):
            assert compared(value, other) is compared(other, value) is None
