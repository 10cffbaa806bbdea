"""Units, equality, intervals and lists, where the official tests do not reach."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathways.cql import (
    Code,
    Concept,
    Date,
    DateTime,
    Interval,
    Quantity,
    Time,
    Uncertainty,
    arithmetic,
    conversion,
    intervals,
    lists,
    series,
    units,
)
from pathways.cql.comparison import at_least, at_most, equal, equivalent, greater, less
from pathways.cql.refusal import Unanswerable

numbers = st.integers(-1000, 1000)


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        ("1", "kg", "g", "1000"),
        ("1", "mg/dL", "g/L", "0.01"),
        ("2", "wk", "day", "14"),
        ("36", "month", "years", "3"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("1", "10*3/uL", "10*9/L", "1"),
        ("5", "%", "1", "0.05"),
        ("7", "{score}", "1", "7"),
        ("1", "[in_i]", "cm", "2.54"),
        ("1", "kg.m/s2", "N", "1"),
    ],
)
def test_units_of_one_dimension_convert(value: str, source: str, target: str, result: str) -> None:
    assert units.converted(Decimal(value), source, target) == Decimal(result)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("kg", "m"),
        ("year", "d"),
        ("Cel", "m"),
        ("Cel/min", "K/min"),
        ("furlong", "m"),
        ("mmol/L", "mg/dL"),
        ("month", "mo"),
    ],
)
def test_units_of_different_dimensions_do_not(source: str, target: str) -> None:
    assert units.converted(Decimal(1), source, target) is None


@pytest.mark.parametrize("unit", ["furlong", "mm[Hg", "kkg", "g//L", "d d", "(g", "min2.", "mmin"])
def test_what_the_table_lacks_is_not_known(unit: str) -> None:
    assert not units.known(unit)


def test_quantities_that_do_not_convert_are_not_comparable() -> None:
    assert less(Quantity(Decimal(1), "kg"), Quantity(Decimal(1), "m")) is None
    assert equal(Quantity(Decimal(1), "kg"), Quantity(Decimal(1000), "g")) is True


def test_an_uncertain_count_decides_only_when_all_of_it_does() -> None:
    count = Uncertainty(10, 20)

    assert greater(count, 9) is True
    assert greater(count, 10) is None
    assert at_least(count, 10) is True
    assert at_most(count, 15) is None
    assert less(count, 10) is False
    assert arithmetic.truncated_divide(count, 7) == Uncertainty(1, 2)


def test_equivalence_of_concepts_ignores_display_and_version() -> None:
    one = Concept((Code("a", "s", "1", "A"), Code("b", "t")))

    assert equivalent(one, Code("a", "s", "2"))
    assert not equivalent(one, Code("b", "s"))
    assert equivalent(None, None)
    assert not equivalent(one, None)


@pytest.mark.parametrize(
    ("interval", "point", "answer"),
    [
        (Interval(1, 5), 5, True),
        (Interval(1, 5, True, False), 5, False),
        (Interval(1, None, True, False, "Integer"), 7, None),
        (Interval(1, None, True, False, "Integer"), 0, False),
        (Interval(1, None, True, True, "Integer"), 7, True),
        (Interval(1, 5), None, None),
    ],
)
def test_a_point_is_in_an_interval_when_both_bounds_allow_it(
    interval: Interval, point: Any, answer: Any
) -> None:
    assert intervals.contains(interval, point) is answer


@given(numbers, numbers, numbers, numbers)
def test_relations_of_intervals_exclude_each_other(a: int, b: int, c: int, d: int) -> None:
    left, right = Interval(min(a, b), max(a, b)), Interval(min(c, d), max(c, d))

    told = [intervals.before(left, right), intervals.after(left, right), intervals.overlaps(left, right)]

    assert told.count(True) == 1
    assert (intervals.intersect(left, right) is not None) is (told[2] is True)


@given(st.lists(st.tuples(numbers, st.integers(0, 20)), max_size=8))
def test_collapsed_intervals_hold_the_same_points(pairs: list[tuple[int, int]]) -> None:
    given_ = [Interval(low, low + size, True, True, "Integer") for low, size in pairs]

    joined = intervals.collapsed(given_, None)

    points = {point for each in given_ for point in range(each.low, each.high + 1)}
    assert {point for each in joined for point in range(each.low, each.high + 1)} == points
    assert all(one.high + 1 < other.low for one, other in pairwise(joined))


@given(st.lists(st.one_of(st.none(), numbers)))
def test_nulls_do_not_count_in_aggregates(items: list[int | None]) -> None:
    known = [item for item in items if item is not None]

    assert lists.total(items) == (sum(known) if known else None)
    assert lists.greatest(items) == (max(known) if known else None)
    assert lists.smallest(items) == (min(known) if known else None)


def test_the_greatest_of_dates_as_alike_as_known_is_the_more_precise() -> None:
    vague, exact = Date(2024, 3), Date(2024, 3, 15)

    assert lists.greatest([vague, exact]) == lists.greatest([exact, vague]) == exact
    assert lists.smallest([vague, exact]) == lists.smallest([exact, vague]) == vague


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_division_and_its_remainder_make_the_dividend(left: int, right: int) -> None:
    whole, rest = arithmetic.truncated_divide(left, right), arithmetic.modulo(left, right)

    if right == 0:
        assert whole is rest is None
    elif whole is not None:
        assert whole * right + rest == left


def test_what_an_integer_cannot_hold_is_null() -> None:
    assert arithmetic.add(2**31 - 1, 1) is None
    assert arithmetic.negate(-(2**31)) is None
    assert arithmetic.power(2, 31) is None
    assert arithmetic.divide(Decimal(1), Decimal(0)) is None
    assert arithmetic.divide(Decimal(2), Decimal(3)) == Decimal("0.66666667")


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (DateTime(2024, 3, 1, offset=0), None),
        (DateTime(2024, 3, 1, 10, offset=0), Time(10)),
        (DateTime(2024, 3, 1, 10, 20, offset=0), Time(10, 20)),
        (DateTime(2024, 3, 1, 10, 20, 30, 5, offset=0), Time(10, 20, 30, 5)),
        (Time(10), Time(10)),
    ],
)
def test_the_time_of_a_moment_is_what_is_known_of_it(value: Any, time: Time | None) -> None:
    assert conversion.to_time(value) == time


def test_a_value_becomes_a_list_of_one_and_null_an_empty_one() -> None:
    assert conversion.to_list(1) == [1]
    assert conversion.to_list(None) == []


def test_a_quantity_without_a_unit_is_written_with_that_of_a_number() -> None:
    assert conversion.to_string(Quantity(Decimal("1.5"), None)) == "1.5 '1'"


@pytest.mark.parametrize(
    ("low", "high", "given", "point"),
    [
        (1, None, "Any", "Integer"),
        (None, Decimal(1), "Any", "Decimal"),
        (None, None, "Integer", "Integer"),
        (Date(2024), None, "Any", "Date"),
        (1, 2, "Any", "Integer"),
    ],
)
def test_an_interval_knows_the_type_of_its_points(low: Any, high: Any, given: str, point: str) -> None:
    interval = intervals.made(low, high, True, True, given)

    assert interval is not None
    assert interval.point == point


def test_the_least_quantity_of_an_interval_without_bounds_is_a_number() -> None:
    least = intervals.start(Interval(None, None, True, True, "Quantity"))

    assert (least.value, least.unit) == (arithmetic.least("Decimal"), "1")


def test_a_portion_begins_at_the_first_where_nothing_is_said() -> None:
    assert lists.portion([1, 2, 3], None, 2) == [1, 2]
    assert lists.portion([1, 2, 3], 1, None) == [2, 3]
    assert lists.portion([1, 2, 3], None, None) == [1, 2, 3]
    assert lists.values(None) == []


def test_lists_that_must_be_compared_one_by_one_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_MOST_COMPARED", 10)
    # Each of five is compared with those before it: 1 + 2 + 3 + 4.
    alike = [[number] for number in range(5)]

    assert lists.distinct(alike) == alike
    with pytest.raises(Unanswerable) as refused:
        lists.distinct([*alike, [5]])
    assert str(refused.value) == "lists too long to compare each element with each"


def test_expand_gives_so_many_points_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_MOST", 10)
    points = Interval(1, 10, True, True, "Integer")

    assert series.expanded(points, None) == list(range(1, 11))
    with pytest.raises(Unanswerable) as refused:
        series.expanded(Interval(1, 12, True, True, "Integer"), None)
    assert str(refused.value) == "expand gives too many points"
    assert [each.point for each in series.expanded([points], None) or ()] == ["Integer"] * 10


def test_expand_by_a_quantity_without_a_value_is_unknown() -> None:
    grams = Interval(Quantity(Decimal(1), "g"), Quantity(Decimal(3), "g"), True, True, "Quantity")

    assert series.expanded(grams, Quantity(None, "g")) is None
    assert series.expanded(grams, Quantity(None, "mg")) is None
