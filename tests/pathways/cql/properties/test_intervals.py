"""Interval algebra against a model: an interval of Integers is the set of its points.

An open null bound is unknown, so an interval with one stands for many sets. An answer must be that of all of
them; where they disagree it must be unknown. Over days, the same algebra must give the same answers.
"""

import operator
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathways.cql import Date, Interval, Quantity, intervals, series

# Every set is of points between these; unknown bounds are tried up to a little beyond.
LOW, HIGH = 0, 8
BEYOND = 2
FIRST = date(2024, 2, 25)

Points = frozenset[int]


@st.composite
def known(draw: st.DrawFn) -> Interval:
    """Draw an interval with known bounds and at least one point."""
    low = draw(st.integers(LOW, HIGH))
    high = draw(st.integers(low, HIGH))
    low_closed, high_closed = draw(st.booleans()), draw(st.booleans())
    return Interval(
        low if low_closed else low - 1, high if high_closed else high + 1, low_closed, high_closed, "Integer"
    )


@st.composite
def vague(draw: st.DrawFn) -> Interval:
    """Draw an interval that may have an unknown bound."""
    interval = draw(known())
    if draw(st.booleans()):
        return Interval(None, interval.high, False, interval.high_closed, "Integer")
    return Interval(interval.low, None, interval.low_closed, False, "Integer")


def points(interval: Interval) -> Points:
    return frozenset(range(intervals.start(interval), intervals.end(interval) + 1))


def completions(interval: Interval) -> list[Points]:
    """Return every set that an interval may stand for."""
    low, high = intervals.start(interval), intervals.end(interval)
    lows = [low] if low is not None else range(LOW - BEYOND, high + 1)
    highs = [high] if high is not None else range(low, HIGH + BEYOND + 1)
    return [frozenset(range(first, last + 1)) for first in lows for last in highs if first <= last]


def days(interval: Interval) -> Interval:
    """Return the interval with each number as a day."""
    low, high = (None if bound is None else day(bound) for bound in (interval.low, interval.high))
    return Interval(low, high, interval.low_closed, interval.high_closed, "Date")


def day(number: int) -> Date:
    on = FIRST + timedelta(days=number)
    return Date(on.year, on.month, on.day)


RELATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Points, Points], bool]]] = {
    "includes": (intervals.includes, operator.ge),
    "properly includes": (intervals.properly_includes, operator.gt),
    "before": (intervals.before, lambda ours, theirs: max(ours) < min(theirs)),
    "after": (intervals.after, lambda ours, theirs: min(ours) > max(theirs)),
    "meets before": (intervals.meets_before, lambda ours, theirs: max(ours) + 1 == min(theirs)),
    "meets after": (intervals.meets_after, lambda ours, theirs: max(theirs) + 1 == min(ours)),
    "meets": (
        intervals.meets,
        lambda ours, theirs: max(ours) + 1 == min(theirs) or max(theirs) + 1 == min(ours),
    ),
    "overlaps": (intervals.overlaps, lambda ours, theirs: bool(ours & theirs)),
    "overlaps before": (
        intervals.overlaps_before,
        lambda ours, theirs: min(ours) < min(theirs) and bool(ours & theirs),
    ),
    "overlaps after": (
        intervals.overlaps_after,
        lambda ours, theirs: max(ours) > max(theirs) and bool(ours & theirs),
    ),
    "starts": (intervals.starts, lambda ours, theirs: min(ours) == min(theirs) and max(ours) <= max(theirs)),
    "ends": (intervals.ends, lambda ours, theirs: max(ours) == max(theirs) and min(ours) >= min(theirs)),
    "same as": (intervals.same_as, operator.eq),
    "same or before": (intervals.same_or_before, lambda ours, theirs: max(ours) <= min(theirs)),
    "same or after": (intervals.same_or_after, lambda ours, theirs: min(ours) >= max(theirs)),
}


@pytest.mark.parametrize("name", RELATIONS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(left=known(), right=known())
def test_a_relation_of_known_intervals_is_that_of_their_points(
    name: str, left: Interval, right: Interval
) -> None:
    ours, model = RELATIONS[name]

    assert ours(left, right) is model(points(left), points(right))
    assert ours(days(left), days(right)) is model(points(left), points(right))


@pytest.mark.parametrize("name", RELATIONS)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(left=vague(), right=st.one_of(known(), vague()))
def test_a_relation_with_an_unknown_bound_never_says_more_than_is_known(
    name: str, left: Interval, right: Interval
) -> None:
    ours, model = RELATIONS[name]
    possible = {model(one, other) for one in completions(left) for other in completions(right)}

    for answer in (ours(left, right), ours(days(left), days(right))):
        assert answer is None or possible == {answer}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(interval=st.one_of(known(), vague()), point=st.integers(LOW - BEYOND, HIGH + BEYOND))
def test_a_point_is_in_an_interval_as_in_each_set_it_may_be(interval: Interval, point: int) -> None:
    possible = {point in each for each in completions(interval)}
    found = intervals.contains(interval, point)

    assert found is intervals.contains(days(interval), day(point))
    # At its known bound a point is in whatever the interval may be, which CQL does not conclude.
    assert found is None or possible == {found}
    assert found is not None or possible != {False}
    assert found is not None or None in (interval.low, interval.high)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(left=known(), right=known())
def test_sets_of_two_intervals_are_those_of_their_points(left: Interval, right: Interval) -> None:
    ours, theirs = points(left), points(right)
    expected = {
        intervals.union: ours | theirs
        if max(ours) + 1 >= min(theirs) and max(theirs) + 1 >= min(ours)
        else None,
        intervals.intersect: ours & theirs or None,
        intervals.difference: _one_piece(ours - theirs),
    }

    for of, wanted in expected.items():
        found = of(left, right)
        assert (None if found is None else points(found)) == wanted


def _one_piece(found: Points) -> Points | None:
    """Return the points if they are an interval."""
    return found if found and len(found) == max(found) - min(found) + 1 else None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(known(), max_size=5))
def test_collapsed_intervals_hold_the_same_points_and_do_not_touch(given_: list[Interval]) -> None:
    found = intervals.collapsed(given_, None)

    assert frozenset().union(*map(points, found)) == frozenset().union(*map(points, given_))
    assert all(max(points(one)) + 1 < min(points(other)) for one, other in pairwise(found))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(known(), st.integers(1, 4))
def test_an_expanded_interval_is_its_points_in_steps(interval: Interval, per: int) -> None:
    expanded = series.expanded(interval, Quantity(Decimal(per)))
    first, last = min(points(interval)), max(points(interval))

    assert expanded == [number for number in range(first, last + 1, per) if number + per - 1 <= last]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(known())
def test_the_measures_of_an_interval_are_those_of_its_points(interval: Interval) -> None:
    held = points(interval)

    assert intervals.width(interval) == max(held) - min(held)
    assert intervals.size(interval) == len(held)
    assert (intervals.start(interval), intervals.end(interval)) == (min(held), max(held))
    assert intervals.start(days(interval)) == day(min(held))
    assert intervals.end(days(interval)) == day(max(held))
    if len(held) == 1:
        assert intervals.point_from(interval) == min(held)
