"""Expressions and values in words, for explanations.

A definition has its phrase from its author; this is for what lies between definitions.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pathways.cql import fhir
from pathways.cql.conversion import to_string
from pathways.cql.scope import Node
from pathways.cql.temporal import Temporal
from pathways.cql.values import Code, Concept, Interval, Labelled, Quantity, Tuple, Uncertainty, Vocabulary

_BETWEEN = {
    "And": "and",
    "Or": "or",
    "Xor": "xor",
    "Implies": "implies",
    "Equal": "=",
    "NotEqual": "is not",
    "Equivalent": "is",
    "Less": "<",
    "LessOrEqual": "<=",
    "Greater": ">",
    "GreaterOrEqual": ">=",
    "Add": "+",
    "Subtract": "-",
    "Multiply": "×",
    "Divide": "/",
    "TruncatedDivide": "div",
    "Modulo": "mod",
    "In": "in",
    "Contains": "contains",
    "Before": "before",
    "After": "after",
    "SameOrBefore": "on or before",
    "SameOrAfter": "on or after",
    "SameAs": "same as",
    "IncludedIn": "during",
    "Includes": "includes",
    "Union": "or",
    "Except": "except",
    "Intersect": "and",
    "Overlaps": "overlaps",
}
# Of a long list a reader wants to see what kind of thing it holds; its sources are given in full.
_SHOWN = 10
_SUFFIX = {"IsNull": "is not known", "IsTrue": "is true", "IsFalse": "is false"}
# What changes a value's type or shape, not what it says.
TRANSPARENT = {
    "As",
    "ToList",
    "ToDecimal",
    "ToInteger",
    "ToLong",
    "ToDateTime",
    "ToDate",
    "ToString",
    "ToQuantity",
    "ToConcept",
    "Convert",
    "SingletonFrom",
}


def words(node: Node) -> str:
    """Return an expression as one would say it."""
    kind = node["type"]
    if kind in TRANSPARENT:
        return words(node["operand"])
    if kind in _BETWEEN and len(node["operand"]) == 2:
        left, right = (words(operand) for operand in node["operand"])
        precision = f" {node['precision'].lower()}" if "precision" in node else ""
        return f"{left} {_BETWEEN[kind]}{precision} {right}"
    if kind in _SUFFIX:
        return f"{words(node['operand'])} {_SUFFIX[kind]}"
    teller = _TELLERS.get(kind)
    return teller(node) if teller else _general(node)


def plain(value: Any) -> Any:
    """Return a value as plain JSON: truth and whole numbers as they are, anything else in words."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (Decimal, Temporal)):
        return to_string(value)
    if isinstance(value, Labelled):
        return plain(value.json)
    if isinstance(value, list):
        more = [f"and {len(value) - _SHOWN} more"] if len(value) > _SHOWN else []
        return [plain(item) for item in value[:_SHOWN]] + more
    if isinstance(value, Tuple):
        return {name: plain(item) for name, item in value.items() if item is not None and not _is_json(item)}
    if isinstance(value, Mapping):
        return fhir.reference(value) if "resourceType" in value and "id" in value else _element(value)
    return _structure(value)


def _is_json(value: Any) -> bool:
    # A part of a record says nothing in words; the record itself is named as a source.
    if isinstance(value, list):
        return any(_is_json(item) for item in value)
    return isinstance(value, Mapping) and not isinstance(value, Tuple)


def _structure(value: Any) -> str | None:
    match value:
        case Quantity(unit="1"):
            return to_string(value.value)
        case Quantity():
            return f"{plain(value.value)} {value.unit}"
        case Code():
            return value.display or value.code
        case Concept():
            return value.display or ", ".join(str(plain(code)) for code in value.codes)
        case Interval():
            return f"{plain(value.low)} to {plain(value.high)}"
        case Uncertainty():
            return f"{value.low} to {value.high}"
        case Vocabulary():
            return value.id
        case _:
            return to_string(value)


def _element(value: Mapping[str, Any]) -> str:
    for name in ("text", "display", "code", "value", "reference"):
        if isinstance(value.get(name), (str, int, Decimal)):
            return str(value[name])
    return ", ".join(_element(coding) for coding in value.get("coding", ())) or "…"


def _general(node: Node) -> str:
    from pathways.cql.outline import children  # the two describe the same tree

    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", node["type"]).lower()
    parts = ", ".join(words(part) for part in children(node))
    return f"{name} of {parts}" if parts else name


def _retrieve(node: Node) -> str:
    codes = node.get("codes", {})
    return f"{node['dataType'].partition('}')[2]} {codes.get('operand', codes).get('name', '')}".strip()


def _between(node: Node) -> str:
    left, right = (words(operand) for operand in node["operand"])
    return f"{node['precision'].lower()}s between {left} and {right}"


def _called(node: Node) -> str:
    operands = ", ".join(words(operand) for operand in node.get("operand", []))
    if "libraryName" in node:
        return operands
    return f"{node['name']} ({operands})" if operands else str(node["name"])


def _property(node: Node) -> str:
    owner = words(node["source"]) if "source" in node else node["scope"]
    return owner if node["path"] == "value" else f"{owner} {node['path']}"


def _query(node: Node) -> str:
    return ", ".join(words(source["expression"]) for source in node["source"])


def _name(node: Node) -> str:
    return str(node["name"])


_TELLERS: dict[str, Any] = {
    "Literal": lambda node: node.get("value", ""),
    "Null": lambda _node: "nothing",
    "Now": lambda _node: "now",
    "Today": lambda _node: "today",
    "Quantity": lambda node: f"{node['value']} {node.get('unit', '')}".strip(),
    "ExpressionRef": _name,
    "ParameterRef": _name,
    "CodeRef": _name,
    "ConceptRef": _name,
    "CodeSystemRef": _name,
    "ValueSetRef": _name,
    "InValueSet": lambda node: f"{words(node['code'])} in {node['valueset']['name']}",
    "AnyInValueSet": lambda node: f"{words(node['codes'])} in {node['valueset']['name']}",
    "InCodeSystem": lambda node: f"{words(node['code'])} in {node['codesystem']['name']}",
    "AnyInCodeSystem": lambda node: f"{words(node['codes'])} in {node['codesystem']['name']}",
    "AliasRef": _name,
    "OperandRef": _name,
    "QueryLetRef": _name,
    "FunctionRef": _called,
    "Property": _property,
    "Query": _query,
    "Retrieve": _retrieve,
    "Exists": lambda node: f"some {words(node['operand'])}",
    "Not": lambda node: f"not {words(node['operand'])}",
    "First": lambda node: f"first {words(node['source'])}",
    "Last": lambda node: f"latest {words(node['source'])}",
    "Coalesce": lambda node: words(node["operand"][0]),
    "If": lambda node: words(node["condition"]),
    "DateFrom": lambda node: words(node["operand"]),
    "DifferenceBetween": _between,
    "DurationBetween": _between,
    "List": lambda node: ", ".join(words(part) for part in node.get("element", [])),
    "Interval": lambda node: " to ".join(words(node[end]) for end in ("low", "high") if end in node),
    "Abs": lambda node: words(node["operand"]),
}
