"""Retrieve: the record's resources of a type, by code and by date.

What a library reads is known when it is loaded: codes are the library's own, or those of its value sets.

https://cql.hl7.org/elm/schema/clinicalexpression.xsd (Retrieve)
"""

from typing import Any

from pathways.cql import fhir, intervals
from pathways.cql.compiler import FHIR, Compiler, Retrieve, node, type_name
from pathways.cql.nodes.terminology import expansion
from pathways.cql.refusal import Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.temporal import Date, DateTime
from pathways.cql.values import Code, Interval

_REFUSED = (
    *("include", "includedIn", "codeFilter", "dateFilter", "otherFilter", "context", "id"),
    *("idProperty", "idSearch", "codeSearch", "valueSetProperty", "dateSearch"),
    *("dateLowProperty", "dateHighProperty"),
)


@node("Retrieve")
def _retrieve(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    if not node["dataType"].startswith(FHIR):
        raise Unsupported("a Retrieve of a type that is not FHIR's", "write `using FHIR version '4.0.1'`")
    for element in _REFUSED:
        if node.get(element):
            raise Unsupported(f"a Retrieve with {element}", "filter with `where`")
    rows = _by_code(compiler, node)
    return _by_date(compiler, node, rows, scope) if node.get("dateRange") else rows


def _by_code(compiler: Compiler, node: Node) -> Closure:
    type_, codes_node = type_name(node["dataType"]) or "", node.get("codes")
    path = node.get("codeProperty") if codes_node else None
    codes = _codes(compiler, codes_node) if codes_node else ()
    compiler.program.retrieves[id(node)] = Retrieve(type_, path, codes, _label(codes_node or {}))
    if path is None:
        return lambda run, _slots: list(run.records.of_type(type_))
    return compiler.program.shared(
        ("Retrieve", type_, path, codes), lambda: lambda run, _slots: run.records.coded(type_, path, codes)
    )


def _label(codes: Node) -> str:
    return str(codes.get("operand", codes).get("name", ""))


def _codes(compiler: Compiler, node: Node) -> tuple[Code, ...]:
    """Return the codes an expression of a Retrieve stands for.

    Raises:
        Unsupported: it is not made of the codes, concepts and value sets of a library alone.
    """
    match node.get("type"):
        case "CodeRef":
            return (compiler.code(node),)
        case "ConceptRef":
            return compiler.concept(node).codes
        case "ValueSetRef":
            return expansion(compiler, node)
        case "ExpandValueSet" | "ToList" | "ToConcept":
            return _codes(compiler, node["operand"])
        case "Property" if node.get("path") == "codes":
            return _codes(compiler, node["source"])
        case "List":
            return tuple(code for part in node.get("element", []) for code in _codes(compiler, part))
        case _:
            raise Unsupported("a Retrieve by anything but codes of the library", "filter with `where`")


def _by_date(compiler: Compiler, node: Node, rows: Closure, scope: Scope) -> Closure:
    path: str = node["dateProperty"]
    wanted = compiler.expression(node["dateRange"], scope)

    def found(run: Any, slots: Any) -> Any:
        range_ = wanted(run, slots)
        if range_ is None:
            return []
        run.spend(len(kept := rows(run, slots)))
        return [row for row in kept if _during(fhir.date_at(row, path), range_)]

    return found


def _during(value: DateTime | Interval | None, range_: Interval) -> bool:
    # What is not precise enough to tell is not within the range, as in a `where`.
    if value is None:
        return False
    asked = _days(value) if range_.point == "Date" else value
    of = intervals.includes if isinstance(asked, Interval) else intervals.contains
    return of(range_, asked) is True


def _days(value: DateTime | Interval) -> Date | Interval:
    if isinstance(value, DateTime):
        return value.date()
    low, high = (None if bound is None else bound.date() for bound in (value.low, value.high))
    return Interval(low, high, value.low_closed, value.high_closed, "Date")
