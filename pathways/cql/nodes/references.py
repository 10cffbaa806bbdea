"""Names: of definitions, functions, parameters and rows; and the elements of a value."""

from collections.abc import Callable, Mapping
from decimal import Decimal as _Decimal
from typing import Any

from pathways.cql import fhir
from pathways.cql.compiler import (
    Compiler,
    Function,
    is_system,
    node,
    result_type,
    type_name,
)
from pathways.cql.dependencies import DEFINITION, FUNCTION, PARAMETER
from pathways.cql.nodes.values import attribute
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.values import Labelled, Tuple

#: the slot of a row, or what answers a value
Source = Closure | int

#: what JSON is read as; a decimal may remember how it was spelled, in a type of its own
_JSON = frozenset({str, int, float, bool, dict})


@node("ExpressionRef")
def _expression(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    library = compiler.library_of(node)
    library.found("definition", library.expressions, node)
    name = _full_name(compiler, library, node, scope, DEFINITION)
    return compiler.program.shared((DEFINITION, name), lambda: _of_definition(name))


def _of_definition(name: str) -> Closure:
    def value(run: Any, _slots: Any) -> Any:
        known = run.known
        return known[name] if name in known else run.value(name)

    return value


@node("ParameterRef")
def _parameter(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    library = compiler.library_of(node)
    library.found("parameter", library.parameters, node)
    name = _full_name(compiler, library, node, scope, PARAMETER)
    return compiler.program.shared((PARAMETER, name), lambda: _of_parameter(name))


def _of_parameter(name: str) -> Closure:
    def value(run: Any, _slots: Any) -> Any:
        known = run.parameters_known
        return known[name] if name in known else run.parameter(name)

    return value


def _full_name(compiler: Compiler, library: Compiler, node: Node, scope: Scope, kind: str) -> str:
    name: str = library.prefix + node["name"]
    compiler.program.full_names[id(node)] = name
    scope.frame.reads.add((kind, name))
    return name


@node("AliasRef", "OperandRef", "QueryLetRef")
def _row(_compiler: Compiler, node: Node, scope: Scope) -> Closure:
    slot = _slot(scope, node["name"])
    return lambda _run, slots: slots[slot]


@node("IdentifierRef")
def _identifier(_compiler: Compiler, node: Node, scope: Scope) -> Closure:
    # In `sort by` a bare name is an element of the row being sorted.
    slot = scope.find(node["name"])
    if slot is not None:
        return lambda _run, slots: slots[slot]
    this, name = _slot(scope, "$this"), node["name"]
    return lambda _run, slots: of_row(slots[this], name)


@node("Current")
def _current(_compiler: Compiler, node: Node, scope: Scope) -> Closure:
    slot = _slot(scope, node.get("scope") or "$this")
    return lambda _run, slots: slots[slot]


@node("Iteration")
def _iteration(_compiler: Compiler, node: Node, scope: Scope) -> Closure:
    slot = _slot(scope, node.get("scope") or "$index")
    return lambda _run, slots: slots[slot]


@node("Total")
def _total(_compiler: Compiler, node: Node, scope: Scope) -> Closure:
    slot = _slot(scope, node.get("scope") or "$total")
    return lambda _run, slots: slots[slot]


@node("FunctionRef")
def _function(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operands = [compiler.expression(operand, scope) for operand in node.get("operand", [])]
    if node.get("libraryName") in compiler.helpers:
        return _helper(node, operands)
    function = _overload(compiler.library_of(node), node)
    compiler.program.called[id(node)] = function
    scope.frame.reads.add((FUNCTION, function))

    def called(run: Any, slots: Any) -> Any:
        given = [operand(run, slots) for operand in operands]
        # Of the same list the same is often asked, as of what is retrieved by a code: it is kept.
        if given and type(given[0]) is list:
            return run.of_list(function, given)
        return function.body(run, given + [None] * (function.size - len(given)))

    return called


def _overload(library: Compiler, node: Node) -> Function:
    name = f"{library.prefix}{node['name']}"
    named = library.functions.get(node["name"], [])
    fitting = [each for each in named if len(each.operands) == len(node.get("operand", []))]
    if len(fitting) > 1:
        wanted = [_plain_type(specifier) for specifier in node.get("signature", [])]
        fitting = [each for each in fitting if [_operand_type(o) for o in each.operands] == wanted]
    if not fitting:
        raise Unsupported(f"function {name} does not exist with these operands", "define it")
    if len(fitting) > 1:
        raise Unsupported(f"function {name} is ambiguous", "translate with signatures")
    if node.get("libraryName") and fitting[0].private:
        raise Unsupported(f"function {name} is private", "make it public, or copy it")
    return fitting[0]


def _operand_type(operand: Node) -> Any:
    return _plain_type(operand.get("operandTypeSpecifier") or operand.get("operandType"))


def _plain_type(specifier: Any) -> Any:
    if isinstance(specifier, Mapping):
        if specifier.get("type") == "NamedTypeSpecifier":
            return specifier["name"]
        return {
            key: _plain_type(part)
            for key, part in specifier.items()
            if not key.startswith("resultType") and part != []
        }
    return [_plain_type(part) for part in specifier] if isinstance(specifier, list) else specifier


def _helper(node: Node, operands: list[Closure]) -> Closure:
    name = node["name"]
    of = fhir.helper(name)
    if of is None or len(operands) != 1:
        raise Unsupported(f"FHIRHelpers.{name} is not known", "use a function of FHIRHelpers 4.0.1")
    [operand] = operands

    def helped(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        if isinstance(value, Labelled):
            value = value.json
        return None if value is None else of(value)

    return helped


@node("Property")
def _property(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    if node["path"] in _OF_PRIMITIVES and node.get("source", {}).get("type") == "Property":
        return _of_element(compiler, node["source"], scope, node["path"])
    source = source_of(compiler, node, scope)
    *outer, last = node["path"].split(".")
    for path in outer:
        source = _element(source, path, ())
    if node["path"] == "birthDate.value":
        # The translator writes this one itself, for AgeInYears(), and leaves its type out.
        return _value(source, "Date")
    return _last_element(node, source, last)


# What a primitive element has beside its value; in JSON it stands beside it, under a name with a line.
_OF_PRIMITIVES = ("extension", "id")


def _of_element(compiler: Compiler, node: Node, scope: Scope, path: str) -> Closure:
    """Return the extensions or the id of an element, which a primitive may have without a value.

    https://hl7.org/fhir/R4/json.html#primitive
    """
    owner = reading(source_of(compiler, node, scope), None, lambda value: value)
    keys = [key for key, _ in _choices(node, node["path"])] or [node["path"]]
    otherwise = _element(compiler.expression(node, scope), path, ())

    def taken(run: Any, slots: Any) -> Any:
        value = owner(run, slots)
        if type(value) is not dict or "." in node["path"]:
            return otherwise(run, slots)
        for key in keys:
            if isinstance(value.get(key), (dict, list)):
                return otherwise(run, slots)
            if f"_{key}" in value:
                return value[f"_{key}"].get(path)
        return None

    return taken


def source_of(compiler: Compiler, node: Node, scope: Scope) -> Source:
    """Return what a Property is read from: the slot of a row, or a closure."""
    if "scope" in node:
        return _slot(scope, node["scope"])
    return compiler.expression(node["source"], scope)


def reading(source: Source, key: str | None, otherwise: Callable[[Any], Any]) -> Closure:
    """Return the closure that reads a key of a JSON object, and whatever else by a function of its own.

    Most of what rules do is this, so a row is read from its slot without a call for it.
    """
    if isinstance(source, int):

        def of_row(_run: Any, slots: Any) -> Any:
            value = slots[source]
            return value.get(key) if type(value) is dict and key is not None else otherwise(value)

        return of_row

    def taken(run: Any, slots: Any) -> Any:
        value = source(run, slots)
        return value.get(key) if type(value) is dict and key is not None else otherwise(value)

    return taken


def _last_element(node: Node, source: Source, path: str) -> Closure:
    type_ = result_type(node)
    if path == "value" and type_ is None:
        raise Unsupported("a value whose type cannot be known", "cast it: `(X.value as FHIR.Quantity).value`")
    if path == "value" and is_system(type_):
        return _value(source, type_name(type_))
    return _element(source, path, _choices(node, path))


def _choices(node: Node, path: str) -> tuple[tuple[str, str], ...]:
    type_ = result_type(node)
    if not isinstance(type_, dict) or type_["type"] != "ChoiceTypeSpecifier":
        return ()
    return fhir.choice_keys(path, [type_name(choice) or "" for choice in type_.get("choice", [])])


def key_of_choice(node: Node, type_: str) -> str | None:
    """Return the JSON key that a Property has when its choice is of this type, None of any other node."""
    if node.get("type") != "Property" or "." in node["path"]:
        return None
    return next((key for key, of in _choices(node, node["path"]) if of == type_), None)


def _value(source: Source, type_: str | None) -> Closure:
    primitive = fhir.primitive(type_ or "")

    def taken(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is Labelled:
            value = value.json
        if type(value) not in _JSON and not isinstance(value, _Decimal):
            return attribute(value, "value")
        if primitive is None:
            raise Unanswerable("a value whose type is not known")
        return primitive(value)

    return reading(source, None, taken)


def _element(source: Source, path: str, choices: tuple[tuple[str, str], ...]) -> Closure:
    def taken(value: Any) -> Any:
        if value is None:
            return None
        kind = type(value)
        if kind is Tuple:
            return value.get(path)
        if kind is dict or kind is Labelled:
            return fhir.element(value, path, choices)
        return attribute(value, path)

    return reading(source, None if choices else path, taken)


def of_row(row: Any, name: str) -> Any:
    """Return the element of a row by its bare name, as `sort by` writes it."""
    if row is None:
        return None
    return row.get(name) if isinstance(row, dict) else attribute(row, name)


def _slot(scope: Scope, name: str) -> int:
    slot = scope.find(name)
    if slot is None:
        raise Unsupported(f"{name} is not visible here", "name a row of this query or an operand")
    return slot
