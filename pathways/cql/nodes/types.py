"""Asking for a type, casting to it, converting to it."""

from collections.abc import Callable, Mapping
from typing import Any

from pathways.cql import conversion
from pathways.cql.compiler import FHIR, SYSTEM, Compiler, node, type_name
from pathways.cql.intervals import point_type
from pathways.cql.nodes.references import key_of_choice, source_of
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.temporal import OutOfRange
from pathways.cql.values import Interval, Labelled, Tuple

Test = Callable[[Any], bool]

_TYPES = "use a type of CQL or of FHIR R4"


@node("As")
def _as(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = compiler.expression(node["operand"], scope)
    specifier = _named(node.get("asTypeSpecifier") or node["asType"])
    strict = node.get("strict", False)
    if isinstance(specifier, str) and specifier.startswith(FHIR) and not strict:
        cast_element = _as_element(operand, type_name(specifier) or "", type_test(specifier))
        return _read_directly(compiler, node["operand"], scope, type_name(specifier) or "", cast_element)
    test = type_test(specifier)
    unwrapped = not _is_choice(specifier)

    def cast(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        if value is None:
            return None
        if not test(value):
            if strict:
                raise Unanswerable("a cast to a type the value does not have")
            return None
        return value.json if unwrapped and isinstance(value, Labelled) else value

    return cast


def _named(specifier: Any) -> Any:
    # A named type is written in two ways: as its name, and as a specifier that holds it.
    named = isinstance(specifier, Mapping) and specifier.get("type") == "NamedTypeSpecifier"
    return specifier["name"] if named else specifier


def _as_element(operand: Closure, name: str, test: Test) -> Closure:
    # The cast of a choice element to one of its types, which every reading of an Observation begins with.
    def cast(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        if type(value) is Labelled:
            return value.json if value.type == name else None
        return value if value is not None and test(value) else None

    return cast


def _read_directly(compiler: Compiler, node: Node, scope: Scope, name: str, otherwise: Closure) -> Closure:
    # Within a query, where no explanation asks for the parts, the cast of a choice is one look-up by its key.
    key = key_of_choice(node, name) if scope.in_query else None
    if key is None:
        return otherwise
    source = source_of(compiler, node, scope)
    if isinstance(source, int):

        def read_of_row(run: Any, slots: Any) -> Any:
            value = slots[source]
            return value.get(key) if type(value) is dict else otherwise(run, slots)

        return read_of_row

    def read(run: Any, slots: Any) -> Any:
        value = source(run, slots)
        return value.get(key) if type(value) is dict else otherwise(run, slots)

    return read


@node("Is")
def _is(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = compiler.expression(node["operand"], scope)
    test = type_test(node.get("isTypeSpecifier") or node["isType"])

    def asked(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        return value is not None and test(value)

    return asked


@node("Convert")
def _convert(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = compiler.expression(node["operand"], scope)
    name = type_name(node.get("toTypeSpecifier") or node["toType"])
    convert = conversion.CONVERSIONS.get(name or "")
    if convert is None:
        raise Unsupported(f"a conversion to {name}", _TYPES)

    def converted(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        return None if value is None else convert(value)

    return converted


@node("CanConvert")
def _can_convert(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _convertible(compiler, node, scope, type_name(node.get("toTypeSpecifier") or node["toType"]) or "")


@node(*(f"ConvertsTo{name}" for name in conversion.CONVERSIONS))
def _converts_to(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _convertible(compiler, node, scope, node["type"].removeprefix("ConvertsTo"))


def _convertible(compiler: Compiler, node: Node, scope: Scope, name: str) -> Closure:
    operand = compiler.expression(node["operand"], scope)
    convert = conversion.CONVERSIONS.get(name)
    if convert is None:
        raise Unsupported(f"a conversion to {name}", _TYPES)

    def asked(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        if value is None:
            return None
        try:
            return convert(value) is not None
        except (OutOfRange, ArithmeticError, ValueError):
            return False

    return asked


def type_test(specifier: Any) -> Test:
    """Return the test whether a value that is not null is of the type.

    Raises:
        Unsupported: the type is not known.
    """
    if isinstance(specifier, str):
        return _named_test(specifier)
    match specifier["type"]:
        case "NamedTypeSpecifier":
            return _named_test(specifier["name"])
        case "ListTypeSpecifier":
            inner = type_test(specifier["elementType"])
            return lambda value: (
                isinstance(value, list) and all(item is None or inner(item) for item in value)
            )
        case "IntervalTypeSpecifier":
            return _interval_test(type_name(specifier["pointType"]))
        case "ChoiceTypeSpecifier":
            tests = [type_test(choice) for choice in specifier.get("choice", [])]
            return lambda value: any(test(value) for test in tests)
        case "TupleTypeSpecifier":
            names = {part["name"] for part in specifier.get("element", [])}
            return lambda value: isinstance(value, Tuple) and names.issuperset(value)
        case kind:
            raise Unsupported(f"type {kind} is not known", _TYPES)


def _is_choice(specifier: Any) -> bool:
    return isinstance(specifier, dict) and specifier["type"] == "ChoiceTypeSpecifier"


def _interval_test(point: str | None) -> Test:
    def test(value: Any) -> bool:
        if not isinstance(value, Interval):
            return False
        return point == "Any" or (point_type(value.low, value.high) or value.point) in (point, "Any")

    return test


def _named_test(name: str) -> Test:
    local = type_name(name) or ""
    if name.startswith(SYSTEM):
        try:
            return conversion.kind_test(local)
        except KeyError:
            raise Unsupported(f"type {local} is not known", _TYPES) from None
    if not name.startswith(FHIR):
        raise Unsupported(f"type {name} is not known", _TYPES)

    def test(value: Any) -> bool:
        if isinstance(value, Labelled):
            return value.type == local
        if isinstance(value, Mapping) and "resourceType" in value:
            return local in (value["resourceType"], "Resource", "DomainResource")
        # An element's JSON does not name its type; the translator has checked it against the model.
        return True

    return test
