"""Expanding intervals into the points or unit intervals they cover.

https://cql.hl7.org/09-b-cqlreference.html#expand
"""

from decimal import Decimal
from typing import Any

from pathways.cql import arithmetic, calendar_steps, units
from pathways.cql.comparison import at_most, greater, less
from pathways.cql.intervals import collapsed, end, start
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import PRECISIONS, OutOfRange, Temporal, truncated
from pathways.cql.values import Interval, Quantity

# A list longer than this is a mistake in the library, and would take the memory of everyone else.
_MOST = 100_000


def expanded(source: Any, per: Quantity | None) -> list[Any] | None:
    """Return unit intervals of a list of intervals, or points of one interval, each `per` apart."""
    if isinstance(source, Interval):
        steps = _steps(source, per)
        return None if steps is None else [low for low, _ in steps]
    known = [interval for interval in source if interval is not None]
    found: list[Any] = []
    # What is joined is joined by points that are in the list; `per` would join it by others.
    for interval in collapsed(known, None):
        for low, high in _steps(interval, per) or ():
            found.append(Interval(low, high, True, True, interval.point))
    return found


def _steps(interval: Interval, per: Quantity | None) -> list[tuple[Any, Any]] | None:
    low, high = start(interval), end(interval)
    if low is None or high is None:
        return None
    if isinstance(low, Temporal):
        return _moments(low, high, per)
    return _numbers(low, high, per)


def _moments(low: Any, high: Any, per: Quantity | None) -> list[tuple[Any, Any]] | None:
    amount = per.value if per is not None else Decimal(1)
    unit = units.calendar_unit(per.unit) if per is not None else low.precision
    count = int(amount or 0) * (7 if unit == "week" else 1)
    if unit is None or count < 1:
        return None
    precision = "day" if unit == "week" else unit
    if PRECISIONS.index(precision) > PRECISIONS.index(low.precision):
        return []
    low, high = truncated(low, precision), truncated(high, precision)
    found: list[tuple[Any, Any]] = []
    try:
        while at_most(low, high):
            last = calendar_steps.moved(low, Decimal(count - 1), precision)
            # A time of day goes round the clock; no step does.
            if greater(last, high) or less(last, low):
                break
            found.append((low, last))
            low = _next(found, arithmetic.successor(last))
    except OutOfRange:
        # The last step reached the end of the calendar, or of the day.
        pass
    return found


def _numbers(low: Any, high: Any, per: Quantity | None) -> list[tuple[Any, Any]] | None:
    if isinstance(low, Quantity):
        if per is None:
            per = Quantity(Decimal(1), low.unit)
        size = None if per.value is None else units.converted(per.value, per.unit, low.unit)
        if size is None:
            return None
        pairs = _numbers(low.value, high.value, Quantity(size))
        return pairs and [(Quantity(a, low.unit), Quantity(b, low.unit)) for a, b in pairs]
    step: Any = per.value if per is not None and per.value is not None else Decimal(1)
    if step <= 0:
        return None
    if step == step.to_integral_value() and isinstance(low, int):
        step = int(step)
    # The points are as precise as the step; a step ends one in its last place before the next begins.
    grain = Decimal(1).scaleb(-arithmetic.precision(step)) if isinstance(step, Decimal) else 1
    if isinstance(low, int) and isinstance(step, Decimal):
        # A whole number as a decimal reaches up to the next one.
        low, high = Decimal(low), Decimal(high) + 1 - grain
    if isinstance(low, Decimal):
        low, high = _cut(low, grain), _cut(high, grain)
    found: list[tuple[Any, Any]] = []
    while low + step - grain <= high:
        found.append((low, low + step - grain))
        low = _next(found, low + step)
    return found


def _cut(value: Decimal, grain: Any) -> Decimal:
    return value.quantize(Decimal(grain), "ROUND_DOWN")


def _next(found: list[Any], after: Any) -> Any:
    if len(found) > _MOST:
        raise Unanswerable("expand gives too many points")
    return after
