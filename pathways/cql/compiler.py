"""Compile ELM into closures: each node once, by its type, with every reason to refuse collected.

No text is ever executed. A node type is known when a module of `nodes` has registered it.
"""

from collections.abc import Callable
from typing import Any

from pathways.cql.refusal import Unanswerable
from pathways.cql.scope import Closure, Frame, Node, Scope
from pathways.cql.values import Code, Concept, Vocabulary

SYSTEM = "{urn:hl7-org:elm-types:r1}"
FHIR = "{http://hl7.org/fhir}"

NodeCompiler = Callable[["Compiler", Node, Scope], Closure]

NODES: dict[str, NodeCompiler] = {}


def node(*types: str) -> Callable[[NodeCompiler], NodeCompiler]:
    """Register the compiler of one or more node types."""

    def registered(compile_: NodeCompiler) -> NodeCompiler:
        for type_ in types:
            NODES[type_] = compile_
        return compile_

    return registered


class Unsupported(Exception):
    """One reason to refuse the library; the compiler adds where."""


class Function:
    """A function of the library: its body, filled in when everything is compiled."""

    def __init__(self, definition: Node) -> None:
        self.name: str = definition["name"]
        self.operands: list[Node] = definition.get("operand", [])
        self.expression: Node | None = None if definition.get("external") else definition.get("expression")
        self.body: Closure = _not_yet
        self.size = 0


class Retrieve:
    """What one Retrieve reads: a type, and the codes at a path of it, if any."""

    def __init__(self, type_: str, path: str | None, codes: tuple[Code, ...], label: str) -> None:
        self.type = type_
        self.path = path
        self.codes = codes
        self.label = label


class Compiler:
    """The library while it is being compiled: what its names mean, and what speaks against it."""

    def __init__(self, library: Node, *, plain_return: bool = False) -> None:
        self.library = library
        self.plain_return = plain_return
        self.reasons: list[str] = []
        self.retrieves: dict[int, Retrieve] = {}
        self.functions: dict[str, list[Function]] = {}
        self.expressions = {
            d["name"] for d in _definitions(library, "statements") if d.get("type") != "FunctionDef"
        }
        self.parameters = {d["name"] for d in _definitions(library, "parameters")}
        self.systems = {d["name"]: d for d in _definitions(library, "codeSystems")}
        self.codes = {d["name"]: d for d in _definitions(library, "codes")}
        self.concepts = {d["name"]: d for d in _definitions(library, "concepts")}
        self.helpers = {
            d["localIdentifier"]
            for d in _definitions(library, "includes")
            if d.get("path", "").endswith("FHIRHelpers")
        }

    def expression(self, node: Node, scope: Scope) -> Closure:
        """Return the closure of a node; a reason to refuse is noted and compiling goes on."""
        compile_ = NODES.get(node.get("type", ""))
        try:
            if compile_ is None:
                raise Unsupported(f"node type {node.get('type')} is not known")
            closure = compile_(self, node, scope)
        except Unsupported as reason:
            self.refuse(scope.frame.definition, str(reason))
            return _not_yet
        if not scope.in_query:
            if node["type"] in ("FunctionRef", "Query"):
                closure = _remembered(closure, scope.frame.definition, id(node))
            scope.frame.outside_queries[id(node)] = closure
        return closure

    def optional(self, node: Node | None, scope: Scope) -> Closure:
        """Return the closure of a node, or one that answers null when there is no node."""
        return _null if node is None else self.expression(node, scope)

    def refuse(self, definition: str, reason: str) -> None:
        """Note a reason, once."""
        line = f"{definition}: {reason}"
        if line not in self.reasons:
            self.reasons.append(line)

    def definition(self, name: str, node: Node) -> tuple[Closure, Frame]:
        """Return the closure of a definition or a parameter's default, with its frame."""
        frame = Frame(name)
        return self.expression(node, Scope(frame)), frame

    def function(self, function: Function, node: Node) -> Frame:
        """Compile the body of a function."""
        frame = Frame(function.name)
        scope = Scope(frame)
        for operand in function.operands:
            scope.add(operand["name"])
        scope.in_query = True  # its operands are rows to an explanation: they have values only in a call
        function.body = self.expression(node, scope)
        function.size = frame.size
        return frame

    def code(self, name: str) -> Code:
        """Return the code a name in the library stands for."""
        definition = self.codes.get(name)
        if definition is None:
            raise Unsupported(f"code {name} is not defined")
        system = self.systems.get(definition.get("codeSystem", {}).get("name", ""), {})
        return Code(definition.get("id"), system.get("id"), system.get("version"), definition.get("display"))

    def concept(self, name: str) -> Concept:
        """Return the concept a name in the library stands for."""
        definition = self.concepts.get(name)
        if definition is None:
            raise Unsupported(f"concept {name} is not defined")
        codes = tuple(self.code(reference["name"]) for reference in definition.get("code", []))
        return Concept(codes, definition.get("display"))

    def system(self, name: str) -> Vocabulary:
        """Return the code system a name in the library stands for."""
        definition = self.systems.get(name)
        if definition is None:
            raise Unsupported(f"code system {name} is not defined")
        return Vocabulary("CodeSystem", definition.get("id"), definition.get("version"))


def type_name(specifier: Node | str | None) -> str | None:
    """Return the local name of a named type, "List", "Interval", "Tuple" or "Choice" of the others."""
    if specifier is None:
        return None
    if isinstance(specifier, str):
        return specifier.partition("}")[2]
    kind: str = specifier["type"].removesuffix("TypeSpecifier")
    return specifier["name"].partition("}")[2] if kind == "Named" else kind


def result_type(node: Node) -> Node | str | None:
    """Return the recorded type of a node's result."""
    return node.get("resultTypeSpecifier") or node.get("resultTypeName")


def is_system(specifier: Node | str | None) -> bool:
    """Return whether a type is one of CQL's own."""
    if isinstance(specifier, dict):
        specifier = specifier.get("name")
    return specifier is not None and specifier.startswith(SYSTEM)


def operand_type(node: Node, at: int = 0) -> str | None:
    """Return the declared kind of an operand, which a null cannot tell by itself."""
    signature = node.get("signature", [])
    return type_name(signature[at]) if at < len(signature) else None


def constant_codes(compiler: Compiler, node: Node) -> tuple[Code, ...]:
    """Return the codes an expression of a Retrieve stands for.

    Raises:
        Unsupported: it is not made of the library's codes and concepts alone.
    """
    match node.get("type"):
        case "CodeRef":
            return (compiler.code(node["name"]),)
        case "ConceptRef":
            return compiler.concept(node["name"]).codes
        case "ToList" | "ToConcept":
            return constant_codes(compiler, node["operand"])
        case "Property" if node.get("path") == "codes":
            return constant_codes(compiler, node["source"])
        case "List":
            return tuple(code for part in node.get("element", []) for code in constant_codes(compiler, part))
        case _:
            raise Unsupported("a Retrieve by anything but codes of the library")


def _definitions(library: Node, kind: str) -> list[Node]:
    found: list[Node] = library.get(kind, {}).get("def", [])
    return found


def _remembered(closure: Closure, definition: str, key: int) -> Closure:
    # Outside a query an expression has one value in a run; an explanation asks for it again.
    def once(run: Any, slots: Any) -> Any:
        parts = run.parts(definition)
        if key not in parts:
            parts[key] = closure(run, slots)
        return parts[key]

    return once


def _null(_run: Any, _slots: Any) -> None:
    return None


def _not_yet(_run: Any, _slots: Any) -> Any:
    raise Unanswerable("not compiled")
