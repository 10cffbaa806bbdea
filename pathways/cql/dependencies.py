"""What each definition depends on: other definitions, functions, and so which parameters."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from pathways.cql.compiler import Program
from pathways.cql.scope import Frame, Name

DEFINITION, FUNCTION, PARAMETER = "definition", "function", "parameter"


def parameters_read(program: Program, frames: Mapping[Name, Frame]) -> dict[str, tuple[str, ...]]:
    """Return the parameters each definition reads, itself or through others.

    What asks for itself is noted as a reason to refuse: it would recurse without end.

    Args:
        program: takes the reasons.
        frames: of every definition and function, and of the parameters that have a default.
    """
    reads: dict[Name, set[str]] = {}
    for name in _in_order(program, frames):
        own = {name[1]} if name[0] == PARAMETER else set()
        frame = frames.get(name)
        others = [reads.get(other, set()) for other in frame.reads] if frame else []
        reads[name] = own.union(*others)
    return {name: tuple(sorted(found)) for (kind, name), found in reads.items() if kind == DEFINITION}


def _in_order(program: Program, frames: Mapping[Name, Frame]) -> list[Name]:
    graph = {name: set(frame.reads) for name, frame in frames.items()}
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = set(error.args[1])
            for name in circle:
                program.refuse(
                    frames[name].definition, "is defined by itself", hint="CQL has no recursion: use a query"
                )
                graph.pop(name, None)
            for others in graph.values():
                others -= circle
