"""A worker's sign of life: when it is asked for one, and beside its work now and then."""

import time

from sqlalchemy.exc import DBAPIError

from service.store import heartbeats
from service.store.database import Database

#: work says it as well as an answer does; more often would be a write for every patient
EVERY_S = 5.0


class Pulse:
    """When one process last said that it lives."""

    def __init__(self) -> None:
        """Begin with a process that has said nothing yet."""
        self._said = float("-inf")

    def beat(self, database: Database, moment: float | None = None) -> None:
        """Note in the database that a worker lives, unless this one has done so just now.

        Args:
            moment: `time.monotonic()`.
        """
        moment = time.monotonic() if moment is None else moment
        if moment - self._said < EVERY_S:
            return
        try:
            with database.transaction() as tx:
                heartbeats.beat(tx, heartbeats.WORKER)
        except DBAPIError:
            # Without a database nothing is evaluated, and that is told elsewhere.
            return
        self._said = moment
