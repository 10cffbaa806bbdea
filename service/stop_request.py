"""A request to stop, by a signal: noted at any moment, acted on between two steps.

A handler that raises does so in the middle of whatever runs just then: after a lock was
taken and before the `try` that gives it back, or in a destructor, where Python drops it.
"""

import os
import select
import signal
from contextlib import suppress


class StopRequest:
    """Whether one of some signals has come. One per process, made in its main thread."""

    def __init__(self, *numbers: signal.Signals) -> None:
        """Take note of these signals from now on; none of them ends the process any more."""
        self._made = False
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        for number in numbers:
            signal.signal(number, self._note)

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the request is made, and return whether it is."""
        if not self._made:
            # What was noted since the line above lies in the pipe.
            select.select([self._reading], [], [], seconds)
        return self._made

    def _note(self, _number: int, _frame: object) -> None:
        self._made = True
        with suppress(BlockingIOError):
            os.write(self._writing, b".")
