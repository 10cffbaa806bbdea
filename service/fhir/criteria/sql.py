"""Pieces of SQL with their parameters, put together without ever writing a value into the text."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """A condition and the values of its places, in their order."""

    text: str
    values: tuple[Any, ...] = ()


NOTHING = Sql("FALSE")


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
    # Type and tenant are said of the row, too, so that it may be looked for before the resource is.
    text = (
        f"EXISTS (SELECT FROM {table} {as_} WHERE {as_}.key = {of}.key AND {as_}.tenant = {of}.tenant "
        f"AND {as_}.type = {of}.type AND {named(as_)} AND ({matches.text}))"
    )
    return Sql(text, (list(names), *matches.values))


def named(as_: str) -> str:
    """Return the condition that a row has one of some names, its one parameter."""
    return f"{as_}.name = ANY(%s)"


def _joined(word: str, parts: Iterable[Sql]) -> Sql:
    found = list(parts)
    if len(found) == 1:
        return found[0]
    text = word.join(part.text for part in found)
    return Sql(f"({text})", tuple(v for part in found for v in part.values)) if found else NOTHING
