"""Dates and times, each an interval as wide as it is precise.

http://hl7.org/fhir/R4/search.html#date
"""

import re
from datetime import datetime

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked, prefixed
from service.fhir.criteria.escaping import plain
from service.fhir.criteria.sql import Sql
from service.store.indexing.dates import instants

MODIFIERS = ("missing",)

_WITHOUT_ZONE = re.compile(r".*T[\d:.]+")
#: of the service, which a sandbox may have set
_NOW = "(SELECT coalesce(now, clock_timestamp()) FROM clock)"


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that a date matches one of the values."""
    if asked.column:
        return sql.any_of(_of_column(asked, choice) for choice in choices)
    matches = sql.any_of(row_matching(asked, choice, "s") for choice in choices)
    return sql.row("search_date", asked.kept_as, matches, of=asked.of)


def row_matching(asked: Asked, choice: str, as_: str) -> Sql:
    """Return the condition of a row that its interval matches."""
    prefix, low, high = _read(asked, choice)
    return _compared(prefix, f"{as_}.low", f"{as_}.high", low, high)


def _of_column(asked: Asked, choice: str) -> Sql:
    """Return the condition of a moment, whose interval has no width."""
    prefix, low, high = _read(asked, choice)
    column = str(asked.column)
    match prefix:
        case "gt" | "sa":
            return Sql(f"{column} >= %s", (high,))
        case "lt" | "eb":
            return Sql(f"{column} < %s", (low,))
        case "ge":
            return Sql(f"{column} >= %s", (low,))
        case "le":
            return Sql(f"{column} < %s", (high,))
        case "eq":
            return Sql(f"({column} >= %s AND {column} < %s)", (low, high))
        case "ne":
            return Sql(f"({column} < %s OR {column} >= %s)", (low, high))
        case _:
            return _compared(prefix, column, column, low, high)


def _compared(prefix: str, first: str, end: str, low: datetime, high: datetime) -> Sql:
    """Return how the interval of the resource, [first, end), lies to that of the value, [low, high)."""
    within = f"({first} >= %s AND {end} <= %s)"
    match prefix:
        case "eq":
            return Sql(within, (low, high))
        case "ne":
            return Sql(f"NOT {within}", (low, high))
        case "gt":
            return Sql(f"{end} > %s", (high,))
        case "lt":
            return Sql(f"{first} < %s", (low,))
        case "ge":
            return Sql(f"({end} > %s OR {within})", (high, low, high))
        case "le":
            return Sql(f"({first} < %s OR {within})", (low, low, high))
        case "sa":
            return Sql(f"{first} >= %s", (high,))
        case "eb":
            return Sql(f"{end} <= %s", (low,))
        case _:
            # Approximately: within a tenth of what lies between now and then.
            about = f"greatest(%s::timestamptz - {_NOW}, {_NOW} - %s::timestamptz) / 10"
            text = f"({first} < %s::timestamptz + {about} AND {end} >= %s::timestamptz - {about})"
            return Sql(text, (high, low, low, low, low, low))


def _read(asked: Asked, choice: str) -> tuple[str, datetime, datetime]:
    # A plus before the zone arrives as a space when it was not escaped.
    text = plain(choice).replace(" ", "+")
    prefix, date = prefixed(asked, text, "a date or an instant, as 2026-01-05")
    interval = instants(f"{date}Z" if _WITHOUT_ZONE.fullmatch(date) else date)
    if interval is None:
        raise asked.refused("is a date or an instant, as 2026-01-05 or 2026-01-05T09:30:00Z")
    return prefix, *interval
