"""The two ways the engine says no: a library it will not load, an evaluation it will not guess."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason not to run a library, for its author."""

    #: the name of the definition it is in, or "library"; of an included library, with that library's name
    definition: str
    what: str
    #: where in the text ("12:5-12:30") if the ELM has locators, else where in the definition's ELM
    locator: str = ""
    #: what to write instead
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.definition} ({self.locator})" if self.locator else self.definition
        return f"{place}: {self.what}" + (f"; {self.hint}" if self.hint else "")


class Unsupported(Exception):
    """One reason to refuse the library, without its place."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Refused(Exception):
    """The library is not run: it uses what the engine cannot evaluate exactly.

    Every reason is listed at once, each naming the definition it is in.
    """

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("\n".join(map(str, reasons)))
        self.reasons = tuple(reasons)


class EvaluationFailed(Exception):
    """An evaluation met a value it cannot work with, named by its definition and never by the value."""

    def __init__(self, definition: str, reason: str) -> None:
        super().__init__(f"{definition}: {reason}")
        self.definition = definition
        self.reason = reason


class Unanswerable(Exception):
    """An operator has no answer for its arguments; becomes EvaluationFailed with the definition's name."""
