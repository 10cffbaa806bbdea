"""The values of CQL that Python has no type for.

Boolean, Integer, Decimal, String and List are Python's bool, int, Decimal, str and list; null is None.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


class Long(int):
    """A 64-bit integer, kept apart from Integer because CQL's `is` does."""

    __slots__ = ()


class Tuple(dict[str, Any]):
    """A row of named values."""

    __slots__ = ()


class Labelled:
    """A FHIR choice element: its JSON and the FHIR type its key named."""

    __slots__ = ("json", "type")

    def __init__(self, type_: str, json: Any) -> None:
        self.type = type_
        self.json = json


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount with its unit; the unit of a bare number is '1'."""

    value: Decimal | None
    unit: str | None = "1"

    def __str__(self) -> str:
        return f"{self.value} '{self.unit}'"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two quantities over one another."""

    numerator: Quantity | None
    denominator: Quantity | None


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a terminology."""

    code: str | None
    system: str | None = None
    version: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Concept:
    """Codes that mean the same."""

    codes: tuple[Code, ...]
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A code system or value set, by its address; `terminology` knows its content."""

    kind: str
    id: str | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """A whole number known only to lie from low to high, as between imprecise dates."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Points between two bounds; an open null bound is unknown, a closed one the type's own limit.

    `point` names the type of the points ("Integer", "DateTime", ...), which null bounds cannot tell.
    """

    low: Any
    high: Any
    low_closed: bool = True
    high_closed: bool = True
    point: str = "Any"
