"""What an explanation needs to know of a node of the ELM, whatever the values of a run are.

Explanations are asked for again and again; what does not depend on a run is found once for a library.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pathways.cql.compiler import NODES
from pathways.cql.scope import Node
from pathways.cql.wording import TRANSPARENT, words

if TYPE_CHECKING:
    from pathways.cql.library import Library

# What is the same in every run and needs no reason.
_CONSTANT = {
    "Literal",
    "Null",
    "CodeRef",
    "ConceptRef",
    "CodeSystemRef",
    "ValueSetRef",
    "Quantity",
    "Now",
    "Today",
    "MinValue",
    "MaxValue",
}


class Outline:
    """One node, each of its sides found when it is first asked for."""

    def __init__(self, node: Node, library: "Library") -> None:
        self._node = node
        self._library = library

    @cached_property
    def constant(self) -> bool:
        """Whether it is the same in every run, and goes without saying."""
        return _constant(self._node)

    @cached_property
    def text(self) -> str:
        """The node as one would say it."""
        return words(self._node)

    @cached_property
    def operands(self) -> tuple[Node, ...]:
        """The operands of an `and` or an `or`, nested ones of the same kind included."""
        return tuple(_flat(self._node, self._node["type"]))

    @cached_property
    def below(self) -> tuple[Node, ...]:
        """What its value is made of: of a query the sources, and what its conditions refer to."""
        node = self._node
        if node["type"] == "Query":
            return (*(source["expression"] for source in node["source"]), *_references(_conditions(node)))
        if node["type"] == "FunctionRef":
            return tuple(node.get("operand", ()))
        return tuple(children(node))

    @cached_property
    def body(self) -> tuple[Node, ...]:
        """What the function that it calls refers to; empty for anything but a call."""
        is_call = self._node["type"] == "FunctionRef"
        return tuple(_references(self._library.function(self._node))) if is_call else ()

    @cached_property
    def retrieves(self) -> tuple[Node, ...]:
        """The Retrieves it reads through, those of its functions included."""
        return tuple(self._retrieves(self._node))

    def _retrieves(self, node: Any) -> Iterator[Node]:
        for part in _nodes(node):
            if part["type"] == "Retrieve":
                yield part
            elif part["type"] == "FunctionRef" and (body := self._library.function(part)):
                yield from self._retrieves(body)


def children(node: Node) -> Iterator[Node]:
    """Yield the expressions directly in a node, in the order they are written."""
    for value in node.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                if part.get("type") in NODES:
                    yield part
                elif not str(part.get("type", "")).endswith("TypeSpecifier"):
                    yield from children(part)


def _constant(node: Node) -> bool:
    if node["type"] in ("List", "Interval", "Add", "Subtract"):
        return all(_constant(part) for part in children(node))
    return node["type"] in _CONSTANT or (node["type"] in TRANSPARENT and _constant(node["operand"]))


def _flat(node: Node, kind: str) -> Iterator[Node]:
    for operand in node["operand"]:
        if operand["type"] == kind:
            yield from _flat(operand, kind)
        else:
            yield operand


def _conditions(query: Node) -> list[Any]:
    return [query.get(part) for part in ("let", "relationship", "where", "return", "aggregate")]


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part)
    elif isinstance(node, dict):
        if node.get("type") in NODES:
            yield node
        for part in node.values():
            if isinstance(part, (dict, list)):
                yield from _nodes(part)


def _references(node: Any) -> Iterator[Node]:
    return (part for part in _nodes(node) if part["type"] in ("ExpressionRef", "ParameterRef"))
