"""Read ELM that is kept: equal types are kept once, and so are the kinds and names of nodes.

A library of rules says a few types, kinds and names thousands of times. Nodes stay apart, since it is by
their identity that a value or an explanation belongs to one.
"""

import json
from decimal import Decimal
from typing import Any

_REPEATED = ("type", "name", "resultTypeName", "accessLevel")


def read(text: str) -> dict[str, Any]:
    """Return the ELM of a library, equal to what `json.loads` makes of the text, with decimals exact.

    Raises:
        ValueError: the text is not JSON.
    """
    known: dict[Any, Any] = {}
    same = known.setdefault

    def shared(node: dict[str, Any]) -> Any:
        kind = node.get("type")
        if type(kind) is str and kind.endswith("TypeSpecifier"):
            return same(_identity(node), node)
        for key in _REPEATED:
            value = node.get(key)
            if type(value) is str:
                node[key] = same(value, value)
        return node

    elm: dict[str, Any] = json.loads(text, parse_float=Decimal, object_hook=shared)
    return elm


def _identity(specifier: dict[str, Any]) -> tuple[Any, ...]:
    """Return what two specifiers have in common when they are equal: the parts of each are shared already."""
    return tuple(
        [
            (key, part if type(part) is str else tuple(map(id, part)) if type(part) is list else id(part))
            for key, part in specifier.items()
        ]
    )
