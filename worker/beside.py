"""A process beside the sweep: started when it is needed, and again after it was lost."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

from service.settings import Settings

#: a process that ended at once, such as for want of a file, is not started again sooner
AGAIN_S = 10.0

#: a spawned process shares no connection, lock or thread with this one
_SPAWN = multiprocessing.get_context("spawn")


class Beside:
    """One process that serves until it is ended."""

    def __init__(self, serve: Callable[[Settings], None], settings: Settings) -> None:
        """Prepare; nothing is started yet.

        Args:
            serve: a function of a module, which the new process finds by its name.
        """
        self._serve = serve
        self._settings = settings
        self._process: SpawnProcess | None = None
        self._started = float("-inf")

    def keep(self, moment: float) -> None:
        """Start the process where it does not run.

        Args:
            moment: `time.monotonic()`.
        """
        if self._process and self._process.is_alive():
            return
        if moment - self._started < AGAIN_S:
            return
        self.close()
        self._started = moment
        self._process = _SPAWN.Process(target=self._serve, args=(self._settings,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int | None:
        """Return the number of the process."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None
