"""Parts of dates, and ages.

https://cql.hl7.org/09-b-cqlreference.html#datetime-component-from and #age
"""

from decimal import Decimal
from typing import Any

from pathways.cql import calendar_steps
from pathways.cql.temporal import Date, DateTime, Time
from pathways.cql.values import Uncertainty


def date_from(value: Any) -> Date:
    """Return the day in the value's own offset."""
    return value.date() if isinstance(value, DateTime) else value


def time_from(value: DateTime) -> Time | None:
    """Return the time of day in the value's own offset, null of a whole day."""
    return Time(*value.fields[3:]) if len(value.fields) > 3 else None


def offset_from(value: DateTime) -> Decimal:
    """Return the offset in hours."""
    return Decimal(value.offset) / 60


def age(born: Any, at: Any, precision: str) -> int | Uncertainty:
    """Return how old someone born then is at the time, as a day when either is only that precise."""
    if isinstance(born, Date) and isinstance(at, DateTime):
        at = Date(*at.at_home()[:3])
    if isinstance(born, DateTime) and isinstance(at, Date):
        born = born.date()
    return calendar_steps.duration(born, at, precision)
