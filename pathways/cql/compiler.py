"""Compile ELM into closures: each node once, by its type, with every reason to refuse collected.

No text is ever executed. A node type is known when a module of `nodes` has registered it.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

from pathways.cql import schema
from pathways.cql.refusal import Reason, Unanswerable, Unsupported
from pathways.cql.scope import Closure, Frame, Node, Scope
from pathways.cql.terminology import Terminology
from pathways.cql.values import Code, Concept, Vocabulary

SYSTEM = "{urn:hl7-org:elm-types:r1}"
FHIR = "{http://hl7.org/fhir}"

NodeCompiler = Callable[["Compiler", Node, Scope], Closure]

NODES: dict[str, NodeCompiler] = {}

#: what is no dearer to ask for than to keep
AT_HAND = frozenset(
    {
        *("Literal", "Null", "Now", "Today", "TimeOfDay", "ParameterRef", "ExpressionRef", "CodeRef"),
        *("ConceptRef", "ValueSetRef", "CodeSystemRef", "AliasRef", "OperandRef", "QueryLetRef"),
        *("IdentifierRef", "Current", "Iteration", "Total"),
    }
)

# What reading a node raises that lacks a part, or has one of another kind.
NOT_WHOLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def node(*types: str) -> Callable[[NodeCompiler], NodeCompiler]:
    """Register the compiler of one or more node types."""

    def registered(compile_: NodeCompiler) -> NodeCompiler:
        for type_ in types:
            NODES[type_] = compile_
        return compile_

    return registered


class Function:
    """A function of a library: its body, filled in when everything is compiled."""

    def __init__(self, definition: Node) -> None:
        self.name: str = definition["name"]
        self.private = is_private(definition)
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


class Program:
    """What all libraries that are loaded together share: what they read, what they name, why not to run."""

    def __init__(self, terminology: Terminology, *, plain_return: bool = False) -> None:
        self.terminology = terminology
        self.plain_return = plain_return
        self.reasons: list[Reason] = []
        # By the identity of the node: what a Retrieve reads, and what a reference refers to.
        self.retrieves: dict[int, Retrieve] = {}
        self.full_names: dict[int, str] = {}
        # Closures of nodes that no row is needed for; explanations evaluate a definition's parts again.
        self.outside_queries: dict[int, Closure] = {}
        self._shared: dict[Any, Closure] = {}
        self.called: dict[int, Function] = {}

    def shared(self, key: Hashable, make: Callable[[], Closure]) -> Closure:
        """Return the closure of what is the same wherever it stands, made when it is first met."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def refuse(self, definition: str, what: str, *, locator: str = "", hint: str = "") -> None:
        """Note a reason, once."""
        reason = Reason(definition, what, locator, hint)
        if reason not in self.reasons:
            self.reasons.append(reason)


class Compiler:
    """One library while it is being compiled: what its names mean.

    Names of an included library are told apart from others by a prefix, its own name and a dot.
    """

    def __init__(self, library: Node, program: Program, *, prefix: str = "") -> None:
        self.program = program
        self.prefix = prefix
        self.includes: dict[str, Compiler] = {}
        self.functions: dict[str, list[Function]] = {}
        self.expressions = {
            d["name"]: d for d in definitions_of(library, "statements") if d.get("type") != "FunctionDef"
        }
        self.parameters = {d["name"]: d for d in definitions_of(library, "parameters")}
        self.value_sets = {d["name"]: d for d in definitions_of(library, "valueSets")}
        self.systems = {d["name"]: d for d in definitions_of(library, "codeSystems")}
        self.codes = {d["name"]: d for d in definitions_of(library, "codes")}
        self.concepts = {d["name"]: d for d in definitions_of(library, "concepts")}
        self.helpers = {
            d["localIdentifier"]
            for d in definitions_of(library, "includes")
            if d.get("path", "").endswith("FHIRHelpers")
        }

    def expression(self, node: Node, scope: Scope) -> Closure:
        """Return the closure of a node; a reason to refuse is noted and compiling goes on."""
        try:
            compile_ = NODES.get(node["type"])
            if compile_ is None:
                raise Unsupported(f"node type {node['type']} is not known", "say it with other operators")
            for element in schema.unknown(node):
                raise Unsupported(f"{node['type']} with {element}, which is not known", "leave it out")
            before = scope.frame.size, len(scope.frame.slots_read)
            closure = compile_(self, node, scope)
        except Unsupported as reason:
            self.refuse(scope.frame, node, str(reason), reason.hint)
            return _not_yet
        except NOT_WHOLE as fault:
            self.refuse(scope.frame, node, _not_whole(node, fault), "translate it anew")
            return _not_yet
        if not scope.in_query:
            if node["type"] in ("FunctionRef", "Query"):
                closure = _remembered(closure, scope.frame.definition, id(node))
            if node["type"] != "ExpressionRef":
                # An explanation asks a run for what another definition is.
                self.program.outside_queries[id(node)] = closure
        elif node["type"] not in AT_HAND:
            closure = _once_a_query(closure, scope, *before)
        return closure

    def optional(self, node: Node | None, scope: Scope) -> Closure:
        """Return the closure of a node, or one that answers null when there is no node."""
        return _null if node is None else self.expression(node, scope)

    def refuse(self, frame: Frame, node: Node, what: str, hint: str = "") -> None:
        """Note a reason with its place."""
        self.program.refuse(frame.definition, what, locator=_locator(frame.root, node), hint=hint)

    def definition(self, name: str, node: Node) -> tuple[Closure, Frame]:
        """Return the closure of a definition or a parameter's default, with its frame."""
        frame = Frame(self.prefix + name, node)
        return self.expression(node, Scope(frame)), frame

    def function(self, function: Function, node: Node) -> Frame:
        """Compile the body of a function."""
        frame = Frame(self.prefix + function.name, node)
        scope = Scope(frame)
        for operand in function.operands:
            scope.add(operand["name"])
        scope.in_query = True  # its operands are rows to an explanation: they have values only in a call
        function.body = self.expression(node, scope)
        function.size = frame.size
        return frame

    def library_of(self, node: Node) -> "Compiler":
        """Return the library a reference points into.

        Raises:
            Unsupported: it is not given.
        """
        name = node.get("libraryName")
        if not name:
            return self
        if name not in self.includes:
            raise Unsupported(f"library {name} is not given", "give it to `load` with `libraries`")
        return self.includes[name]

    def found(self, kind: str, definitions: Mapping[str, Node], node: Node) -> Node:
        """Return the definition that a reference names, in this library or, by the node, seen from another.

        Raises:
            Unsupported: it does not exist, or is private to its library.
        """
        name = node["name"]
        definition = definitions.get(name)
        if definition is None:
            raise Unsupported(f"{kind} {self.prefix}{name} does not exist", "define it")
        if node.get("libraryName") and is_private(definition):
            raise Unsupported(f"{kind} {self.prefix}{name} is private", "make it public, or copy it")
        return definition

    def code(self, node: Node) -> Code:
        """Return the code a reference stands for."""
        library = self.library_of(node)
        definition = library.found("code", library.codes, node)
        reference = definition.get("codeSystem", {})
        system = library.library_of(reference).systems.get(reference.get("name", ""), {})
        return Code(definition.get("id"), system.get("id"), system.get("version"), definition.get("display"))

    def concept(self, node: Node) -> Concept:
        """Return the concept a reference stands for."""
        library = self.library_of(node)
        definition = library.found("concept", library.concepts, node)
        return Concept(tuple(map(library.code, definition.get("code", []))), definition.get("display"))

    def system(self, node: Node) -> Vocabulary:
        """Return the code system a reference stands for."""
        library = self.library_of(node)
        definition = library.found("code system", library.systems, node)
        return Vocabulary("CodeSystem", definition.get("id"), definition.get("version"))

    def value_set(self, node: Node) -> Vocabulary:
        """Return the value set a reference stands for."""
        library = self.library_of(node)
        definition = library.found("value set", library.value_sets, node)
        return Vocabulary("ValueSet", definition.get("id"), definition.get("version"))


def is_private(definition: Node) -> bool:
    """Return whether only its own library may refer to a definition."""
    return bool(definition.get("accessLevel") == "Private")


def definitions_of(library: Node, part: str) -> list[Node]:
    """Return the definitions in a part of a library."""
    found: list[Node] = library.get(part, {}).get("def", [])
    return found


def type_name(specifier: Node | str | None) -> str | None:
    """Return the local name of a named type, "List", "Interval", "Tuple" or "Choice" of the others."""
    if specifier is None:
        return None
    if isinstance(specifier, str):
        return _local(specifier)
    kind: str = specifier["type"].removesuffix("TypeSpecifier")
    return _local(specifier["name"]) if kind == "Named" else kind


@lru_cache(maxsize=1024)
def _local(name: str) -> str:
    return name.partition("}")[2]


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


def _not_whole(node: Any, fault: Exception) -> str:
    kind = node.get("type", "a node") if isinstance(node, dict) else "a node"
    # The name of a missing part is the schema's; any other text could quote what was written.
    return f"{kind} lacks {fault}" if isinstance(fault, KeyError) else f"{kind} is not as ELM has it"


def _locator(root: Node | None, node: Any) -> str:
    """Return where a node is: in the text, if the ELM says so, else its path from the definition."""
    path = _path(root, node)
    written = [each["locator"] for each, _ in path if "locator" in each]
    return written[-1] if written else "".join(step for _, step in path).removeprefix(".")


def _path(root: Any, node: Any) -> list[tuple[Node, str]]:
    # Walked without recursion: what is refused may be nested too deeply for that.
    pending: list[tuple[Any, list[tuple[Node, str]], str]] = [(root, [], "")]
    while pending:
        part, outer, step = pending.pop()
        if part is node:
            return [*outer, (part if isinstance(part, dict) else {}, step)]
        if isinstance(part, dict):
            path = [*outer, (part, step)]
            pending += [(inner, path, f".{name}") for name, inner in part.items()]
        elif isinstance(part, list):
            pending += [(inner, outer, f"{step}[{at}]") for at, inner in enumerate(part)]
    return []


def _remembered(closure: Closure, definition: str, key: int) -> Closure:
    # Outside a query an expression has one value in a run; an explanation asks for it again.
    def once(run: Any, slots: Any) -> Any:
        parts = run.parts[definition]
        if key not in parts:
            parts[key] = closure(run, slots)
        return parts[key]

    return once


def _once_a_query(closure: Closure, scope: Scope, size: int, reads: int) -> Closure:
    """Return the closure, evaluated once for all rows of the outmost query on whose rows it does not depend.

    `Interval[Now() - lookback, Now()]` in a `where` is the same for every row.

    Args:
        size: how many slots there were before the node was compiled: those of later number are its own.
        reads: how many slots had been read by then.
    """
    last_read = max((slot for slot in scope.frame.slots_read[reads:] if slot < size), default=-1)
    level = next((level for level in scope.queries if level.first > last_read), None)
    if level is None:
        return closure
    kept = scope.frame.slot()
    level.kept.append(kept)

    def once(run: Any, slots: Any) -> Any:
        # In a tuple, since null is a value as well; a query clears the slot before its first row.
        if slots[kept] is None:
            slots[kept] = (closure(run, slots),)
        return slots[kept][0]

    return once


def _null(_run: Any, _slots: Any) -> None:
    return None


def _not_yet(_run: Any, _slots: Any) -> Any:
    raise Unanswerable("not compiled")
