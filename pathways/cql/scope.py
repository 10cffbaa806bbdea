"""What a compiled expression may see: the run, and the slots of the definition it stands in.

Names are turned into slot numbers once, when the library is loaded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathways.cql.run import Run

Slots = list[Any]
Closure = Callable[["Run", Slots], Any]
Node = dict[str, Any]
# A kind ("definition", "parameter", "function"), and the full name of one, or the function.
Name = tuple[str, Any]


class Frame:
    """The slots of one definition while it is compiled, and what it reads."""

    def __init__(self, definition: str, root: Node | None = None) -> None:
        self.definition = definition
        self.root = root
        self.size = 0
        # What it asks for: definitions, functions and parameters, as `dependencies` names them.
        self.reads: set[Name] = set()
        # Every slot that was read so far, in the order of compiling.
        self.slots_read: list[int] = []

    def slot(self) -> int:
        """Return a slot nothing else in the definition uses."""
        self.size += 1
        return self.size - 1


class Compiled:
    """A definition as it is run: what is kept of its frame when everything is compiled."""

    __slots__ = ("closure", "definition", "size")

    def __init__(self, closure: Closure, frame: Frame) -> None:
        self.closure = closure
        self.definition = frame.definition
        self.size = frame.size


class Level:
    """A query while it is compiled: from which slot on its rows are, and what does not depend on them."""

    def __init__(self, first: int) -> None:
        self.first = first
        #: slots whose values hold while the query goes through its rows
        self.kept: list[int] = []


class Scope:
    """The names visible at one place of a definition."""

    def __init__(
        self,
        frame: Frame,
        names: dict[str, int] | None = None,
        *,
        in_query: bool = False,
        queries: tuple["Level", ...] = (),
    ) -> None:
        self.frame = frame
        self.names = names or {}
        self.in_query = in_query
        #: the queries around this place, the inmost last
        self.queries = queries

    def inner(self) -> "Scope":
        """Return the scope of a query inside this one."""
        return Scope(self.frame, dict(self.names), in_query=True, queries=self.queries)

    def query(self) -> tuple["Scope", "Level"]:
        """Return the scope of a query inside this one, and what is kept while it goes through its rows."""
        level = Level(self.frame.size)
        return Scope(self.frame, dict(self.names), in_query=True, queries=(*self.queries, level)), level

    def find(self, name: str) -> int | None:
        """Return the slot of a name, which is read from here; None where it is not visible."""
        slot = self.names.get(name)
        if slot is not None:
            self.frame.slots_read.append(slot)
        return slot

    def add(self, name: str) -> int:
        """Return the slot of a new name, which hides an outer one."""
        slot = self.frame.slot()
        self.names[name] = slot
        return slot
