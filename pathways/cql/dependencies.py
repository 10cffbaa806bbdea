"""What each definition depends on: other definitions, functions, and so which parameters.

Functions are taken by name, whatever their overload.
"""

from collections.abc import Iterator
from typing import Any

from pathways.cql.compiler import Compiler
from pathways.cql.scope import Node

# ("", name) is a definition, ("()", name) a function, ("?", name) a parameter.
Name = tuple[str, str]

_KINDS = {"ExpressionRef": "", "FunctionRef": "()", "ParameterRef": "?"}


def parameters_read(compiler: Compiler, statements: list[Node]) -> dict[str, tuple[str, ...]]:
    """Return the parameters each definition reads, itself or through others.

    A definition that asks for itself is noted as a reason to refuse: it would recurse without end.
    """
    named = {
        ("()" if statement.get("type") == "FunctionDef" else "", statement["name"]): statement
        for statement in statements
    }
    reads: dict[Name, set[str]] = {}

    def read(name: Name, path: tuple[Name, ...]) -> set[str]:
        if name in path:
            compiler.refuse(name[1], "is defined by itself")
            return set()
        if name[0] == "?":
            return {name[1]}
        if name not in reads:
            found = [read(other, (*path, name)) for other in calls.get(name, ())]
            reads[name] = set().union(*found)
        return reads[name]

    calls: dict[Name, set[Name]] = {}
    for statement in statements:
        kind = "()" if statement.get("type") == "FunctionDef" else ""
        calls.setdefault((kind, statement["name"]), set()).update(_names(statement.get("expression")))
    return {name: tuple(sorted(read((kind, name), ()))) for kind, name in named if not kind}


def _names(node: Any) -> Iterator[Name]:
    if isinstance(node, list):
        for part in node:
            yield from _names(part)
    elif isinstance(node, dict):
        kind = _KINDS.get(node.get("type", ""))
        if kind is not None and "libraryName" not in node:
            yield kind, node["name"]
        for part in node.values():
            yield from _names(part)
