"""Load a library once, run it many times.

    elm --load--> Library --at(moment, records, parameters)--> Run --[name]--> value
                                                                   --explain--> tree

A Library is immutable and shared; a Run is one patient at one moment, and remembers what it has
already evaluated. Nothing here reads a clock.
"""

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any

from pathways.cql import dependencies, fhir, nodes
from pathways.cql.compiler import (
    NOT_WHOLE,
    Compiler,
    Function,
    Program,
    Retrieve,
    definitions_of,
    is_private,
)
from pathways.cql.linking import Linked, link
from pathways.cql.outline import Outline
from pathways.cql.parameters import Parameter, parameter_defined
from pathways.cql.refusal import EvaluationFailed, Refused
from pathways.cql.run import Home, Run
from pathways.cql.scope import Closure, Compiled, Frame, Name, Node
from pathways.cql.temporal import DateTime
from pathways.cql.terminology import InMemory, Terminology

NAMED_TYPE = "NamedTypeSpecifier"


# Callers give the same names again and again; of more sets of names than this, none is kept for long.
_MOST_READERS = 16


class Library:
    """A compiled library: what it needs, what it defines, and the way to run it.

    What it includes is part of it, under names like "Common.Adult": the included library's and a dot.
    """

    def __init__(self, elm: Mapping[str, Any], program: Program) -> None:
        identifier = elm["library"].get("identifier", {})
        self.name: str = identifier.get("id", "")
        self.version: str | None = identifier.get("version")
        self.phrases: dict[str, str] = {}
        #: every phrase
        self.spoken: frozenset[str] = frozenset()
        self.parameters: dict[str, Parameter] = {}
        self.nodes: dict[str, Node] = {}
        # The parameters that definitions read, themselves or through others, and for each definition
        # the place of its own among them.
        self.needs: list[tuple[str, ...]] = []
        self.needed: dict[str, int] = {}
        # The values of parameters whose default is the same in every run.
        self.constants: dict[str, Any] = {}
        # What `readers` has answered.
        self._readers: dict[frozenset[str], tuple[dict[str, int], list[tuple[str, ...]]]] = {}
        self._outlines: dict[int, Outline] = {}
        self._program = program
        #: by name
        self.compiled: dict[str, Compiled] = {}
        # The public definitions, of what is included too.
        self.public: frozenset[str] = frozenset()
        # Those of the library itself, in their order.
        self.definitions: tuple[str, ...] = ()

    @property
    def retrieves(self) -> tuple[Retrieve, ...]:
        """Return what the library reads: types, paths and codes."""
        return tuple(self._program.retrieves.values())

    def retrieve(self, node: Node) -> Retrieve | None:
        """Return what a Retrieve node reads."""
        return self._program.retrieves.get(id(node))

    def function(self, node: Node) -> Node | None:
        """Return the expression of the function a FunctionRef calls, None of one that is the engine's own."""
        called = self._program.called.get(id(node))
        return called.expression if called else None

    def outside_queries(self, node: Node) -> Closure | None:
        """Return what answers a part of a definition again; None within a query, where it has many values."""
        return self._program.outside_queries.get(id(node))

    def outline(self, node: Node) -> Outline:
        """Return what an explanation needs to know of a node."""
        known = self._outlines.get(id(node))
        if known is None:
            # The library keeps its nodes, so that no other gets the identity of one.
            known = self._outlines[id(node)] = Outline(node, self)
        return known

    def full_name(self, node: Node) -> str:
        """Return the name, in this library, of the definition or parameter a reference names."""
        return self._program.full_names[id(node)]

    def result_type(self, name: str) -> str | None:
        """Return the type of a definition's value, as "List<String>"; None where the ELM does not say."""
        return _type_said(self.nodes[name])

    def at(
        self,
        moment: datetime | DateTime,
        records: "fhir.Records | Iterable[fhir.Json]",
        parameters: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Return a run: one patient, one instance, one instant.

        Args:
            moment: aware; what `Now()` is, and whose offset says which day it is.
            records: the patient's resources; give `Records` to index them once for several runs.
            parameters: values by name; a missing one takes its default.

        Raises:
            EvaluationFailed: a parameter is missing, unknown, or not of its type.
        """
        if not isinstance(records, fhir.Records):
            records = fhir.Records(records)
        if not isinstance(moment, DateTime):
            moment = DateTime.of(moment)
        given = self.given(moment, parameters or {})
        for name, parameter in self.parameters.items():
            if parameter.required and name not in given:
                raise EvaluationFailed(name, "a required parameter is missing")
        return Run(self, moment, records, given)

    def given(self, moment: DateTime, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by name as a run keeps them, converted to their types.

        Raises:
            EvaluationFailed: a parameter is unknown, or not of its type.
        """
        unknown = parameters.keys() - self.parameters.keys()
        if unknown:
            raise EvaluationFailed("parameters", f"unknown: {', '.join(sorted(unknown))}")
        with Home(moment):
            return {name: self.parameters[name].given(value) for name, value in parameters.items()}

    def readers(self, given: frozenset[str]) -> tuple[Mapping[str, int], Sequence[tuple[str, ...]]]:
        """Return, when these parameters are given, which of them each definition reads.

        All else that a value depends on is the library, the moment and the records: a default is made of
        nothing else either.

        Returns:
            By definition a place in the second, which has the names of parameters.
        """
        known = self._readers.get(given)
        if known is None:
            read = [tuple(name for name in needs if name in given) for needs in self.needs]
            places = {names: place for place, names in enumerate(dict.fromkeys(read))}
            known = {name: places[read[place]] for name, place in self.needed.items()}, list(places)
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()
            self._readers[given] = known
        return known

    def compile(self, libraries: Sequence[Linked]) -> None:
        """Compile every definition; what speaks against it is noted in the program."""
        frames: dict[Name, Frame] = {}
        for linked in libraries:
            _declare(linked.compiler, linked.library)
            self.phrases |= {linked.compiler.prefix + name: phrase for name, phrase in linked.phrases.items()}
        self.spoken = frozenset(self.phrases.values())
        for linked in libraries:
            compiler = linked.compiler
            for name, definition in compiler.parameters.items():
                parameter = parameter_defined(compiler, definition)
                self.parameters[parameter.name] = parameter
                if parameter.constant is not None:
                    self.constants[parameter.name] = parameter.constant.value
                if parameter.frame:
                    frames[dependencies.PARAMETER, compiler.prefix + name] = parameter.frame
            for function in chain.from_iterable(compiler.functions.values()):
                if function.expression is not None:
                    frames[dependencies.FUNCTION, function] = compiler.function(function, function.expression)
            for name, statement in compiler.expressions.items():
                full = compiler.prefix + name
                self.nodes[full] = statement
                closure, frame = compiler.definition(name, statement["expression"])
                self.compiled[full] = Compiled(closure, frame)
                frames[dependencies.DEFINITION, full] = frame
        self.public = frozenset(name for name, statement in self.nodes.items() if not is_private(statement))
        own = libraries[-1].compiler.expressions
        self.definitions = tuple(name for name in own if name in self.public)
        read = dependencies.parameters_read(self._program, frames)
        places = {needs: place for place, needs in enumerate(dict.fromkeys(read.values()))}
        self.needs = list(places)
        self.needed = {name: places[needs] for name, needs in read.items()}


def load(
    elm: Mapping[str, Any],
    *,
    libraries: Iterable[Mapping[str, Any]] = (),
    terminology: Terminology | None = None,
    plain_return: bool = False,
) -> Library:
    """Return the library, compiled.

    Args:
        elm: as `pathways.cql.translate` writes it; not changed, and kept.
        libraries: the ELM of what it includes, and of what these include. FHIRHelpers is the engine's own.
        terminology: knows the codes of the value sets and code systems that it names; none without it.
        plain_return: accept a `return` that says neither `all` nor `distinct`. CQL drops repetitions
            there, which the author of a rule rarely means.

    Raises:
        Refused: with every reason at once.
    """
    program = Program(terminology or InMemory(), plain_return=plain_return)
    try:
        with _nothing_collected():
            loaded = Library(elm, program)
            loaded.compile(link(elm, libraries, program))
    except RecursionError:
        program.refuse("library", "is nested too deeply", hint="split it into definitions")
    except NOT_WHOLE as fault:
        program.refuse("library", f"the ELM is not whole ({type(fault).__name__})", hint="translate it anew")
    if program.reasons:
        raise Refused(program.reasons)
    return loaded


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Have no garbage looked for: all that is made while a library is compiled stays, and it is much."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def matches(elm: Mapping[str, Any], cql_text: str) -> bool:
    """Return whether the ELM was translated from exactly this text."""
    recorded = elm.get("hipway", {}).get("cqlSha256")
    return bool(recorded == hashlib.sha256(cql_text.encode()).hexdigest())


def _declare(compiler: Compiler, library: Node) -> None:
    for statement in definitions_of(library, "statements"):
        place = compiler.prefix + statement["name"]
        if statement.get("type") == "FunctionDef":
            function = Function(statement)
            compiler.functions.setdefault(function.name, []).append(function)
            if function.expression is None:
                compiler.program.refuse(place, "an external function", hint="write its body in CQL")
        elif statement.get("context") not in (None, "Patient", "Unfiltered"):
            compiler.program.refuse(
                place, f"context {statement['context']}", hint="write it in the context Patient"
            )


def _type_said(node: Node) -> str | None:
    """Return the type that a definition's own words, or a specifier, give."""
    named = node.get("resultTypeName") or (node.get("name") if node.get("type") == NAMED_TYPE else None)
    if named:
        return str(named).rpartition("}")[2]
    specifier = node.get("resultTypeSpecifier", node)
    for part, kind in (("elementType", "List"), ("pointType", "Interval")):
        if part in specifier:
            return f"{kind}<{_type_said(specifier[part])}>"
    return str(specifier["type"]).removesuffix("TypeSpecifier") if "type" in specifier else None


_KNOWN_NODES = nodes  # importing them is what registers them
