"""One installation on one data folder, however often it is started again, and its database."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

import psycopg
from installations import Installation
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from service.settings import Settings
from service.store.database import Database
from service.supervisor import postgres, supervise

Result = TypeVar("Result")

#: a database that is away for longer does not come back by itself
AWAY_S = 60.0


class Site:
    """A running service that may lose any of its processes at any time."""

    def __init__(self, data: Path, port: int, **variables: str) -> None:
        """Start it and wait until it is ready."""
        self.port = port
        self._data = data
        self._variables = variables
        self._database: Database | None = None
        #: those of sockets that are gone; other threads may still be about to give connections back
        self._former: list[Database] = []
        self._changing = Lock()
        self.start()
        try:
            self.installation.until_ready()
        except BaseException:
            self.close()
            raise

    def start(self) -> Installation:
        """Start the supervisor, on the data that are there."""
        self.installation = Installation(self._data, self.port, **self._variables)
        return self.installation

    @property
    def settings(self) -> Settings:
        """Return where database and broker are now: a new supervisor makes new sockets."""
        broker = (self._data / "valkey" / "run").resolve() / "valkey.sock"
        return Settings(
            database_url=postgres.running_in(self._data / supervise.POSTGRES) or "",
            broker_url=f"redis+socket://{broker}",
        )

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Return what the work returns, as often as the database has to be asked for it."""
        end = time.monotonic() + AWAY_S
        while True:
            database = None
            try:
                database = self._opened()
                return database.run(work)
            except (DBAPIError, psycopg.Error, NoConnection, OSError):
                if time.monotonic() > end:
                    raise
                self._forget(database)
                time.sleep(0.1)

    def close(self) -> None:
        """Stop everything."""
        self._forget(self._database)
        for database in self._former:
            database.close()
        self.installation.close()

    def _opened(self) -> Database:
        with self._changing:
            if self._database is None:
                url = self.settings.database_url
                if not url:
                    # Between the end of one server and the start of the next there is none.
                    raise NoConnection("no server runs in the folder now")
                self._database = Database(url, pool_size=4)
            return self._database

    def _forget(self, database: Database | None) -> None:
        """Open another one the next time, unless another thread has done so already."""
        with self._changing:
            if database is not None and database is self._database:
                self._database = None
                self._former.append(database)
