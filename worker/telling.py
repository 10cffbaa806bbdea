"""What the herald does, round after round: give events their numbers, and send what waits.

Each Subscription that has something to be sent is sent to by one thread at a time. Those that failed or were
slow the last time share threads of their own, so that however many hang, the others do not wait.
"""

import random
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from service import lifeline, log
from service.environment import InvalidSettings
from service.settings import Settings
from service.store import heartbeats, subscriptions
from service.store.database import Database
from service.subscriptions import delivering, sending
from service.subscriptions.delivering import Sender
from worker.pulse import Pulse

EVERY_S = 0.5
#: how many are sent to at once: of those that answer well, and of those that did not the last time
QUICK, SLOW = 6, 4
TENANT = 0

logger = log.get()


class Rounds:
    """What one herald has at work between its rounds. Lost without harm."""

    def __init__(self, database: Database, sender: Sender, pulse: Pulse) -> None:
        """Prepare; nothing is sent yet.

        Args:
            pulse: the herald's.
        """
        self._database = database
        self._sender = sender
        self._pulse = pulse
        self._pool = ThreadPoolExecutor(QUICK + SLOW, thread_name_prefix="herald")
        self._free = {False: threading.Semaphore(QUICK), True: threading.Semaphore(SLOW)}
        #: set when a thread has become free, and something may be sent that waited for it
        self._more = threading.Event()

    def round(self, moment: float) -> None:
        """Number what happened, end what is over, and hand out what is to be sent.

        Args:
            moment: `time.monotonic()`.
        """
        self._more.clear()
        self._pulse.beat(self._database, moment)
        while self._database.run(lambda tx: delivering.number(tx, tenant=TENANT)):
            pass
        self._database.run(lambda tx: subscriptions.end(tx, tenant=TENANT))
        for slow in (False, True):
            while self._hand_out(slow=slow):
                pass

    def wait(self, seconds: float) -> None:
        """Wait that long, or until something has been sent."""
        self._more.wait(seconds)

    def _hand_out(self, *, slow: bool) -> bool:
        """Have one Subscription sent to. Returns whether there was one, and a thread for it."""
        free = self._free[slow]
        if not free.acquire(blocking=False):
            return False
        claim = None
        try:
            claim = self._sender.claim(slow=slow)
        finally:
            if claim is None:
                free.release()
        if claim is None:
            return False

        def done(_: Future[None]) -> None:
            free.release()
            self._more.set()

        self._pool.submit(self._sender.send, claim).add_done_callback(done)
        return True


def serve(settings: Settings) -> None:
    """Tell subscribers until the parent ends."""
    lifeline.end_with_parent()
    log.configure("herald", level=settings.log_level)
    try:
        trust = sending.trust(settings.subscribers_ca_file)
    except InvalidSettings as error:
        logger.error("herald_not_started", reason=str(error))
        sys.exit(2)
    database = Database(settings.database_url, pool_size=2, overflow=QUICK + SLOW)
    sender = Sender(
        database=database,
        base=f"{settings.base_url}/fhir/",
        trust=trust,
        networks=settings.subscribers_networks,
        rights=not settings.sandbox,
        tls_only=not settings.sandbox,
        chance=random.SystemRandom().random,
    )
    rounds = Rounds(database, sender, Pulse(heartbeats.HERALD))
    while True:
        try:
            rounds.round(time.monotonic())
        except (DBAPIError, psycopg.Error, NoConnection) as error:
            logger.warning("herald_without_database", reason=type(error).__name__)
            time.sleep(EVERY_S)
        rounds.wait(EVERY_S)
