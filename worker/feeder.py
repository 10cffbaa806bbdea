"""A process beside the sweep that reads what is new on the hospital's server.

Not the courier: what is to be sent does not wait for what is read, nor the other way round. Each sweep has
one of its own; a lease in the database lets one of them read at a time.
"""

from service.settings import Settings
from worker.beside import Beside


class Feeder(Beside):
    """The process, where the hospital's data are read."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is started yet."""
        super().__init__(settings, _serve, wanted=settings.hospital is not None and settings.hospital.reads)


def _serve(settings: Settings) -> None:
    # Here and not above: the sweep itself never reads, and would start later.
    from worker.feeding import serve

    serve(settings)
