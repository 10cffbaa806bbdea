"""Quantities as numbers that can be compared, whatever their unit.

http://hl7.org/fhir/R4/search.html#quantity
"""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from pathways.cql import units
from service.store.indexing.rows import Number
from service.store.indexing.shortening import shortened

UCUM = "http://unitsofmeasure.org"
CURRENCY = "urn:iso:std:iso:4217"

#: Both sides of a comparison are converted to so many digits, so that what is the same stays the same.
_DIGITS = Context(prec=20)

Json = Mapping[str, Any]


def decimal(value: object) -> Decimal | None:
    """Return a JSON number as a decimal; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(value) if isinstance(value, int | Decimal) else Decimal(str(value))


def based(system: str, code: str) -> tuple[str, Decimal]:
    """Return the name of the base units of a unit, and by what its values are multiplied.

    What is no unit of UCUM, or one that cannot be read, is compared with the same code alone.
    """
    if not code:
        return "", Decimal(1)
    read = _ucum(code) if system == UCUM else None
    return read or (shortened(f"{system}|{code}"), Decimal(1))


def in_base(value: Decimal | None, factor: Decimal) -> Decimal | None:
    """Return the value in base units."""
    return value if value is None or factor == 1 else _DIGITS.multiply(value, factor)


def number(name: str, part: int, value: Json) -> Number | None:
    """Return the row of a Quantity or Money; None: it has no value."""
    size = decimal(value.get("value"))
    if size is None:
        return None
    low: Decimal | None = size
    high: Decimal | None = size
    match value.get("comparator"):
        case "<" | "<=":
            low = None
        case ">" | ">=":
            high = None
    currency = value.get("currency")
    system, code = (CURRENCY, currency) if currency else (value.get("system") or "", value.get("code") or "")
    return between(name, part, low, high, system=system, code=code, unit=value.get("unit") or "")


def of_range(name: str, part: int, value: Json) -> Number | None:
    """Return the row of a Range."""
    low, high = value.get("low") or {}, value.get("high") or {}
    units_ = low or high
    ends = decimal(low.get("value")), decimal(high.get("value"))
    if ends == (None, None):
        return None
    return between(
        name,
        part,
        *ends,
        system=units_.get("system") or "",
        code=units_.get("code") or "",
        unit=units_.get("unit") or "",
    )


def of_samples(name: str, part: int, value: Json) -> Number | None:
    """Return the row of SampledData: from the lowest of its points to the highest."""
    origin = value.get("origin") or {}
    zero, factor = decimal(origin.get("value")), decimal(value.get("factor", 1))
    points = [point for word in str(value.get("data") or "").split() if (point := _point(word)) is not None]
    if zero is None or factor is None or not points:
        return None
    ends = sorted(zero + factor * point for point in (min(points), max(points)))
    return between(
        name,
        part,
        *ends,
        system=origin.get("system") or "",
        code=origin.get("code") or "",
        unit=origin.get("unit") or "",
    )


def between(
    name: str, part: int, low: Decimal | None, high: Decimal | None, *, system: str, code: str, unit: str
) -> Number:
    """Return the row of what lies between two numbers; None: without end."""
    base, factor = based(system, code)
    return Number(name, part, low, high, base, in_base(low, factor), in_base(high, factor), code, unit)


@lru_cache(maxsize=1024)
def _ucum(code: str) -> tuple[str, Decimal] | None:
    read = units.canonical(code)
    if read is None:
        return None
    factor, name = read
    return name, _DIGITS.divide(Decimal(factor.numerator), Decimal(factor.denominator))


def _point(word: str) -> Decimal | None:
    try:
        found = Decimal(word)
    except InvalidOperation:
        # E, L and U stand for points that could not be measured.
        return None
    return found if found.is_finite() else None
