"""The Celery process: a task that looks at one patient, two that do long work, one that says it lives.

Acknowledged early, prefetch 1, no result: the promise in the database is the only retry.
"""

import gc
import sys
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from celery import Celery
from celery.signals import task_received, worker_process_init, worker_process_shutdown, worker_ready
from celery.worker import state

from pathways import catalogue
from service import broker, lifeline, log
from service.settings import Settings
from service.store.database import Database
from worker import export, trying, vigil
from worker.advance import advance_all
from worker.pulse import Pulse
from worker.vigil import Vigil

#: A rule that runs away is ended with its process; the promise counts the attempt.
LIMIT_S = 60

#: An evaluation makes some ten thousand objects and leaves next to none; to look through every 700 of them
#: took a fortieth of its time.
NEW_OBJECTS = 10_000

#: as many patients are evaluated in step at most: each of them waits for the last
IN_STEP = 4
#: A process that was woken takes what else waits, and what comes within so many seconds, by itself: through
#: the process that takes Celery's messages each wake-up would cost a millisecond.
LINGERS_S = 0.05
#: and for so long at most, so that it hears what that process has to say
STAYS_S = 2.0

logger = log.get()


class _Process:
    """What a worker process keeps open: made after the fork, because connections do not survive one."""

    database: Database | None = None
    pulse = Pulse()


def run(settings: Settings) -> NoReturn:
    """Work until a signal asks to stop."""
    celery = create(settings)
    # Not by Celery's command line, which loads every command that Celery has.
    worker = celery.Worker(
        pool_cls="prefork",
        concurrency=settings.worker_processes,
        loglevel="WARNING",
        queues=celery.conf.task_default_queue,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def create(settings: Settings) -> Celery:
    """Return the application with its tasks, ready to run as a worker.

    Raises:
        InvalidPathway: a pathway cannot be run.
    """
    # Before the fork: the processes share what is loaded, and one that follows another works at once.
    catalogue.pathways()
    celery = broker.app(settings.broker_url)
    celery.conf.update(
        task_time_limit=LIMIT_S,
        worker_proc_alive_timeout=30.0,
        # Turned into log records of Celery's own, our lines would come back to it and be dropped.
        worker_redirect_stdouts=False,
    )

    @worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _open(**_: object) -> None:
        lifeline.end_with_parent()
        log.configure("worker", level=settings.log_level)
        _Process.database = Database(settings.database_url, pool_size=2, overflow=2)
        # What is loaded by now stays as long as the process; no collection need go through it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS)

    @worker_process_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def _close(**_: object) -> None:
        if _Process.database is not None:
            _Process.database.close()

    watched = Vigil(time.monotonic())

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def _watch(**_: object) -> None:
        watched.taken(time.monotonic())
        vigil.keep(settings, watched, lambda: bool(state.active_requests))

    @task_received.connect(weak=False)  # type: ignore[untyped-decorator]
    def _taken(**_: object) -> None:
        watched.taken(time.monotonic())

    @celery.task(name=broker.ADVANCE)  # type: ignore[untyped-decorator]
    def _advance(tenant: int, patient: str) -> None:
        assert _Process.database is not None
        patients = [(tenant, patient)]
        until = time.monotonic() + STAYS_S
        while patients:
            advance_all(_Process.database, patients)
            _Process.pulse.beat(_Process.database)
            stays = time.monotonic() < until
            patients = broker.take(settings.broker_url, IN_STEP, LINGERS_S) if stays else []

    _long_work(celery, broker.EXPORT, export.run)
    _long_work(celery, broker.PREVIEW, trying.run)

    @celery.task(name=broker.BEAT)  # type: ignore[untyped-decorator]
    def _beat() -> None:
        assert _Process.database is not None
        _Process.pulse.beat(_Process.database)

    return celery


class _Run(Protocol):
    """Does steps of long work."""

    def __call__(
        self, database: Database, tenant: int, id_: str, *, after_step: Callable[[], None]
    ) -> bool: ...


def _long_work(celery: Celery, name: str, run: _Run) -> None:
    """Give the application a task that does steps of long work."""

    @celery.task(name=name)  # type: ignore[untyped-decorator]
    def _work(tenant: int, id_: str) -> None:
        database = _Process.database
        assert database is not None
        try:
            run(database, tenant, id_, after_step=lambda: _Process.pulse.beat(database))
        except Exception:
            # As of an evaluation; the row of the work is there, and the sweep wakes somebody again.
            logger.exception("work_not_begun", task=name, tenant=tenant, id=id_)
