"""Conversions between the types of CQL; what does not convert is null.

https://cql.hl7.org/09-b-cqlreference.html#type-operators-1
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pathways.cql import arithmetic, temporal, units
from pathways.cql.temporal import Date, DateTime, OutOfRange, Time
from pathways.cql.values import Code, Concept, Interval, Long, Quantity, Ratio, Tuple, Vocabulary

_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}
_DECIMAL = r"[+-]?\d+(?:\.\d+)?"


def to_boolean(value: Any) -> bool | None:
    """Return the Boolean a word or a number stands for."""
    word = str(value).lower()
    if not isinstance(value, (str, bool)):
        return {0: False, 1: True}.get(value)
    return True if word in _TRUE else False if word in _FALSE else None


def to_integer(value: Any) -> int | None:
    """Return the Integer."""
    if isinstance(value, str):
        return arithmetic.integer(int(value)) if re.fullmatch(r"[+-]?\d+", value, re.ASCII) else None
    return arithmetic.integer(int(value))


def to_long(value: Any) -> Long | None:
    """Return the Long."""
    if isinstance(value, str):
        return arithmetic.long(int(value)) if re.fullmatch(r"[+-]?\d+", value, re.ASCII) else None
    return arithmetic.long(int(value))


def to_decimal(value: Any) -> Decimal | None:
    """Return the Decimal."""
    if isinstance(value, str):
        return arithmetic.number(Decimal(value)) if re.fullmatch(_DECIMAL, value, re.ASCII) else None
    if isinstance(value, bool):
        return Decimal("1.0") if value else Decimal("0.0")
    return arithmetic.number(Decimal(value))


def to_string(value: Any) -> str | None:
    """Return the text of a value, null for a type without one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, DateTime):
        return _datetime_text(value)
    if isinstance(value, (Date, Time)):
        return str(value)
    if isinstance(value, Quantity) and value.value is not None:
        unit = value.unit or "1"
        return f"{value.value:f} {unit}" if unit in units.CALENDAR else f"{value.value:f} '{unit}'"
    if isinstance(value, Ratio):
        return f"{to_string(value.numerator)}:{to_string(value.denominator)}"
    return None


def to_date(value: Any) -> Date | None:
    """Return the Date; of a DateTime, the day in its own offset."""
    if isinstance(value, DateTime):
        return value.date()
    if isinstance(value, Date):
        return value
    try:
        return temporal.parse_date(value.split("T")[0])
    except OutOfRange:
        return None


def to_datetime(value: Any) -> DateTime | None:
    """Return the DateTime; of a Date, that day with its time unknown."""
    if isinstance(value, DateTime):
        return value
    if isinstance(value, Date):
        return DateTime(*value.fields)
    try:
        return temporal.parse_datetime(value)
    except OutOfRange:
        return None


def to_time(value: Any) -> Time | None:
    """Return the Time."""
    if isinstance(value, Time):
        return value
    if isinstance(value, DateTime):
        return Time(*value.fields[3:]) if len(value.fields) > 3 else None
    try:
        return temporal.parse_time(re.sub(r"(Z|[+-]\d{2}:\d{2})$", "", value))
    except OutOfRange:
        return None


def to_quantity(value: Any) -> Quantity | None:
    """Return the Quantity; of text like `5.5 'cm'` or `3 days`."""
    if isinstance(value, Ratio):
        quotient: Quantity | None = arithmetic.divide(value.numerator, value.denominator)
        return quotient
    if not isinstance(value, str):
        return Quantity(Decimal(value))
    match = re.fullmatch(rf"({_DECIMAL})\s*(?:'([^']*)'|([a-z]+))?", value.strip(), re.ASCII)
    if not match or (match[3] and match[3] not in units.CALENDAR):
        return None
    unit = match[2] or match[3] or "1"
    number = arithmetic.number(Decimal(match[1]))
    return Quantity(number, unit) if number is not None and units.known(unit) else None


def to_ratio(value: Any) -> Ratio | None:
    """Return the Ratio of text like `1 'g':2 'L'`."""
    parts = re.split(r":(?=(?:[^']*'[^']*')*[^']*$)", value)
    if len(parts) != 2:
        return None
    numerator, denominator = to_quantity(parts[0]), to_quantity(parts[1])
    return Ratio(numerator, denominator) if numerator and denominator else None


def to_concept(value: Any) -> Concept:
    """Return the Concept of a code, or of several."""
    if isinstance(value, Concept):
        return value
    if isinstance(value, Code):
        return Concept((value,), value.display)
    return Concept(tuple(code for code in value if code is not None))


def to_list(value: Any) -> list[Any]:
    """Return a list of the value, empty of null."""
    return [] if value is None else [value]


def to_chars(value: str) -> list[str]:
    """Return the characters."""
    return list(value)


def convert_quantity(value: Quantity, unit: str) -> Quantity | None:
    """Return the quantity in the unit, null when it does not convert."""
    if value.value is None:
        return None
    number = units.converted(value.value, value.unit, unit)
    return None if number is None else Quantity(arithmetic.number(number), unit)


def can_convert_quantity(value: Quantity, unit: str) -> bool:
    """Return whether the quantity can be expressed in the unit."""
    return units.converted(Decimal(0), value.unit, unit) is not None


_KINDS: dict[str, Callable[[Any], bool]] = {
    "Any": lambda value: value is not None,
    "Boolean": lambda value: isinstance(value, bool),
    "Integer": lambda value: type(value) is int,
    "Long": lambda value: isinstance(value, Long),
    "Decimal": lambda value: isinstance(value, Decimal),
    "String": lambda value: isinstance(value, str),
    "Date": lambda value: isinstance(value, Date),
    "DateTime": lambda value: isinstance(value, DateTime),
    "Time": lambda value: isinstance(value, Time),
    "Quantity": lambda value: isinstance(value, Quantity),
    "Ratio": lambda value: isinstance(value, Ratio),
    "Code": lambda value: isinstance(value, Code),
    "Concept": lambda value: isinstance(value, Concept),
    "Vocabulary": lambda value: isinstance(value, Vocabulary),
    "ValueSet": lambda value: isinstance(value, Vocabulary) and value.kind == "ValueSet",
    "CodeSystem": lambda value: isinstance(value, Vocabulary) and value.kind == "CodeSystem",
    "List": lambda value: isinstance(value, list),
    "Interval": lambda value: isinstance(value, Interval),
    "Tuple": lambda value: isinstance(value, Tuple),
}

CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Long": to_long,
    "Decimal": to_decimal,
    "String": to_string,
    "Date": to_date,
    "DateTime": to_datetime,
    "Time": to_time,
    "Quantity": to_quantity,
    "Ratio": to_ratio,
    "Concept": to_concept,
}


def kind_test(name: str) -> Callable[[Any], bool]:
    """Return the test whether a value is of a System type.

    Raises:
        KeyError: there is no such type.
    """
    return _KINDS[name]


def _datetime_text(value: DateTime) -> str:
    if value.implied and len(value.fields) > 3:
        # Written without an offset, it is read without one.
        return f"{value.date()}T{Time(*value.fields[3:])}"
    text = str(value).removesuffix("T")
    return f"{text[:-1]}+00:00" if text.endswith("Z") else text
