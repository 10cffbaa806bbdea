"""End this process with the one that started it, however that one ended.

For the processes that a server or a pool starts for itself: a supervisor cannot reach
them, and the signal of the system for it follows a thread, not a process.
"""

import os
import signal
import threading
import time

EVERY_S = 0.5


def end_with_parent() -> None:
    """Kill this process as soon as its parent has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        # Not an orderly end: whoever would have waited for it is gone.
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
