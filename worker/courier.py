"""A process beside the sweep that delivers to the hospital's server, and asks what became of it.

A server may hang or answer for minutes, and evaluations must not wait behind it: so whoever sends is neither
a worker nor the sweep. It needs no broker. What is to be sent it finds in the record by itself.
"""

from service.settings import Settings
from worker.beside import Beside


class Courier(Beside):
    """The process, started when there is a hospital and again after it was lost."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is started yet."""
        super().__init__(_serve, settings)

    def keep(self, moment: float) -> None:
        """Start the process where a hospital is set and it does not run.

        What it has sent and not recorded when it was lost is settled by a read.

        Args:
            moment: `time.monotonic()`.
        """
        if self._settings.hospital is not None:
            super().keep(moment)


def _serve(settings: Settings) -> None:
    # Here and not above: the sweep itself never sends, and would start later.
    from worker.rounds import serve

    serve(settings)
