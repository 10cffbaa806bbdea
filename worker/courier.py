"""A process beside the sweep that delivers to the hospital's server, and asks what became of it.

A server may hang or answer for minutes, and evaluations must not wait behind it: so whoever sends is neither
a worker nor the sweep. It needs no broker. What is to be sent it finds in the record by itself.
"""

import multiprocessing
from multiprocessing.context import SpawnProcess

from service.settings import Settings

#: a process that ended at once, such as for want of a file, is not started again sooner
AGAIN_S = 10.0

#: a spawned process shares no connection, lock or thread with this one
_SPAWN = multiprocessing.get_context("spawn")


class Courier:
    """The process, started when there is a hospital and again after it was lost."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is started yet."""
        self._settings = settings
        self._process: SpawnProcess | None = None
        self._started = float("-inf")

    def keep(self, moment: float) -> None:
        """Start the process where a hospital is set and it does not run.

        Args:
            moment: `time.monotonic()`.
        """
        if self._settings.hospital is None or (self._process and self._process.is_alive()):
            return
        if moment - self._started < AGAIN_S:
            return
        self.close()
        self._started = moment
        self._process = _SPAWN.Process(target=_serve, args=(self._settings,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int | None:
        """Return the number of the process."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process, whatever it does: what it has sent and not recorded is settled by a read."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None


def _serve(settings: Settings) -> None:
    # Here and not above: the sweep itself never sends, and would start later.
    from worker.rounds import serve

    serve(settings)
