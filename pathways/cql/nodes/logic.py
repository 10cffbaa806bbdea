"""Three-valued logic and the choices made on it."""

from typing import Any

from pathways.cql.comparison import equal
from pathways.cql.compiler import Compiler, node
from pathways.cql.nodes.values import constant
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope


def _two(compiler: Compiler, node: Node, scope: Scope) -> tuple[Closure, Closure]:
    left, right = node["operand"]
    return compiler.expression(left, scope), compiler.expression(right, scope)


@node("And")
def _and(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    left, right = _two(compiler, node, scope)

    def answered(run: Any, slots: Any) -> Any:
        one = left(run, slots)
        if one is False:
            return False
        other = right(run, slots)
        if other is False:
            return False
        return True if one and other else None

    return answered


@node("Or")
def _or(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    left, right = _two(compiler, node, scope)

    def answered(run: Any, slots: Any) -> Any:
        one = left(run, slots)
        if one is True:
            return True
        other = right(run, slots)
        if other is True:
            return True
        return None if one is None or other is None else False

    return answered


@node("Xor")
def _xor(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    left, right = _two(compiler, node, scope)

    def answered(run: Any, slots: Any) -> Any:
        one, other = left(run, slots), right(run, slots)
        return None if one is None or other is None else one is not other

    return answered


@node("Implies")
def _implies(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    left, right = _two(compiler, node, scope)

    def answered(run: Any, slots: Any) -> Any:
        one = left(run, slots)
        if one is False:
            return True
        other = right(run, slots)
        if other is True:
            return True
        return None if one is None or other is None else False

    return answered


@node("Not")
def _not(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = compiler.expression(node["operand"], scope)

    def answered(run: Any, slots: Any) -> Any:
        value = operand(run, slots)
        return None if value is None else not value

    return answered


@node("IsNull", "IsTrue", "IsFalse")
def _is(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operand = compiler.expression(node["operand"], scope)
    wanted = {"IsNull": None, "IsTrue": True, "IsFalse": False}[node["type"]]
    return lambda run, slots: operand(run, slots) is wanted


@node("If")
def _if(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    condition = compiler.expression(node["condition"], scope)
    then, otherwise = compiler.expression(node["then"], scope), compiler.expression(node["else"], scope)
    return lambda run, slots: then(run, slots) if condition(run, slots) is True else otherwise(run, slots)


@node("Case")
def _case(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    items = [
        (compiler.expression(item["when"], scope), compiler.expression(item["then"], scope))
        for item in node["caseItem"]
    ]
    otherwise = compiler.expression(node["else"], scope)
    comparand = compiler.expression(node["comparand"], scope) if node.get("comparand") else None

    def chosen(run: Any, slots: Any) -> Any:
        value = comparand(run, slots) if comparand else True
        for when, then in items:
            if equal(value, when(run, slots)) is True:
                return then(run, slots)
        return otherwise(run, slots)

    return chosen


@node("Coalesce")
def _coalesce(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operands = [compiler.expression(operand, scope) for operand in node["operand"]]
    signature = node.get("signature", [])
    of_list = len(operands) == 1 and (not signature or signature[0]["type"] == "ListTypeSpecifier")

    def first_known(run: Any, slots: Any) -> Any:
        if of_list:
            return next((item for item in operands[0](run, slots) or () if item is not None), None)
        for operand in operands:
            value = operand(run, slots)
            if value is not None:
                return value
        return None

    return first_known


@node("Message")
def _message(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    """Answer the source; an error whose condition holds ends the evaluation."""
    source = compiler.expression(node["source"], scope)
    condition = compiler.expression(node["condition"], scope) if node.get("condition") else constant(True)
    severity = compiler.optional(node.get("severity"), scope)
    code = node.get("code")
    if code is not None and code.get("type") not in ("Literal", "Null"):
        # The text of an error must not be able to carry a patient's value out of the evaluation.
        raise Unsupported("a Message whose code is not a literal", "write the code as a text in quotes")
    name = (code or {}).get("value", "")

    def told(run: Any, slots: Any) -> Any:
        value = source(run, slots)
        if condition(run, slots) is True and severity(run, slots) == "Error":
            raise Unanswerable(f"message {name}")
        return value

    return told
