"""What the courier does, round after round: find what is to be sent, send it, ask what became of it."""

import random
import time
from collections import deque

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from service import log
from service.hospital import health
from service.hospital.answers import Answer, Kind
from service.hospital.connection import Connection
from service.hospital.delivery import Delivery
from service.hospital.pauses import Chance
from service.hospital.returning import START, Returning
from service.hospital.settings import Hospital
from service.settings import Settings
from service.store import circuits, deliveries, heartbeats
from service.store.database import Database
from service.store.resources import Identity
from worker import connected
from worker.pulse import Pulse

EVERY_S = 1.0
#: how many patients are delivered before it is looked again for what is new
AT_ONCE = 50
#: No transaction lives longer, so what was committed late is found among what is looked at again.
LATE_S = 180.0
#: how often everything is looked at, whatever is remembered of earlier looks
WHOLE_S = 3600.0
TENANT = 0

logger = log.get()


class Rounds:
    """What one courier remembers between its rounds. Lost without harm: the first one looks at everything."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        hospital: Hospital,
        chance: Chance,
        pulse: Pulse,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            chance: by which pauses are spread.
            pulse: the courier's.
        """
        self._database = database
        self._pulse = pulse
        self._server = connection.base
        self._delivery = Delivery(database, connection, chance=chance, tenant=TENANT)
        self._returning = Returning(database, connection, tenant=TENANT)
        self._poll_s = hospital.poll_s
        self._chance = chance
        #: when it was looked, and up to which `seq`
        self._looks: deque[tuple[float, int]] = deque()
        #: when everything is looked at again
        self._whole = float("-inf")
        #: when everything had been asked for; None: in the round before this one
        self._asked: float | None = float("-inf")
        #: the last that was asked for since
        self._at: Identity = START
        #: the first answer since that was no good
        self._bad: Answer | None = None

    def round(self, moment: float) -> None:
        """Find what is to be sent, send it, and ask what came of some of the earlier ones.

        Args:
            moment: `time.monotonic()`.
        """
        self._pulse.beat(self._database, moment)
        self._find(moment)
        for _ in range(AT_ONCE):
            if not self._delivery.one():
                break
        # What is asked takes its time; the pause after it begins when it is over.
        if self._asked is None:
            self._asked = moment
        if self._poll_s and moment - self._asked >= self._poll_s:
            self._ask()

    def _find(self, moment: float) -> None:
        """Look among what was written since a while ago: what was committed late has an earlier number."""
        with self._database.transaction() as tx:
            newest = deliveries.newest(tx, tenant=TENANT)
        # The first that is left is the newest of those that are old enough, or the first of all.
        while len(self._looks) > 1 and moment - self._looks[1][0] >= LATE_S:
            self._looks.popleft()
        after = self._looks[0][1] if self._looks else 0
        if moment >= self._whole:
            after, self._whole = 0, moment + (WHOLE_S if self._looks else LATE_S)
        self._delivery.find(after)
        self._looks.append((moment, newest))

    def _ask(self) -> None:
        """Ask one question; the rest waits for the next round, so that what is to be sent does not.

        A server that answers badly is asked again after the pause for what follows, so that one question that
        it cannot answer does not keep it from the others.
        """
        with self._database.transaction() as tx:
            before = circuits.read(tx, "return", tenant=TENANT, server=self._server)
        if before.open_until is not None:
            return
        try:
            answer, last = self._returning.ask(self._at)
        except (DBAPIError, psycopg.Error, NoConnection):
            raise
        except Exception as error:
            logger.exception("asking_failed_here")
            answer, last = Answer(kind=Kind.FAILED_HERE, said=type(error).__name__), None
        self._at = last or START
        shown = answer if answer.of_server else self._bad or answer
        self._bad = None if last is None or shown.taken or shown.of_server else shown
        if last is None or answer.of_server:
            self._asked = None
        if answer.status is None and answer.taken:
            # Nothing is open there, so nothing was asked.
            return
        with self._database.transaction() as tx:
            health.note(tx, "return", shown, before, self._chance, tenant=TENANT, server=self._server)


def serve(settings: Settings) -> None:
    """Deliver until the parent ends."""
    database, hospital, connection, pulse = connected.begin(settings, heartbeats.COURIER)
    rounds = Rounds(database, connection, hospital, random.SystemRandom().random, pulse)
    while True:
        try:
            rounds.round(time.monotonic())
        except (DBAPIError, psycopg.Error, NoConnection) as error:
            logger.warning("courier_without_database", reason=type(error).__name__)
        time.sleep(EVERY_S)
