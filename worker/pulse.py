"""A process's sign of life: when it is asked for one, and beside its work now and then."""

import time

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from service.store import heartbeats
from service.store.database import Database

#: work says it as well as an answer does; more often would be a write for every patient
EVERY_S = 5.0


class Pulse:
    """When one process last said that it lives."""

    def __init__(self, part: str = heartbeats.WORKER) -> None:
        """Begin with a process that has said nothing yet.

        Args:
            part: which it is, by its name in `service.store.heartbeats`.
        """
        self._part = part
        self._said = float("-inf")

    def beat(self, database: Database, moment: float | None = None) -> None:
        """Note in the database that the part lives, unless this process has done so just now.

        Args:
            moment: `time.monotonic()`.
        """
        moment = time.monotonic() if moment is None else moment
        if moment - self._said < EVERY_S:
            return
        try:
            with database.transaction() as tx:
                heartbeats.beat(tx, self._part)
        except (DBAPIError, psycopg.Error, NoConnection):
            # Without a database nothing is evaluated or delivered, and that is told elsewhere.
            return
        self._said = moment
