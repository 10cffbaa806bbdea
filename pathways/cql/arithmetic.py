"""Numbers, quantities, and moving along a type's points.

A result that cannot be represented is null, as CQL has it; only an argument that makes no sense raises.

https://cql.hl7.org/09-b-cqlreference.html#arithmetic-operators-4
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, InvalidOperation, Overflow
from typing import Any

from pathways.cql import calendar_steps, units
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import Date, DateTime, OutOfRange, Temporal, Time
from pathways.cql.values import Long, Quantity, Uncertainty

# Wide enough that a product of two decimals is exact before it is cut to CQL's eight places.
_WIDE = Context(prec=80)
_STEP = Decimal("0.00000001")
_MOST_DECIMAL = Decimal("99999999999999999999.99999999")
_MOST_DIGITS = 8
_MOST_INTEGER = 2**31 - 1
_MOST_LONG = 2**63 - 1


def integer(value: int) -> int | None:
    """Return the value when an Integer can hold it."""
    return value if -_MOST_INTEGER - 1 <= value <= _MOST_INTEGER else None


def long(value: int) -> Long | None:
    """Return the value as a Long when one can hold it."""
    return Long(value) if -_MOST_LONG - 1 <= value <= _MOST_LONG else None


def number(value: Decimal) -> Decimal | None:
    """Return the value cut to eight places, when a Decimal can hold it."""
    if not value.is_finite() or abs(value) > _MOST_DECIMAL:
        return None
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        value = value.quantize(_STEP, ROUND_HALF_UP, _WIDE)
    return value


def add(left: Any, right: Any) -> Any:
    """Return the sum; of a date and a quantity, the date moved."""
    if isinstance(left, Temporal):
        return _moved(left, right, 1)
    return _linear(left, right, minus=False)


def subtract(left: Any, right: Any) -> Any:
    """Return the difference; of a date and a quantity, the date moved back."""
    if isinstance(left, Temporal):
        return _moved(left, right, -1)
    return _linear(left, right, minus=True)


def multiply(left: Any, right: Any) -> Any:
    """Return the product, with the product of the units."""
    if isinstance(left, Quantity) or isinstance(right, Quantity):
        ours, theirs = _quantity(left), _quantity(right)
        times, unit = units.product(ours.unit, theirs.unit)
        return _quantity_of(_WIDE.multiply(_value(ours), _value(theirs)), times, unit)
    return _spread_out(left, right, lambda a, b: a * b, _WIDE.multiply)


def divide(left: Any, right: Any) -> Any:
    """Return the quotient, with the quotient of the units; null over zero."""
    if isinstance(left, Quantity) or isinstance(right, Quantity):
        ours, theirs = _quantity(left), _quantity(right)
        if not _value(theirs):
            return None
        times, unit = units.quotient(ours.unit, theirs.unit)
        return _quantity_of(_WIDE.divide(_value(ours), _value(theirs)), times, unit)
    return number(_WIDE.divide(Decimal(left), Decimal(right))) if right else None


def truncated_divide(left: Any, right: Any) -> Any:
    """Return the quotient without its fraction."""
    if isinstance(left, Quantity):
        return _by_value(left, right, truncated_divide)
    if not right:
        return None
    if isinstance(left, Uncertainty) and isinstance(right, int):
        # Dividing by a whole number keeps or turns the order of the ends.
        low, high = sorted((truncated_divide(left.low, right), truncated_divide(left.high, right)))
        return Uncertainty(low, high)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return number(Decimal(int(_WIDE.divide(Decimal(left), Decimal(right)))))
    whole = abs(left) // abs(right)
    return _sized(-whole if (left < 0) != (right < 0) else whole, left, right)


def modulo(left: Any, right: Any) -> Any:
    """Return what a truncated division leaves, with the sign of the dividend."""
    if isinstance(left, Quantity):
        return _by_value(left, right, modulo)
    if not right:
        return None
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return number(_WIDE.remainder(Decimal(left), Decimal(right)))
    whole = abs(left) % abs(right)
    return _sized(whole if left >= 0 else -whole, left, right)


def power(left: Any, right: Any) -> Any:
    """Return left to the power of right."""
    if isinstance(left, int) and isinstance(right, int):
        if right >= 0:
            if abs(left) > 1 and right > 64:
                return None
            return _sized(left**right, left, right)
        left = Decimal(left)
    try:
        return number(_WIDE.power(Decimal(left), Decimal(right)))
    except (InvalidOperation, Overflow):
        return None


def negate(value: Any) -> Any:
    """Return the value with the other sign."""
    if isinstance(value, Quantity):
        return Quantity(-_value(value), value.unit)
    if isinstance(value, Uncertainty):
        return Uncertainty(-value.high, -value.low)
    return -value if isinstance(value, Decimal) else _sized(-value, value)


def absolute(value: Any) -> Any:
    """Return the value without its sign."""
    if isinstance(value, Quantity):
        return Quantity(abs(_value(value)), value.unit)
    if isinstance(value, Uncertainty):
        ends = sorted((abs(value.low), abs(value.high)))
        return Uncertainty(0 if value.low <= 0 <= value.high else ends[0], ends[1])
    return abs(value) if isinstance(value, Decimal) else _sized(abs(value), value)


def ceiling(value: Any) -> int | None:
    """Return the least Integer that is not below the value."""
    return integer(int(Decimal(value).to_integral_value(ROUND_CEILING)))


def floor(value: Any) -> int | None:
    """Return the greatest Integer that is not above the value."""
    return integer(int(Decimal(value).to_integral_value(ROUND_FLOOR)))


def truncate(value: Any) -> int | None:
    """Return the Integer left when the fraction is dropped."""
    return integer(int(value))


def rounded(value: Any, places: int | None = None) -> Decimal | None:
    """Return the value to so many places, a half going away from zero."""
    return number(Decimal(value).quantize(Decimal(1).scaleb(-(places or 0)), ROUND_HALF_UP, _WIDE))


def ln(value: Any) -> Decimal | None:
    """Return the natural logarithm, null of a negative value.

    Raises:
        Unanswerable: the value is zero.
    """
    if value == 0:
        raise Unanswerable("the logarithm of zero")
    return number(_WIDE.ln(Decimal(value))) if value > 0 else None


def log(value: Any, base: Any) -> Decimal | None:
    """Return the logarithm to the base, null where there is none."""
    if value <= 0 or base <= 0 or base == 1:
        return None
    return number(_WIDE.divide(_WIDE.ln(Decimal(value)), _WIDE.ln(Decimal(base))))


def exp(value: Any) -> Decimal | None:
    """Return e to the value.

    Raises:
        Unanswerable: no Decimal holds it.
    """
    if value > 100:
        raise Unanswerable("an exponential out of range")
    return number(_WIDE.exp(Decimal(value)))


def least(point: str) -> Any:
    """Return the least value of a type."""
    return _limits(point, "least")[0]


def most(point: str) -> Any:
    """Return the greatest value of a type."""
    return _limits(point, "most")[1]


def successor(value: Any) -> Any:
    """Return the next value of the type, at the precision of a date.

    Raises:
        OutOfRange: there is none.
    """
    return _stepped(value, 1)


def predecessor(value: Any) -> Any:
    """Return the value before, at the precision of a date.

    Raises:
        OutOfRange: there is none.
    """
    return _stepped(value, -1)


def low_boundary(value: Any, digits: int | None) -> Any:
    """Return the least value the given one may be, to so many digits."""
    return _boundary(value, digits, up=False)


def high_boundary(value: Any, digits: int | None) -> Any:
    """Return the greatest value the given one may be, to so many digits."""
    return _boundary(value, digits, up=True)


def precision(value: Any) -> int:
    """Return how many digits say how precise the value is."""
    if isinstance(value, Temporal):
        digits = (4, 6, 8, 10, 12, 14, 17) if value.first == 0 else (2, 4, 6, 9)
        return digits[len(value.fields) - 1]
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _linear(left: Any, right: Any, *, minus: bool) -> Any:
    if isinstance(left, Quantity):
        value, unit = _value(left), left.unit
        theirs = units.converted(_value(right), right.unit, unit)
        if theirs is None:
            return None
        result = number(_WIDE.subtract(value, theirs) if minus else _WIDE.add(value, theirs))
        return None if result is None else Quantity(result, unit)
    if minus:
        return _spread_out(left, right, lambda a, b: a - b, _WIDE.subtract)
    return _spread_out(left, right, lambda a, b: a + b, _WIDE.add)


def _spread_out(
    left: Any, right: Any, whole: Callable[[int, int], int], exact: Callable[[Decimal, Decimal], Decimal]
) -> Any:
    if isinstance(left, Uncertainty) or isinstance(right, Uncertainty):
        ours = (left.low, left.high) if isinstance(left, Uncertainty) else (left, left)
        theirs = (right.low, right.high) if isinstance(right, Uncertainty) else (right, right)
        ends = [whole(a, b) for a in ours for b in theirs]
        return Uncertainty(min(ends), max(ends))
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return number(exact(Decimal(left), Decimal(right)))
    return _sized(whole(left, right), left, right)


def _sized(value: int, *of: Any) -> int | None:
    return long(value) if any(isinstance(each, Long) for each in of) else integer(value)


def _value(quantity: Quantity) -> Decimal:
    if quantity.value is None:
        raise Unanswerable("a quantity has no value")
    return quantity.value


def _quantity(value: Any) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(Decimal(value))


def _quantity_of(value: Decimal, times: Any, unit: str) -> Quantity | None:
    result = number(_WIDE.divide(_WIDE.multiply(value, Decimal(times.numerator)), Decimal(times.denominator)))
    return None if result is None else Quantity(result, unit)


def _by_value(left: Quantity, right: Any, of: Callable[[Any, Any], Any]) -> Quantity | None:
    right = _quantity(right)
    theirs = units.converted(_value(right), right.unit, left.unit) if right.unit != "1" else right.value
    result = of(_value(left), theirs)
    return None if result is None else Quantity(result, left.unit)


def _moved(value: Temporal, by: Quantity, sign: int) -> Any:
    unit = units.calendar_unit(by.unit)
    if unit is None:
        raise Unanswerable("a date moves by a duration only")
    return calendar_steps.moved(value, sign * _value(by), unit)


def _limits(point: str, name: str) -> tuple[Any, Any]:
    limits = _LIMITS.get(point)
    if limits is None:
        raise Unanswerable(f"{point} has no {name} value")
    return limits


_LIMITS: dict[str, tuple[Any, Any]] = {
    "Integer": (-_MOST_INTEGER - 1, _MOST_INTEGER),
    "Long": (Long(-_MOST_LONG - 1), Long(_MOST_LONG)),
    "Decimal": (-_MOST_DECIMAL, _MOST_DECIMAL),
    "Quantity": (Quantity(-_MOST_DECIMAL), Quantity(_MOST_DECIMAL)),
    "Date": (Date(1, 1, 1), Date(9999, 12, 31)),
    "DateTime": (DateTime(1, 1, 1, 0, 0, 0, 0, offset=0), DateTime(9999, 12, 31, 23, 59, 59, 999, offset=0)),
    "Time": (Time(0, 0, 0, 0), Time(23, 59, 59, 999)),
}


def _stepped(value: Any, step: int) -> Any:
    if isinstance(value, Quantity):
        return Quantity(_stepped(_value(value), step), value.unit)
    if isinstance(value, Temporal):
        moved = calendar_steps.moved(value, Decimal(step), value.precision)
        if isinstance(value, Time) and (moved.fields > value.fields) != (step > 0):
            raise OutOfRange("a time of day has its end")
        return moved
    result: Any
    if isinstance(value, Decimal):
        result = number(_WIDE.add(value, step * _STEP))
    else:
        result = _sized(value + step, value)
    if result is None:
        raise OutOfRange("no further value")
    return result


def _boundary(value: Any, digits: int | None, *, up: bool) -> Any:
    if isinstance(value, Temporal):
        counts = {Date: (4, 6, 8), DateTime: (4, 6, 8, 10, 12, 14, 17), Time: (2, 4, 6, 9)}[type(value)]
        if digits is None:
            digits = counts[-1]
        if digits not in counts:
            return None
        full = value.highest() if up else value.lowest()
        return full.with_fields(full.fields[: counts.index(digits) + 1])
    if isinstance(value, Quantity):
        ends = _boundary(_value(value), digits, up=up)
        return None if ends is None else Quantity(ends, value.unit)
    digits = _MOST_DIGITS if digits is None else digits
    if not 0 <= digits <= _MOST_DIGITS:
        return None
    value = Decimal(value)
    step = Decimal(1).scaleb(-digits)
    if digits < precision(value):
        return number(value.quantize(step, ROUND_CEILING if up else ROUND_FLOOR, _WIDE))
    if up == (value < 0):
        return value.quantize(step, context=_WIDE)
    # 1.58 stands for what starts with 1.58: up to, not including, 1.59. So does -1.58, away from zero.
    beyond = Decimal(1).scaleb(-precision(value)) - step
    return value.quantize(step, context=_WIDE) + (-beyond if value < 0 else beyond)
