"""The two ways the engine says no: a library it will not load, an evaluation it will not guess."""

from collections.abc import Sequence


class Refused(Exception):
    """The library is not run: it uses what the engine cannot evaluate exactly.

    Every reason is listed at once, each naming the definition it is in.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = tuple(reasons)


class EvaluationFailed(Exception):
    """An evaluation met a value it cannot work with, named by its definition and never by the value."""

    def __init__(self, definition: str, reason: str) -> None:
        super().__init__(f"{definition}: {reason}")
        self.definition = definition
        self.reason = reason


class Unanswerable(Exception):
    """An operator has no answer for its arguments; becomes EvaluationFailed with the definition's name."""
