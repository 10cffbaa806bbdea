"""Intervals: their bounds, and how two of them, or one and a point, lie to each other.

An open bound without a value is unknown; a closed one is the limit of the type. Everything is told
from `start` and `end`, so that each relation reads as the specification defines it.

https://cql.hl7.org/09-b-cqlreference.html#interval-operators-3
"""

from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from pathways.cql import arithmetic, calendar_steps, units
from pathways.cql.comparison import Truth, at_least, at_most, both, equal, greater, less, opposite, order
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import Date, DateTime, OutOfRange, Temporal, Time, truncated
from pathways.cql.values import Interval, Long, Quantity, Uncertainty


def start(interval: Any) -> Any:
    """Return the least point of the interval; a point is its own."""
    if not isinstance(interval, Interval):
        return interval.low if isinstance(interval, Uncertainty) else interval
    if interval.low_closed:
        return interval.low if interval.low is not None else _limit(interval, arithmetic.least)
    if interval.low is None:
        return None
    try:
        return arithmetic.successor(interval.low)
    except OutOfRange:
        return None


def end(interval: Any) -> Any:
    """Return the greatest point of the interval; a point is its own."""
    if not isinstance(interval, Interval):
        return interval.high if isinstance(interval, Uncertainty) else interval
    if interval.high_closed:
        return interval.high if interval.high is not None else _limit(interval, arithmetic.most)
    if interval.high is None:
        return None
    try:
        return arithmetic.predecessor(interval.high)
    except OutOfRange:
        return None


def made(low: Any, high: Any, low_closed: bool, high_closed: bool, point: str) -> Interval | None:
    """Return the interval between the bounds, or null when it has no point type.

    Raises:
        Unanswerable: the lower bound is after the upper one.
    """
    if low is None and high is None and point == "Any":
        return None
    interval = Interval(low, high, low_closed, high_closed, point_type(low, high) or point)
    if low is not None and high is not None and greater(low, high) is True:
        raise Unanswerable("an interval begins after it ends")
    # Without a point between them, two open bounds are no interval either.
    if not (low_closed and high_closed) and greater(start(interval), end(interval)) is True:
        raise Unanswerable("an interval without any point")
    return interval


def point_type(*values: Any) -> str | None:
    """Return the name of the CQL type of the first value that is not null."""
    for value in values:
        if value is not None:
            for kind in (Long, int, Decimal, Quantity, DateTime, Date, Time, str):
                if isinstance(value, kind):
                    return "Integer" if kind is int else kind.__name__
    return None


def contains(interval: Interval, point: Any, precision: str | None = None) -> Truth:
    """Return whether the point is in the interval."""
    begun = at_most(start(interval), point, precision)
    if begun is False:
        return False
    not_over = at_least(end(interval), point, precision)
    return not_over if begun or not_over is False else None


def properly_contains(interval: Interval, point: Any, precision: str | None = None) -> Truth:
    """Return whether the point is inside the interval, on neither of its bounds."""
    return both((less(start(interval), point, precision), greater(end(interval), point, precision)))


def includes(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the right interval, or point, lies wholly in the left one."""
    return both((at_most(start(left), start(right), precision), at_least(end(left), end(right), precision)))


def properly_includes(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the left interval includes the right one and more."""
    alike = both((_alike(start(left), start(right), precision), _alike(end(left), end(right), precision)))
    return both((includes(left, right, precision), opposite(alike)))


def before(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the left ends before the right begins."""
    return less(end(left), start(right), precision)


def after(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the left begins after the right ends."""
    return greater(start(left), end(right), precision)


def same_or_before(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the left ends when the right begins, or before."""
    return at_most(end(left), start(right), precision)


def same_or_after(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether the left begins when the right ends, or after."""
    return at_least(start(left), end(right), precision)


def same_as(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether both begin and end together."""
    return both((_alike(start(left), start(right), precision), _alike(end(left), end(right), precision)))


def overlaps(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether some point is in both."""
    return both((at_most(start(left), end(right), precision), at_least(end(left), start(right), precision)))


def overlaps_before(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether they overlap and the left begins first."""
    return both((less(start(left), start(right), precision), overlaps(left, right, precision)))


def overlaps_after(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether they overlap and the left ends last."""
    return both((greater(end(left), end(right), precision), overlaps(left, right, precision)))


def starts(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether both begin together and the left ends no later."""
    return both((_alike(start(left), start(right), precision), at_most(end(left), end(right), precision)))


def ends(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether both end together and the left begins no earlier."""
    return both((at_least(start(left), start(right), precision), _alike(end(left), end(right), precision)))


def meets_before(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether the right begins at the point after the left's end."""
    # All of the left lies before all of the right; whether nothing lies between is asked of what adjoins.
    apart = ((start(left), start(right)), (start(left), end(right)), (end(left), end(right)))
    if any(at_least(ours, theirs, precision) for ours, theirs in apart):
        return False
    return _adjoining(end(left), start(right), precision)


def meets_after(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether the left begins at the point after the right's end."""
    return meets_before(right, left, precision)


def meets(left: Interval, right: Interval, precision: str | None = None) -> Truth:
    """Return whether one begins at the point after the other's end."""
    one, other = meets_before(left, right, precision), meets_after(left, right, precision)
    return opposite(both((opposite(one), opposite(other))))


def union(left: Interval, right: Interval) -> Interval | None:
    """Return both as one, or null when a point between them is in neither, or that is not known."""
    if not (overlaps(left, right) or meets(left, right)):
        return None
    left_first = at_most(start(left), start(right))
    left_last = at_least(end(left), end(right))
    if left_first is None or left_last is None:
        return None
    low, high = left if left_first else right, left if left_last else right
    return Interval(low.low, high.high, low.low_closed, high.high_closed, left.point)


def intersect(left: Interval, right: Interval) -> Interval | None:
    """Return what is in both, or null when nothing is."""
    if overlaps(left, right) is False:
        return None
    low, low_closed = _inner(
        left.low, left.low_closed, start(left), right.low, right.low_closed, start(right), at_least
    )
    high, high_closed = _inner(
        left.high, left.high_closed, end(left), right.high, right.high_closed, end(right), at_most
    )
    return Interval(low, high, low_closed, high_closed, left.point)


def difference(left: Interval, right: Interval) -> Interval | None:
    """Return what is in the left only, or null when that is nothing, or two pieces."""
    if overlaps(left, right) is False:
        return left
    begins_first, ends_last = less(start(left), start(right)), greater(end(left), end(right))
    if begins_first is True and ends_last is False:
        return Interval(left.low, arithmetic.predecessor(start(right)), left.low_closed, True, left.point)
    if ends_last is True and begins_first is False:
        return Interval(arithmetic.successor(end(right)), left.high, True, left.high_closed, left.point)
    return None


def width(interval: Interval) -> Any:
    """Return the distance from the least to the greatest point.

    Raises:
        Unanswerable: the points are dates or times, whose distance needs a unit.
    """
    low, high = start(interval), end(interval)
    if isinstance(low or high, Temporal):
        raise Unanswerable("the width of an interval of dates needs a unit")
    return None if low is None or high is None else arithmetic.subtract(high, low)


def size(interval: Interval) -> Any:
    """Return how many points the interval holds, counted in the step of its type."""
    distance = width(interval)
    if distance is None:
        return None
    if isinstance(distance, Quantity):
        return arithmetic.add(distance, Quantity(_step(distance.value), distance.unit))
    return arithmetic.add(distance, _step(distance))


def point_from(interval: Interval) -> Any:
    """Return the only point of the interval.

    Raises:
        Unanswerable: it has more than one.
    """
    if equal(start(interval), end(interval)) is not True:
        raise Unanswerable("an interval holds more than one point")
    return start(interval)


def collapsed(intervals: list[Any], per: Quantity | None) -> list[Interval]:
    """Return the fewest intervals that hold the same points, in order.

    With `per`, intervals no further apart than it are joined too.
    """
    known = [interval for interval in intervals if interval is not None]
    known.sort(key=cmp_to_key(lambda left, right: order(start(left), start(right)) or 0))
    joined: list[Interval] = []
    for interval in known:
        if joined and _joins(joined[-1], interval, per):
            last = joined[-1]
            high = last if at_least(end(last), end(interval)) else interval
            joined[-1] = Interval(last.low, high.high, last.low_closed, high.high_closed, last.point)
        else:
            joined.append(interval)
    return joined


def _joins(last: Interval, interval: Interval, per: Quantity | None) -> bool:
    if overlaps(last, interval) or meets(last, interval):
        return True
    if per is None or not per.value:
        return False
    if not isinstance(end(last), Temporal):
        by = per if isinstance(end(last), Quantity) else per.value
        return bool(at_least(arithmetic.add(end(last), by), start(interval)))
    unit, value = units.calendar_unit(per.unit), per.value
    if unit == "week":
        unit, value = "day", value * 7
    if unit is None:
        return False
    reach = calendar_steps.moved(truncated(end(last), unit), value, unit)
    return bool(at_least(reach, truncated(start(interval), unit)))


def _limit(interval: Interval, of: Any) -> Any:
    if interval.point == "Quantity":
        other = interval.high if interval.low is None else interval.low
        return Quantity(of("Quantity").value, other.unit if other is not None else "1")
    return of(interval.point)


def _alike(left: Any, right: Any, precision: str | None) -> Truth:
    answer = order(left, right, precision)
    return None if answer is None else answer == 0


def _adjoining(last: Any, first: Any, precision: str | None) -> Truth:
    if last is None or first is None:
        return None
    if precision is not None:
        last = truncated(last, precision)
    try:
        return _alike(arithmetic.successor(last), first, precision)
    except OutOfRange:
        return False


def _inner(
    one: Any,
    one_closed: bool,
    one_point: Any,
    other: Any,
    other_closed: bool,
    other_point: Any,
    further_in: Any,
) -> tuple[Any, bool]:
    # Where one bound is unknown the intersection's is too, unless the known one already decides nothing.
    answer = further_in(one_point, other_point)
    if answer is None:
        return None, False
    return (one, one_closed) if answer else (other, other_closed)


def _step(value: Any) -> Any:
    return Decimal("0.00000001") if isinstance(value, Decimal) else 1
