"""Codes, concepts, code systems and value sets by their names in the library, and membership in them.

https://cql.hl7.org/09-b-cqlreference.html#clinical-operators-3
"""

from collections.abc import Callable, Collection
from typing import Any

from pathways.cql.compiler import Compiler, node
from pathways.cql.nodes.values import constant
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.terminology import NotExpandable
from pathways.cql.values import Code, Concept

_GIVE = "give it to `load` with `terminology`"


@node("CodeRef")
def _code(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    return constant(compiler.code(node))


@node("ConceptRef")
def _concept(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    return constant(compiler.concept(node))


@node("CodeSystemRef")
def _system(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    return constant(compiler.system(node))


@node("ValueSetRef")
def _value_set(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    # Without `preserve`, as CQL before 1.5 has it, a value set stands for its codes.
    return constant(compiler.value_set(node) if node.get("preserve") else list(expansion(compiler, node)))


@node("ExpandValueSet")
def _expand(compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    codes = expansion(compiler, node["operand"])
    return lambda _run, _slots: list(codes)


@node("InValueSet")
def _in_value_set(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _membership(compiler.expression(node["code"], scope), _of_value_set(compiler, node))


@node("AnyInValueSet")
def _any_in_value_set(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _any_membership(compiler.expression(node["codes"], scope), _of_value_set(compiler, node))


@node("InCodeSystem")
def _in_system(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _membership(compiler.expression(node["code"], scope), _of_system(compiler, node))


@node("AnyInCodeSystem")
def _any_in_system(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _any_membership(compiler.expression(node["codes"], scope), _of_system(compiler, node))


def expansion(compiler: Compiler, reference: Node) -> tuple[Code, ...]:
    """Return the codes of the value set a reference names.

    Raises:
        Unsupported: it is not by name, or whoever loads the library does not know its codes.
    """
    if reference.get("type", "ValueSetRef") != "ValueSetRef":
        raise Unsupported("a value set that is not named", "name it in the library")
    value_set = compiler.value_set(reference)
    try:
        return compiler.program.terminology.expansion(value_set.id or "", value_set.version)
    except NotExpandable as reason:
        raise Unsupported(str(reason), _GIVE) from None


# Whether a code, or a bare text, is in a vocabulary.
Member = Callable[[Any], bool]


def _of_value_set(compiler: Compiler, node: Node) -> Member:
    codes = expansion(compiler, node["valueset"] if "valueset" in node else node["valuesetExpression"])
    keys = {(code.system, code.code) for code in codes}
    return _member(keys, {code.code for code in codes}, ambiguous=len({code.system for code in codes}) > 1)


def _of_system(compiler: Compiler, node: Node) -> Member:
    reference = node["codesystem"] if "codesystem" in node else node["codesystemExpression"]
    if reference.get("type", "CodeSystemRef") != "CodeSystemRef":
        raise Unsupported("a code system that is not named", "name it in the library")
    system = compiler.system(reference)
    try:
        codes = compiler.program.terminology.codes(system.id or "", system.version)
    except NotExpandable as reason:
        raise Unsupported(str(reason), _GIVE) from None
    return _member({(system.id, code) for code in codes}, codes, ambiguous=False)


def _member(
    keys: Collection[tuple[str | None, str | None]], texts: Collection[str | None], *, ambiguous: bool
) -> Member:
    def is_in(value: Any) -> bool:
        match value:
            case Code():
                return (value.system, value.code) in keys
            case Concept():
                return any((code.system, code.code) in keys for code in value.codes)
            case str() if ambiguous:
                raise Unanswerable("a code without a system, asked for in a value set of several systems")
            case str():
                return value in texts
            case None:
                return False
            case _:
                raise Unanswerable("membership in a vocabulary of what is no code")

    return is_in


def _membership(code: Closure, is_in: Member) -> Closure:
    return lambda run, slots: is_in(code(run, slots))


def _any_membership(codes: Closure, is_in: Member) -> Closure:
    # What is not there is in no vocabulary, as for one code.
    return lambda run, slots: any(map(is_in, codes(run, slots) or ()))
