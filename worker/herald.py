"""A process beside the sweep that tells subscribers what happens.

A subscriber may hang, and evaluations and the hospital's deliveries must not wait behind it: so whoever tells
is a process of its own. It is there while anybody subscribes.
"""

from service.settings import Settings
from worker.beside import Beside


class Herald(Beside):
    """The process."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is started yet."""
        super().__init__(settings, _serve, wanted=True)


def _serve(settings: Settings) -> None:
    # Here and not above: the sweep itself never tells, and would start later.
    from worker.telling import serve

    serve(settings)
