"""Moving along the calendar and counting the steps between two points of it.

https://cql.hl7.org/09-b-cqlreference.html#add-1 and #difference, #duration
"""

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pathways.cql.temporal import HOME, PRECISIONS, DateTime, OutOfRange, Temporal, Time, milliseconds
from pathways.cql.values import Uncertainty

_MS = {
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}
# How many of a unit make one of the next coarser, for values that are not precise enough to take it.
_COARSER = {"month": 12, "day": 30, "hour": 24, "minute": 60, "second": 60, "millisecond": 1000}
_DAYS_A_YEAR = 365


def moved(value: Any, amount: Decimal, unit: str) -> Any:
    """Return the value moved by an amount of a unit ("year" to "millisecond", or "week").

    A value that is not precise enough for the unit moves by the whole coarser units in the amount.

    Raises:
        OutOfRange: the result is not in the years 1 to 9999.
    """
    if unit == "week":
        amount, unit = amount * 7, "day"
    if unit == "second" and value.first + len(value.fields) == len(PRECISIONS):
        amount, unit = amount * 1000, "millisecond"
    steps = int(amount)
    finest = value.first + len(value.fields) - 1
    while PRECISIONS.index(unit) > finest:
        if unit == "day" and finest == 0:
            steps, unit = _toward_zero(steps, _DAYS_A_YEAR), "year"
            break
        steps = _toward_zero(steps, _COARSER[unit])
        unit = PRECISIONS[PRECISIONS.index(unit) - 1]
    if isinstance(value, Time):
        return _moved_time(value, steps, unit)
    if unit in ("year", "month"):
        return _moved_months(value, steps * (12 if unit == "year" else 1))
    return _moved_exactly(value, steps * _MS[unit])


def difference(left: Any, right: Any, precision: str) -> int | Uncertainty:
    """Return how many boundaries of the precision lie between the two, negative when right is earlier."""
    return _uncertain(left, right, precision, _boundaries)


def duration(left: Any, right: Any, precision: str) -> int | Uncertainty:
    """Return how many whole periods of the precision fit between the two."""
    return _uncertain(left, right, precision, _periods)


def _uncertain(
    left: Any, right: Any, precision: str, count: Callable[[Any, Any, str], int]
) -> int | Uncertainty:
    left, right = _same_offset(left), _same_offset(right)
    asked = PRECISIONS.index("day" if precision == "week" else precision)
    if count is _periods:
        # Whether a year or month is over depends on the day; a day or less is counted from its start.
        asked = max(asked, 2)
    needed = min(asked - left.first + 1, left.finest - left.first)
    if len(left.fields) >= needed <= len(right.fields):
        return count(left.lowest(), right.lowest(), precision)
    low = count(_latest(left, needed), right.lowest(), precision)
    high = count(left.lowest(), _latest(right, needed), precision)
    return low if low == high else Uncertainty(low, high)


def _latest(value: Temporal, needed: int) -> Temporal:
    if len(value.fields) >= needed:
        return value.lowest()
    return value.with_fields(value.highest().fields[:needed]).lowest()


def _same_offset(value: Temporal) -> Temporal:
    if isinstance(value, DateTime) and value.offset != HOME.get():
        return value.read_at_home()
    return value


def _boundaries(left: Temporal, right: Temporal, precision: str) -> int:
    ours, theirs = left.fields, right.fields
    if precision == "year":
        return theirs[0] - ours[0]
    if precision == "month":
        return (theirs[0] - ours[0]) * 12 + theirs[1] - ours[1]
    # Day 0 of the count is a Sunday, on which a week begins.
    size = _MS[precision]
    return milliseconds(right) // size - milliseconds(left) // size


def _periods(left: Temporal, right: Temporal, precision: str) -> int:
    if precision not in ("year", "month"):
        return _toward_zero(milliseconds(right) - milliseconds(left), _MS[precision])
    if left.fields > right.fields:
        return -_periods(right, left, precision)
    months = _boundaries(left, right, "month")
    # The last month is not over until its day and time are reached; a month too short for the day ends it.
    if _moved_months(left, months).fields > right.fields:
        months -= 1
    return months if precision == "month" else months // 12


def _moved_months(value: Any, months: int) -> Any:
    fields = value.fields
    if len(fields) == 1:
        return value.with_fields((fields[0] + _toward_zero(months, 12),))
    total = fields[0] * 12 + fields[1] - 1 + months
    year, month = total // 12, total % 12 + 1
    if len(fields) == 2:
        return value.with_fields((year, month))
    day = min(fields[2], calendar.monthrange(year, month)[1])
    return value.with_fields((year, month, day, *fields[3:]))


def _moved_exactly(value: Any, ms: int) -> Any:
    year, month, day, *time = value.fields
    hour, minute, second, fraction = [*time, 0, 0, 0, 0][:4]
    try:
        start = datetime(year, month, day, hour, minute, second, fraction * 1000)  # noqa: DTZ001
        end = start + timedelta(milliseconds=ms)
    except OverflowError:
        raise OutOfRange("year") from None
    fields = (end.year, end.month, end.day, end.hour, end.minute, end.second, end.microsecond // 1000)
    return value.with_fields(fields[: len(value.fields)])


def _moved_time(value: Time, steps: int, unit: str) -> Time:
    ms = milliseconds(value.lowest()) + steps * _MS[unit]
    # A time of day goes round the clock.
    seconds, fraction = divmod(ms % 86_400_000, 1000)
    minutes, second = divmod(seconds, 60)
    return Time(*(minutes // 60, minutes % 60, second, fraction)[: len(value.fields)])


def _toward_zero(amount: int, size: int) -> int:
    return amount // size if amount >= 0 else -(-amount // size)
