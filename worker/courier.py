"""A process beside the sweep that delivers to the hospital's server, and asks what became of it.

A server may hang or answer for minutes, and evaluations must not wait behind it: so whoever sends is neither
a worker nor the sweep. It needs no broker. What is to be sent it finds in the record by itself.
"""

from service.settings import Settings
from worker.beside import Beside


class Courier(Beside):
    """The process, where there is a hospital."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is started yet."""
        super().__init__(settings, _serve, wanted=settings.hospital is not None)


def _serve(settings: Settings) -> None:
    # Here and not above: the sweep itself never sends, and would start later.
    from worker.rounds import serve

    serve(settings)
