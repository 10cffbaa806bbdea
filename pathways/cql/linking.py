"""Which library an include means: by name and version, among those that are given.

https://cql.hl7.org/02-authorsguide.html#libraries
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathways.cql.compiler import Compiler, Program, definitions_of
from pathways.cql.scope import Node

# The conversions of this version are the engine's own; the library is never read.
HELPERS_VERSION = "4.0.1"

# The parts of ELM this engine reads, or knows it need not.
_PARTS = {
    "annotation",
    "identifier",
    "schemaIdentifier",
    "usings",
    "includes",
    "parameters",
    "codeSystems",
    "codes",
    "concepts",
    "contexts",
    "statements",
    "type",
    "valueSets",
}


@dataclass(frozen=True, slots=True)
class Linked:
    """A library with what its names mean; `phrases` are the words its author gave to its definitions."""

    library: Node
    compiler: Compiler
    phrases: Mapping[str, str]


def link(elm: Mapping[str, Any], libraries: Iterable[Mapping[str, Any]], program: Program) -> list[Linked]:
    """Return the library and all that it includes, each after those it includes itself; the library is last.

    What cannot be found is noted in the program.
    """
    return _Linking(libraries, program).all_of(elm)


class _Linking:
    """One loading: what is given, and what has been linked so far."""

    def __init__(self, libraries: Iterable[Mapping[str, Any]], program: Program) -> None:
        self.program = program
        self.given: dict[str, list[Mapping[str, Any]]] = {}
        for elm in libraries:
            identifier = elm["library"]["identifier"]
            self.given.setdefault(identifier["id"], []).append(elm)
            if "system" in identifier:
                self.given.setdefault(f"{identifier['system']}/{identifier['id']}", []).append(elm)
        self.linked: dict[int, Linked] = {}

    def all_of(self, elm: Mapping[str, Any]) -> list[Linked]:
        self.compiler(elm, "", ())
        return list(self.linked.values())

    def compiler(self, elm: Mapping[str, Any], prefix: str, outer: tuple[int, ...]) -> Compiler:
        library = elm["library"]
        place = prefix.removesuffix(".") or "library"
        self._check(library, place)
        compiler = Compiler(library, self.program, prefix=prefix)
        for include in definitions_of(library, "includes"):
            if include["localIdentifier"] in compiler.helpers:
                self._check_helpers(include, place)
            elif found := self._found(include, place):
                if id(found) in (*outer, id(elm)):
                    self._refuse(
                        place, include, "includes this library itself", "move what both need to a third"
                    )
                    continue
                linked = self.linked.get(id(found))
                compiler.includes[include["localIdentifier"]] = (
                    linked.compiler
                    if linked
                    else self.compiler(found, self._prefix(found), (*outer, id(elm)))
                )
        self.linked[id(elm)] = Linked(library, compiler, elm.get("hipway", {}).get("phrases", {}))
        return compiler

    def _check(self, library: Node, place: str) -> None:
        for note in library.get("annotation", []):
            if note.get("errorSeverity") == "error":
                self.program.refuse(
                    place, f"translation error: {note.get('message', 'unknown')}", hint="mend the CQL"
                )
        for part in library.keys() - _PARTS:
            self.program.refuse(place, f"part {part} is not known", hint="leave it out")

    def _check_helpers(self, include: Node, place: str) -> None:
        if include.get("version", HELPERS_VERSION) != HELPERS_VERSION:
            self._refuse(
                place,
                include,
                f"version {include['version']} is not known",
                f"include FHIRHelpers version '{HELPERS_VERSION}'",
            )

    def _found(self, include: Node, place: str) -> Mapping[str, Any] | None:
        given = self.given.get(include["path"], [])
        version = include.get("version")
        fitting = [elm for elm in given if version in (None, elm["library"]["identifier"].get("version"))]
        if len(fitting) == 1:
            return fitting[0]
        hint = "give its ELM to `load` with `libraries`"
        if fitting:
            self._refuse(
                place, include, "is given more than once", "say which version, and give that one once"
            )
        elif given:
            versions = ", ".join(sorted(str(elm["library"]["identifier"].get("version")) for elm in given))
            self._refuse(place, include, f"version {version} is not given, only {versions}", hint)
        else:
            self._refuse(place, include, "is not given", hint)
        return None

    def _refuse(self, place: str, include: Node, what: str, hint: str = "") -> None:
        self.program.refuse(
            place, f"include {include['path']} {what}", locator=include.get("locator", ""), hint=hint
        )

    def _prefix(self, elm: Mapping[str, Any]) -> str:
        identifier = elm["library"]["identifier"]
        plain = f"{identifier['id']}."
        taken = any(linked.compiler.prefix == plain for linked in self.linked.values())
        return f"{identifier['id']}|{identifier.get('version')}." if taken else plain
