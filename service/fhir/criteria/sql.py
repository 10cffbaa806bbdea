"""Pieces of SQL with their parameters, put together without ever writing a value into the text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """A condition and the values of its places, in their order."""

    text: str
    values: tuple[Any, ...] = ()


NOTHING = Sql("FALSE")

#: the tables in which rows of a kind are kept
TABLES: Mapping[str, str] = MappingProxyType(
    {
        "token": "search_value",
        "reference": "search_value",
        "uri": "search_value",
        "string": "search_text",
        "date": "search_date",
        "number": "search_number",
        "quantity": "search_number",
        "special": "search_number",
    }
)

#: Where a condition is asked of each resource by itself when few are left to be asked (see `asked_of_each`).
FENCE = "/* of each */"
_BESIDES_KEY = re.compile(r"/\* or \*/.*?/\* not \*/")
_KEY = re.compile(r"(\w+)\.key = r\.key/\* or \*/")


def asked_of_each(condition: Sql, *, few: bool) -> Sql:
    """Return the condition for a search that other criteria narrow to few resources, or do not.

    The planner takes tenant, type, name and value of a row for independent, expects a hundredth of the rows
    that a common code has, and would go through all of them for one patient's three. What has an offset is
    not joined, but looked up for each resource that is left; by its key, as nothing else is said of the row.
    """
    if not few:
        return Sql(condition.text.replace(FENCE, ""), condition.values)
    return Sql(_BESIDES_KEY.sub("", condition.text).replace(FENCE, "OFFSET 0"), condition.values)


def after(condition: Sql, key: int) -> Sql:
    """Return the condition for resources that come after one in the order of their keys.

    Said of the rows as well, or the server reads those of all pages before: it does not conclude from two
    keys being the same that the one is as great as the other.
    """
    return Sql(_KEY.sub(rf"\g<0> AND \1.key > {key:d}", condition.text), condition.values)


def of_resource(as_: str, of: str) -> str:
    """Return the condition that a row is of a resource, with what is left out where each is asked by itself.

    Type and tenant are said of the row, too, so that it may be looked for before the resource is.
    """
    besides = f" AND {as_}.tenant = {of}.tenant AND {as_}.type = {of}.type"
    return f"{as_}.key = {of}.key" + (f"/* or */{besides}/* not */" if of == "r" else besides)


def all_of(parts: Iterable[Sql]) -> Sql:
    """Return the condition that all of them hold."""
    return _joined(" AND ", parts)


def any_of(parts: Iterable[Sql]) -> Sql:
    """Return the condition that one of them holds; of none, one that never does."""
    return _joined(" OR ", parts)


def none_of(part: Sql) -> Sql:
    """Return the condition that it does not hold."""
    return Sql(f"NOT ({part.text})", part.values)


def row(table: str, names: Sequence[str], matches: Sql, *, of: str, as_: str = "s") -> Sql:
    """Return the condition that a resource has a row under one of the names that matches.

    Args:
        of: the alias of the resource.
        as_: the alias of the row, as the match has it.
    """
    is_named = named(as_, names)
    text = (
        f"EXISTS (SELECT FROM {table} {as_} WHERE {of_resource(as_, of)} AND {is_named.text} "
        f"AND ({matches.text}) {FENCE if of == 'r' else ''})"
    )
    return Sql(text, (*is_named.values, *matches.values))


def named(as_: str, names: Sequence[str]) -> Sql:
    """Return the condition that a row has one of the names.

    Of one name the planner knows that an index has its rows in the order of their resources, of a list not.
    """
    if len(names) == 1:
        return Sql(f"{as_}.name = %s", (names[0],))
    return Sql(f"{as_}.name = ANY(%s)", (list(names),))


def _joined(word: str, parts: Iterable[Sql]) -> Sql:
    found = list(parts)
    if len(found) == 1:
        return found[0]
    text = word.join(part.text for part in found)
    return Sql(f"({text})", tuple(v for part in found for v in part.values)) if found else NOTHING
