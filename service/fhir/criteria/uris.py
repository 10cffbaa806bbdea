"""Uris and canonical urls.

http://hl7.org/fhir/R4/search.html#uri
"""

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain
from service.fhir.criteria.sql import Sql
from service.store.indexing.shortening import shortened

MODIFIERS = ("missing", "above", "below")


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that one of the uris is there, or one above or below it."""
    matches = sql.any_of(row_matching(asked, choice, "s") for choice in choices)
    return sql.row("search_value", asked.kept_as, matches, of=asked.of)


def row_matching(asked: Asked, choice: str, as_: str) -> Sql:
    """Return the condition of a row that its uri matches."""
    wanted = plain(choice)
    match asked.modifier:
        # Parts of a path are compared, not letters: what follows begins with a slash.
        case "below":
            below = f"{wanted.rstrip('/')}/"
            return Sql(f"starts_with(rtrim({as_}.value, '/') || '/', %s)", (below,))
        case "above":
            return Sql(f"starts_with(%s, rtrim({as_}.value, '/') || '/')", (f"{wanted.rstrip('/')}/",))
    if any(place.of == "canonical" for place in asked.parameter.places):
        return of_canonical(wanted, as_)
    return Sql(f"{as_}.value = %s", (shortened(wanted),))


def of_canonical(wanted: str, as_: str) -> Sql:
    """Return the condition of a row that it holds the canonical url; without a version, any version of it.

    http://hl7.org/fhir/R4/references.html#canonical
    """
    if "|" in wanted:
        return Sql(f"{as_}.value = %s", (shortened(wanted),))
    # The character after the bar ends what begins with the bar.
    text = f"({as_}.value = %s OR ({as_}.value >= %s AND starts_with({as_}.value, %s)))"
    return Sql(text, (shortened(wanted), f"{wanted}|", f"{wanted}|"))
