"""Names, addresses and other texts.

http://hl7.org/fhir/R4/search.html#string
"""

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain
from service.fhir.criteria.sql import Sql
from service.store.indexing.reading import folded

MODIFIERS = ("missing", "exact", "contains")

#: as many characters as the index has
_INDEXED = 100
_LAST = "\U0010ffff"


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that a text begins so; with modifiers, that it is so or has it within."""
    matches = sql.any_of(row_matching(asked, choice, "s") for choice in choices)
    return sql.row("search_text", asked.kept_as, matches, of=asked.of)


def row_matching(asked: Asked, choice: str, as_: str) -> Sql:
    """Return the condition of a row that its text matches.

    Raises:
        NotExchanged: nothing is left of the text when accents are taken from it.
    """
    text = plain(choice)
    wanted = folded(text)
    if not wanted:
        raise asked.refused("has no letters to search for")
    if asked.modifier == "contains":
        return Sql(f"strpos({as_}.folded, %s) > 0", (wanted,))
    begin = wanted[:_INDEXED]
    # A text begins so when it lies between the beginning and the beginning followed by the last character.
    found = Sql(
        f"left({as_}.folded, {_INDEXED}) >= %s AND left({as_}.folded, {_INDEXED}) <= %s",
        (begin, begin + _LAST),
    )
    if asked.modifier == "exact":
        return Sql(f"{found.text} AND {as_}.written = %s", (*found.values, text))
    if len(wanted) > _INDEXED:
        return Sql(f"{found.text} AND starts_with({as_}.folded, %s)", (*found.values, wanted))
    return found
