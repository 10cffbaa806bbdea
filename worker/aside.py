"""A process beside the sweep that evaluates, and does long work, while no worker does.

An evaluation may run away or end its process. The sweep must go on for all others, so it
never evaluates by itself: it hands one patient, or one step, at a time to a process it can do without.
"""

import multiprocessing
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess
from typing import Literal

from service import lifeline, log
from service.settings import Settings
from service.store import leased
from service.store.database import Database

Work = Literal["advance"] | leased.Work

#: what takes longer is ended with its process; the promise has counted the attempt
LIMIT_S = 60.0

#: a spawned process shares no connection, lock or thread with this one
_SPAWN = multiprocessing.get_context("spawn")

logger = log.get()


class Aside:
    """One process, started when it is first needed and again after it was lost."""

    def __init__(self, settings: Settings, limit_s: float = LIMIT_S) -> None:
        """Prepare; nothing is started yet."""
        self._settings = settings
        self._limit_s = limit_s
        self._process: SpawnProcess | None = None
        self._pipe: Pipe | None = None

    def advance(self, tenant: int, patient: str) -> bool:
        """Evaluate the patient there. Returns whether an evaluation was committed."""
        return self._have_done("advance", tenant, patient)

    def step(self, work: leased.Work, tenant: int, id_: str) -> bool:
        """Do one step of some work there. Returns whether it was done."""
        return self._have_done(work, tenant, id_)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _have_done(self, work: Work, tenant: int, id_: str) -> bool:
        pipe = self._pipe if self._process and self._process.is_alive() and self._pipe else self._start()
        try:
            pipe.send((work, tenant, id_))
            if pipe.poll(self._limit_s):
                return bool(pipe.recv())
        except (EOFError, OSError):
            pass
        logger.error("work_lost", work=work, tenant=tenant, id=id_)
        self.close()
        return False

    def _start(self) -> Pipe:
        self.close()
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._settings), daemon=True)
        self._process.start()
        # The only other end is in the process now, so that its end is seen here.
        theirs.close()
        return self._pipe


def _serve(pipe: Pipe, settings: Settings) -> None:
    """Do what the pipe names, until it is closed."""
    lifeline.end_with_parent()
    log.configure("sweep", level=settings.log_level)
    database = Database(settings.database_url, pool_size=2, overflow=1)
    while True:
        try:
            work, tenant, id_ = pipe.recv()
            pipe.send(_done(database, work, tenant, id_))
        except (EOFError, OSError):
            return


def _done(database: Database, work: Work, tenant: int, id_: str) -> bool:
    # Here and not above: the sweep itself does neither, and would start a second later.
    from worker import export, trying
    from worker.advance import advance

    try:
        # Of long work one step: the next patient may be waiting.
        match work:
            case "export":
                return export.run(database, tenant, id_, for_s=0)
            case "preview":
                return trying.run(database, tenant, id_, for_s=0)
            case _:
                return advance(database, tenant, id_)
    except Exception:
        # Python would print the error with its message, which may hold what a record says.
        logger.exception("work_not_begun", work=work, tenant=tenant, id=id_)
        return False
