"""The rows by which a version is found, one kind for each table.

http://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec


class Value(NamedTuple):
    """A token, a reference or a uri."""

    name: str
    #: of a token; empty for a plain code, a reference and a uri
    system: str
    value: str
    #: which one of a repeating element it stands in, from 1; 0: in the resource itself
    part: int = 0


class Text(NamedTuple):
    """A string."""

    name: str
    part: int
    #: without case, accents and double blanks
    folded: str
    written: str


class Span(NamedTuple):
    """A date, as the time that it may mean; None: without end on that side."""

    name: str
    part: int
    #: the first moment
    low: datetime | None
    #: the first moment after it
    high: datetime | None


class Number(NamedTuple):
    """A number or a quantity; None: without end on that side."""

    name: str
    part: int
    low: Decimal | None
    high: Decimal | None
    #: the base units in which quantities of one kind are compared, or which of two numbers of a place it is;
    #: empty: a number without unit
    base: str
    base_low: Decimal | None
    base_high: Decimal | None
    #: the unit as it was stated: its code, and how it is written for people
    code: str
    unit: str


class Rows(msgspec.Struct):
    """Everything one version is found by, each row once."""

    #: `Patient/id` of whom it is about, which is a column of the resource and needs no row
    about: str | None = None
    values: dict[Value, None] = msgspec.field(default_factory=dict)
    texts: dict[Text, None] = msgspec.field(default_factory=dict)
    spans: dict[Span, None] = msgspec.field(default_factory=dict)
    numbers: dict[Number, None] = msgspec.field(default_factory=dict)
    #: the words of the narrative, as the text of a tsvector; None: it has none
    narrative: str | None = None

    def add_values(self, values: Iterable[Value]) -> None:
        """Add values that are not parameters of the search."""
        self.values |= dict.fromkeys(values)
