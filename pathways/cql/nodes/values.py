"""Literals, selectors and the properties of what they make."""

from decimal import Decimal, InvalidOperation
from typing import Any

from pathways.cql import arithmetic, intervals, units
from pathways.cql.compiler import Compiler, node, type_name
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.temporal import PRECISIONS, Date, DateTime, OutOfRange, Time
from pathways.cql.values import Code, Concept, Interval, Quantity, Ratio, Tuple, Vocabulary


def constant(value: Any) -> Closure:
    """Return the closure that always answers the value."""
    return lambda _run, _slots: value


@node("Null")
def _null(_compiler: Compiler, _node: Node, _scope: Scope) -> Closure:
    return constant(None)


RANGES = (
    "an Integer has 32 bits, a Decimal 20 digits before the point and 8 after it, a date the years 1 to 9999"
)


@node("Literal")
def _literal(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    text, type_ = node.get("value", ""), type_name(node["valueType"])
    return compiler.program.shared(("Literal", type_, text), lambda: constant(_value(text, type_)))


def _value(text: str, type_: str | None) -> Any:
    """Return what a literal stands for.

    Raises:
        Unsupported: it is no literal of CQL, or out of range.
    """
    value: Any
    match type_:
        case "Boolean":
            value = text == "true"
        case "String":
            value = text
        case "Integer":
            value = arithmetic.integer(int(text))
        case "Long":
            value = arithmetic.long(int(text.removesuffix("L")))
        case "Decimal":
            value = _exact(text)
        case _:
            raise Unsupported(f"a literal of type {type_}", "use a type of CQL")
    if value is None:
        raise Unsupported("a literal out of range", RANGES)
    return value


@node("Negate")
def _negate(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = node["operand"]
    if operand.get("type") == "Literal" and type_name(operand["valueType"]) in ("Integer", "Long"):
        # The least Integer is written as the negative of one more than the greatest.
        return _literal(compiler, {**operand, "value": f"-{operand['value']}"}, scope)
    closure = compiler.expression(operand, scope)

    def negated(run: Any, slots: Any) -> Any:
        value = closure(run, slots)
        return None if value is None else arithmetic.negate(value)

    return negated


@node("Quantity")
def _quantity(_compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    return constant(_quantity_literal(node))


@node("Ratio")
def _ratio(_compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    return constant(Ratio(_quantity_literal(node["numerator"]), _quantity_literal(node["denominator"])))


def _quantity_literal(node: Node) -> Quantity:
    unit = node.get("unit") or "1"
    value = _exact(str(node.get("value", 0)))
    if value is None:
        raise Unsupported("a literal out of range", RANGES)
    if not units.known(unit):
        raise Unsupported(f"unit '{unit}' is not in the table of units", "see `units` for those that are")
    return Quantity(value, unit)


def _exact(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    exponent = value.as_tuple().exponent
    return arithmetic.number(value) if isinstance(exponent, int) and exponent >= -8 else None


@node("Date", "DateTime", "Time")
def _temporal(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    names = {"Date": PRECISIONS[:3], "DateTime": PRECISIONS, "Time": PRECISIONS[3:]}[node["type"]]
    parts = [compiler.expression(node[name], scope) for name in names if name in node]
    offset = compiler.expression(node["timezoneOffset"], scope) if node.get("timezoneOffset") else None
    kind: Any = {"Date": Date, "DateTime": DateTime, "Time": Time}[node["type"]]
    _check_literal(node, names, kind)

    def made(run: Any, slots: Any) -> Any:
        fields: list[int] = []
        for part in parts:
            value = part(run, slots)
            if value is None:
                break
            fields.append(value)
        if not fields:
            return None
        hours = offset(run, slots) if offset else None
        return kind(*fields) if hours is None else kind(*fields, offset=int(hours * 60))

    return made


def _check_literal(node: Node, names: tuple[str, ...], kind: Any) -> None:
    given = [node[name] for name in names if name in node]
    if all(part.get("type") == "Literal" for part in given):
        try:
            kind(*(int(part["value"]) for part in given))
        except OutOfRange:
            raise Unsupported("a literal out of range", RANGES) from None


@node("Tuple")
def _tuple(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    parts = [(part["name"], compiler.expression(part["value"], scope)) for part in node.get("element", [])]

    def made(run: Any, slots: Any) -> Tuple:
        values = Tuple()
        for name, part in parts:
            values[name] = part(run, slots)
        return values

    return made


_INSTANCES = "a rule may make values of CQL's own types; use a Tuple for others"


@node("Instance")
def _instance(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    if not node["classType"].startswith("{urn:hl7-org:elm-types:r1}"):
        raise Unsupported(f"an instance of {type_name(node['classType'])}", _INSTANCES)
    parts = {part["name"]: compiler.expression(part["value"], scope) for part in node.get("element", [])}

    def get(name: str, run: Any, slots: Any) -> Any:
        return parts[name](run, slots) if name in parts else None

    match type_name(node["classType"]):
        case "Quantity":
            return lambda run, slots: Quantity(get("value", run, slots), get("unit", run, slots) or "1")
        case "Ratio":
            return lambda run, slots: Ratio(get("numerator", run, slots), get("denominator", run, slots))
        case "Code":
            names = ("code", "system", "version", "display")
            return lambda run, slots: Code(*(get(name, run, slots) for name in names))
        case "Concept":
            return lambda run, slots: Concept(
                tuple(get("codes", run, slots) or ()), get("display", run, slots)
            )
        case "ValueSet" | "CodeSystem" as kind:
            return lambda run, slots: Vocabulary(kind, get("id", run, slots), get("version", run, slots))
        case name:
            raise Unsupported(f"an instance of {name}", _INSTANCES)


@node("List")
def _list(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    parts = [compiler.expression(part, scope) for part in node.get("element", [])]
    return lambda run, slots: [part(run, slots) for part in parts]


@node("Interval")
def _interval(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    low, high = compiler.optional(node.get("low"), scope), compiler.optional(node.get("high"), scope)
    low_closed = _closed(compiler, node, "low", scope)
    high_closed = _closed(compiler, node, "high", scope)
    point = declared(node.get("low")) or declared(node.get("high")) or "Any"

    def made(run: Any, slots: Any) -> Any:
        return intervals.made(
            low(run, slots),
            high(run, slots),
            bool(low_closed(run, slots)),
            bool(high_closed(run, slots)),
            point,
        )

    return made


def _closed(compiler: Compiler, node: Node, end: str, scope: Scope) -> Closure:
    if f"{end}ClosedExpression" in node:
        return compiler.expression(node[f"{end}ClosedExpression"], scope)
    return constant(node.get(f"{end}Closed", True))


def declared(node: Node | None) -> str | None:
    """Return the type an expression is written to have, where that can be read off it."""
    match node:
        case None:
            return None
        case {"type": "As"}:
            return type_name(node.get("asTypeSpecifier") or node.get("asType"))
        case {"type": "Literal"}:
            return type_name(node["valueType"])
        case {"type": "Quantity" | "Date" | "DateTime" | "Time" as kind}:
            return str(kind)
        case {"type": "ToDate" | "ToDateTime" | "ToTime" | "ToDecimal" | "ToInteger" | "ToQuantity" as kind}:
            return str(kind)[2:]
        case {"type": "Null"}:
            return None
        case {"resultTypeName": str(name)}:
            return type_name(name)
    return None


@node("MinValue", "MaxValue")
def _limit(_compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    of = arithmetic.least if node["type"] == "MinValue" else arithmetic.most
    try:
        return constant(of(type_name(node["valueType"]) or ""))
    except Unanswerable as reason:
        raise Unsupported(str(reason), "only numbers, dates and quantities have one") from None


def attribute(value: Any, name: str) -> Any:
    """Return a named part of a value of CQL's own types."""
    if value is None:
        return None
    if isinstance(value, Tuple):
        return value.get(name)
    if isinstance(value, Interval):
        return getattr(value, {"lowClosed": "low_closed", "highClosed": "high_closed"}.get(name, name))
    if isinstance(value, Concept) and name == "codes":
        return list(value.codes)
    return getattr(value, name)
