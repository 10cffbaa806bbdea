"""JSON Patch: what is to change in a document, as a list of operations, done all or not at all.

What an operation may make is bounded, because a few that copy could otherwise fill any memory.

https://www.rfc-editor.org/rfc/rfc6902
https://www.rfc-editor.org/rfc/rfc6901
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles.reading import MAX_DEPTH

MEDIA_TYPE = "application/json-patch+json"

MOST_OPERATIONS = 1_000
#: how many values all operations of a patch may put into the document
MOST_VALUES = 100_000
#: a text of so many characters counts as one value more
CHARACTERS = 100

_INDEX = re.compile(r"0|[1-9]\d{0,8}")
_TOKEN = re.compile(r"(?:[^~]|~[01])*")
#: at the end of a list
_END = "-"

Path = tuple[str, ...]


class CannotBePatched(Exception):
    """The patch is none, or does not fit the document. The message names the operation, never a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step."""

    #: its place, for messages
    number: int
    op: str
    path: Path
    #: of copy and move
    source: Path = ()
    #: of add, replace and test
    value: Any = None

    def fails(self, text: str) -> CannotBePatched:
        """Return the error that names this operation."""
        return CannotBePatched(f"operation {self.number} ({self.op}): {text}")


def read(patch: object) -> tuple[Operation, ...]:
    """Return the operations of a patch.

    Raises:
        CannotBePatched: it is not a list of operations.
    """
    if not isinstance(patch, list) or not patch:
        raise CannotBePatched("a JSON Patch is a list of operations")
    if len(patch) > MOST_OPERATIONS:
        raise CannotBePatched(f"a JSON Patch has at most {MOST_OPERATIONS} operations here")
    return tuple(_operation(number, row) for number, row in enumerate(patch))


def apply(document: Any, operations: Sequence[Operation]) -> Any:
    """Return the document after the operations; the one that was given stays as it is.

    Raises:
        CannotBePatched: an operation does not fit, a test is not met, or the result would be too large.
    """
    room = MOST_VALUES
    document = copied(document)
    for operation in operations:
        if operation.op in ("copy", "move"):
            value = _at(document, operation.source, operation)
        else:
            value = operation.value
        if operation.op in ("add", "copy", "replace", "move"):
            room -= _size(value, MAX_DEPTH - len(operation.path), operation)
            if room < 0:
                raise operation.fails(f"all operations together make more than {MOST_VALUES} values")
        document = _OPERATIONS[operation.op](document, operation, value)
    return document


def _operation(number: int, row: object) -> Operation:
    op = row.get("op") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(op, str) or op not in _OPERATIONS:
        raise CannotBePatched(f"operation {number}: op is one of {', '.join(sorted(_OPERATIONS))}")
    if op in ("add", "replace", "test") and "value" not in row:
        raise CannotBePatched(f"operation {number} ({op}): it needs a value")
    operation = Operation(
        number=number,
        op=op,
        path=_pointer(row.get("path"), f"operation {number} ({op}): path"),
        source=(
            _pointer(row.get("from"), f"operation {number} ({op}): from") if op in ("copy", "move") else ()
        ),
        value=row.get("value"),
    )
    inside = operation.path[: len(operation.source)] == operation.source
    if op == "move" and inside and len(operation.path) > len(operation.source):
        raise operation.fails("nothing is moved into itself")
    return operation


def _pointer(text: object, what: str) -> Path:
    if not isinstance(text, str) or (text and not text.startswith("/")) or not _TOKEN.fullmatch(text):
        raise CannotBePatched(f"{what} is a JSON Pointer: empty, or names and numbers, each after a slash")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def _at(document: Any, path: Path, operation: Operation) -> Any:
    node = document
    for token in path:
        if isinstance(node, dict) and token in node:
            node = node[token]
        elif isinstance(node, list):
            node = node[_index(node, token, operation)]
        else:
            raise operation.fails("there is nothing at this place")
    return node


def _index(items: list[Any], token: str, operation: Operation, *, last: int = -1) -> int:
    """Return the position that the token names, of what is there, or with `last` 0 of what may be added."""
    if _INDEX.fullmatch(token) is None or int(token) > len(items) + last:
        raise operation.fails("the list has no such position")
    return int(token)


def _add(document: Any, operation: Operation, value: Any) -> Any:
    if not operation.path:
        return copied(value)
    *way, token = operation.path
    holder = _at(document, tuple(way), operation)
    if isinstance(holder, dict):
        holder[token] = copied(value)
    elif isinstance(holder, list):
        at = len(holder) if token == _END else _index(holder, token, operation, last=0)
        holder.insert(at, copied(value))
    else:
        raise operation.fails("nothing can be added to what is at this place")
    return document


def _remove(document: Any, operation: Operation, _value: Any) -> Any:
    return _without(document, operation.path, operation)


def _replace(document: Any, operation: Operation, value: Any) -> Any:
    if not operation.path:
        return copied(value)
    _at(document, operation.path, operation)
    *way, token = operation.path
    holder = _at(document, tuple(way), operation)
    holder[int(token) if isinstance(holder, list) else token] = copied(value)
    return document


def _move(document: Any, operation: Operation, value: Any) -> Any:
    if operation.path == operation.source:
        return document
    return _add(_without(document, operation.source, operation), operation, value)


def _test(document: Any, operation: Operation, value: Any) -> Any:
    if not same(_at(document, operation.path, operation), value):
        raise operation.fails("what is at this place is something else")
    return document


def _without(document: Any, path: Path, operation: Operation) -> Any:
    if not path:
        raise operation.fails("the whole resource is not removed by a patch; send a DELETE")
    _at(document, path, operation)
    *way, token = path
    holder = _at(document, tuple(way), operation)
    del holder[int(token) if isinstance(holder, list) else token]
    return document


def same(one: Any, other: Any) -> bool:
    """Return whether both are the same JSON value; numbers by their value, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _size(value: Any, depth: int, operation: Operation) -> int:
    if depth < 0:
        raise operation.fails(f"the resource would be deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        names = sum(map(_weight, value))
        return 1 + names + sum(_size(inner, depth - 1, operation) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_size(inner, depth - 1, operation) for inner in value)
    return 1 + _weight(value)


def _weight(value: object) -> int:
    """Return for how many values a text counts besides itself."""
    return len(value) // CHARACTERS if isinstance(value, str) else 0


def copied(value: Any) -> Any:
    """Return a JSON value of its own, down to the last list."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value


_OPERATIONS: Mapping[str, Callable[[Any, Operation, Any], Any]] = {
    "add": _add,
    "copy": _add,
    "move": _move,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
}
