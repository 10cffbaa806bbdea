"""A worker that no longer takes what waits for it ends, so that it is started again.

After a broker was killed and came back, Celery's consumer may stay connected and never ask
for a message again (https://github.com/celery/celery/issues/8030 and later ones of its kind).
From inside that looks like a quiet hour; only the messages that wait tell the two apart.
"""

import os
import threading
import time
from collections.abc import Callable

from service import broker, log
from service.settings import Settings

EVERY_S = 3.0
#: a free worker takes a message within a blink; this is long enough for a slow start
DEAF_S = 12.0

#: EX_TEMPFAIL: whoever started this process may start it again
DEAF = 75

logger = log.get()


class Vigil:
    """What one worker has taken, seen against what waits."""

    def __init__(self, now: float) -> None:
        """Begin with a worker that has just taken something.

        Args:
            now: `time.monotonic()`, here as below.
        """
        self._since = now

    def taken(self, now: float) -> None:
        """Note that a message was taken, or that there was a reason not to take one."""
        self._since = now

    def is_deaf(self, waiting: int | None, *, busy: bool, now: float) -> bool:
        """Return whether messages have waited all the while and none was taken.

        Args:
            waiting: messages in the queue; None: the broker cannot be reached.
            busy: whether the worker is at work; then it rightly takes no more.
        """
        if not waiting or busy:
            self.taken(now)
        return now - self._since > DEAF_S


def keep(settings: Settings, vigil: Vigil, busy: Callable[[], bool]) -> None:
    """Watch in a thread of its own, and end this process when it is deaf."""

    def watch() -> None:
        looked = time.monotonic()
        while True:
            time.sleep(EVERY_S)
            now = time.monotonic()
            if now - looked > 2 * EVERY_S:
                # The whole process stood still; it has to be given time to take something.
                vigil.taken(now)
            looked = now
            if vigil.is_deaf(broker.backlog(settings), busy=busy(), now=now):
                logger.error("worker_takes_no_messages", ends_with=DEAF)
                os._exit(DEAF)

    threading.Thread(target=watch, name="vigil", daemon=True).start()
