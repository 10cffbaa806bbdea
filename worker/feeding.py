"""What the feeder does, round after round: hear calls, look at what is new, watch over the Subscriptions."""

import random
import time
from collections.abc import Collection
from functools import partial

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from pathways import catalogue
from service import broker, log
from service.hospital import health, wanted
from service.hospital.answers import Answer, Kind
from service.hospital.feed import START, Feed
from service.hospital.settings import Hospital
from service.hospital.storing import Reader
from service.hospital.subscribing import ACTIVE, Subscribing
from service.hospital.taking import Taking
from service.settings import Settings
from service.store import circuits, heartbeats, hospital_subscriptions, sources
from service.store.hospital_subscriptions import Subscription
from service.store.resources import Identity
from service.store.sources import Claim, LeaseLost, Source
from worker import connected
from worker.pulse import Pulse

#: how often it is looked whether the server has called; a look at one row
EVERY_S = 0.2
#: how often the Subscriptions are looked at, and soon after one of them was made or renewed
WATCH_S = 60.0
SOON_S = 2.0
#: after a bad answer nothing is asked for so long; after several the circuit says
PAUSE_S = 2.0
#: besides the longest that one question may take
MARGIN_S = 20.0
TENANT = 0

logger = log.get()


class Feeding:
    """What one feeder remembers between its rounds. Lost without harm."""

    def __init__(self, reader: Reader, hospital: Hospital, base_url: str, pulse: Pulse) -> None:
        """Prepare; nothing is asked yet.

        Args:
            base_url: of this service, where the server calls.
            pulse: the feeder's.
        """
        self._reader = reader
        self._database = reader.database
        self._hospital = hospital
        self._base_url = base_url
        self._pulse = pulse
        self._lease_s = reader.connection.longest_s + MARGIN_S
        #: nothing is asked before
        self._not_before = float("-inf")
        #: the last of what was taken in that was asked for again
        self._checked: Identity = START
        self._absent: dict[Identity, float] = {}
        self._begun = False

    def round(self, moment: float) -> Answer | None:
        """Do what is due now. Returns the first answer that was no good, if any; None: nothing was due.

        Args:
            moment: `time.monotonic()`.
        """
        self._pulse.beat(self._database, moment)
        if moment < self._not_before:
            return None
        server = self._reader.server
        with self._database.transaction() as tx:
            if not self._begun:
                sources.begin(tx, tenant=TENANT, server=server)
            source = sources.read(tx, tenant=TENANT, server=server)
            calls = hospital_subscriptions.unheard(tx, tenant=TENANT, server=server)
            known = hospital_subscriptions.known(tx, tenant=TENANT, server=server)
            before = circuits.read(tx, "read", tenant=TENANT, server=server)
        self._begun = True
        assert source is not None
        watch = self._watch_is_due(source, known.values())
        whole = source.looked_s is None or source.looked_s >= self._hospital.read_s
        # A server that calls can be asked, unless it wants to be left alone.
        left_alone = before.open_until is not None and (not calls or before.answer == Kind.BUSY)
        if source.leased or left_alone or not (watch or whole or calls):
            return None
        with self._database.transaction() as tx:
            claim = sources.claim(tx, tenant=TENANT, server=server, lease_s=self._lease_s)
        if claim is None:
            return None
        try:
            answer = self._do(claim, source, calls, watch=watch, whole=whole)
        except LeaseLost:
            logger.warning("reading_lease_lost")
            return None
        finally:
            with self._database.transaction() as tx:
                sources.release(tx, claim)
        if not answer.taken:
            self._not_before = moment + PAUSE_S
        with self._database.transaction() as tx:
            health.note(tx, "read", answer, before, self._reader.chance, tenant=TENANT, server=server)
        return answer

    def _watch_is_due(self, source: Source, known: Collection[Subscription]) -> bool:
        if self._hospital.read != "subscription" and not known:
            return False
        begun = any(s.status != ACTIVE and (s.renewed_s or WATCH_S) < WATCH_S for s in known)
        return source.watched_s is None or source.watched_s >= (SOON_S if begun else WATCH_S)

    def _do(self, claim: Claim, source: Source, calls: frozenset[str], *, watch: bool, whole: bool) -> Answer:
        try:
            return self._look(claim, source, calls, watch=watch, whole=whole)
        except (DBAPIError, psycopg.Error, NoConnection, LeaseLost):
            raise
        except Exception as error:
            # Whatever went wrong is shown, and tried again after a pause.
            logger.exception("reading_failed_here")
            return Answer(kind=Kind.FAILED_HERE, said=type(error).__name__)

    def _look(
        self, claim: Claim, source: Source, calls: frozenset[str], *, watch: bool, whole: bool
    ) -> Answer:
        renew = partial(self._renew, claim)
        with self._database.transaction() as tx:
            asked = wanted.questions(tx, catalogue.pathways(), tenant=TENANT)
        if watch:
            answer = Subscribing(self._reader, self._hospital, self._base_url, claim).watch(asked, source)
            # A server that has no Subscriptions for us can be asked all the same.
            if answer.of_all:
                return answer
        if not (whole or calls):
            return Answer(kind=Kind.TAKEN)
        taking = Taking(self._reader, claim, renew, self._absent)
        feed = Feed(self._reader, self._hospital, taking, claim, renew)
        if not whole:
            asked = tuple(question for question in asked if question.type in calls)
        with self._database.transaction() as tx:
            hospital_subscriptions.hear(tx, calls, tenant=TENANT, server=self._reader.server)
            if whole:
                sources.asking(tx, claim)
        answer, ended = feed.look(asked, whole=whole, announced=calls)
        if not ended:
            with self._database.transaction() as tx:
                hospital_subscriptions.hear_again(tx, calls, tenant=TENANT, server=self._reader.server)
        if not ended or not whole:
            return answer
        with self._database.transaction() as tx:
            sources.looked(tx, claim)
        for more in (feed.retry(), self._check(feed)):
            if not more.taken:
                return more
        return answer

    def _check(self, feed: Feed) -> Answer:
        answer, last = feed.check(self._checked)
        self._checked = last or START
        return answer

    def _renew(self, claim: Claim) -> None:
        with self._database.transaction() as tx:
            sources.renew(tx, claim, self._lease_s)


def serve(settings: Settings) -> None:
    """Read until the parent ends."""
    database, hospital, connection, pulse = connected.begin(settings, heartbeats.FEEDER)
    reader = Reader(
        database=database,
        connection=connection,
        chance=random.SystemRandom().random,
        wake=partial(broker.wake, settings, TENANT),
        tenant=TENANT,
    )
    feeding = Feeding(reader, hospital, settings.base_url, pulse)
    while True:
        try:
            feeding.round(time.monotonic())
        except (DBAPIError, psycopg.Error, NoConnection) as error:
            logger.warning("feeder_without_database", reason=type(error).__name__)
            time.sleep(PAUSE_S)
        time.sleep(EVERY_S)
