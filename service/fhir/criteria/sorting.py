"""The order of what is found.

Of several values of one resource the least counts, and the greatest where it is turned round. What has none
comes last. What is equal stays in the order of creation.

http://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.conditions import parameters_of
from service.fhir.criteria.references import by_column, only_by_column
from service.fhir.refusals import Issue, NotExchanged
from service.store import search_index
from service.store.finding import Order
from service.store.indexing.rows import Rows
from service.store.resources import Stored

#: each costs a look-up for every resource that is found
MOST = 3

_COLUMNS = {
    "search_value": ("value", "value"),
    "search_text": ("folded", "folded"),
    "search_date": ("low", "high"),
    "search_number": ("base_low", "base_high"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """One parameter by which is sorted."""

    asked: Asked
    descending: bool

    @property
    def order(self) -> Order:
        """Return it as the store sorts."""
        return Order(
            expression=self._expression, values=self._values, descending=self.descending, kind=self._kind
        )

    def value_of(self, version: Stored) -> str | None:
        """Return by what a version is sorted: the same that the store finds."""
        match self.asked.name:
            case "_id":
                return version.id
            case "_lastUpdated":
                return version.received.isoformat()
        if self.asked.column:
            return search_index.promoted(version.resource).status
        if by_column(self.asked):
            return version.patient
        rows = search_index.rows(version.resource, patient=version.patient)
        return _of_rows(rows, self.asked, descending=self.descending)

    @property
    def _kind(self) -> str:
        kinds = {"date": "timestamptz", "number": "numeric", "quantity": "numeric"}
        return kinds.get(self.asked.parameter.kind, "text")

    @property
    def _expression(self) -> str:
        if self.asked.column:
            collation = "" if self.asked.name == "_lastUpdated" else ' COLLATE "C"'
            return f"{self.asked.column}{collation}"
        if by_column(self.asked):
            return f'{self.asked.of}.patient COLLATE "C"'
        table = sql.TABLES[self.asked.parameter.kind]
        column = _COLUMNS[table][self.descending]
        collation = ' COLLATE "C"' if table in ("search_value", "search_text") else ""
        least = f"{'max' if self.descending else 'min'}(o.{column}{collation})"
        return f"(SELECT {least} FROM {table} o WHERE o.key = {self.asked.of}.key AND o.name = ANY(%s))"  # noqa: S608

    @property
    def _values(self) -> tuple[Any, ...]:
        return () if self.asked.column or by_column(self.asked) else (list(self.asked.kept_as),)


def read(
    type_: str, value: str, *, base: str, when_unknown: Callable[[NotExchanged], None]
) -> tuple[Sort, ...]:
    """Return the parameters by which is sorted.

    Args:
        when_unknown: what to do about a name that the type has not.

    Raises:
        NotExchanged: one cannot be sorted by, or there are too many.
    """
    found = []
    for word in value.split(","):
        name = word.removeprefix("-")
        parameter = parameters_of(type_).get(name)
        if parameter is None or parameter.kind in ("composite", "special", "narrative"):
            text = f"{type_} is sorted by search parameters, not by composite or special ones, nor _text"
            when_unknown(NotExchanged(Issue(code="not-supported", text=text)))
            continue
        asked = Asked(type=type_, parameter=parameter, modifier="", base=base)
        found.append(Sort(asked=asked, descending=word.startswith("-")))
    if len(found) > MOST:
        raise NotExchanged(Issue(code="too-costly", text=f"_sort names at most {MOST} parameters"))
    return tuple(found)


def needs_rows(sort: Sort) -> bool:
    """Return whether it reads rows of the search tables."""
    return sort.asked.column is None and not only_by_column(sort.asked.type, sort.asked.parameter)


def _of_rows(rows: Rows, asked: Asked, *, descending: bool) -> str | None:
    """Return the least or greatest value of a parameter among the rows of a version, as text."""
    best = max if descending else min
    match sql.TABLES[asked.parameter.kind]:
        case "search_value":
            return best((row.value for row in rows.values if row.name in asked.kept_as), default=None)
        case "search_text":
            return best((row.folded for row in rows.texts if row.name in asked.kept_as), default=None)
        case "search_date":
            spans = [row.high if descending else row.low for row in rows.spans if row.name in asked.kept_as]
            return _best(spans, descending=descending)
        case _:
            numbers = [
                row.base_high if descending else row.base_low
                for row in rows.numbers
                if row.name in asked.kept_as
            ]
            return _best(numbers, descending=descending)


def _best(ends: Sequence[Any], *, descending: bool) -> str | None:
    if not ends:
        return None
    if None in ends:
        return "infinity" if descending else "-infinity"
    return str(max(ends) if descending else min(ends))
