"""The sweep: every two seconds, wake what is due and nobody works on.

Timers are promises with a date. The sweep also has long work gone on with, brings what is stored in line with
ConceptMaps, and keeps watch: each round it notes that it lives, and asks a worker through the broker to
do the same, so that what has stopped can be told.

When the broker cannot be reached, or nobody follows a wake-up, the sweep has the work
done beside it, slowly: what is urgent does not wait for Redis, nor for a worker.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from service import automation, broker, clock, log
from service.fhir import retranslation
from service.settings import Settings
from service.stop_request import StopRequest
from service.store import (
    attempts,
    exports,
    heartbeats,
    idempotency_keys,
    kept_forms,
    leased,
    open_plans,
    previews,
    promises,
    raised_events,
    reindexing,
    seals,
    sendings,
    sessions,
    shared_identifiers,
    sign_ons,
    subscriptions,
)
from service.store.database import Database
from service.store.leased import Work
from service.store.promises import Due
from service.store.reindexing import Progress
from service.subscriptions import overdue
from worker.aside import Aside
from worker.courier import Courier
from worker.feeder import Feeder
from worker.herald import Herald

EVERY_S = 2.0
LIMIT = 200
#: A wake-up that is on its way is not sent again before this.
AGAIN_S = 10.0
#: How many patients are done beside the sweep in one round.
ALONE = 10
#: How many exports, and how many previews, are looked at in one round.
LONG = 3
#: How long in one round what is stored is translated anew.
TRANSLATING_S = 0.5
#: How often what nobody will ask for again is looked for.
PURGE_S = 60.0
#: How often it is looked which Tasks have become overdue.
OVERDUE_S = 10.0
#: How often the identifiers of all Patients are compared, and how many times as long as it took nobody does.
COMPARED_S = 20.0
COMPARED_SHARE = 100

#: what is kept for a time: answers under their keys, what belongs to signing in, exports and events
KEPT = (
    idempotency_keys,
    sendings,
    sessions,
    attempts,
    sign_ons,
    kept_forms,
    exports,
    previews,
    subscriptions,
)

#: how a worker is woken for long work
WAKE: Mapping[Work, Callable[[Settings, int, str], bool]] = {
    "export": broker.wake_export,
    "preview": broker.wake_preview,
}

logger = log.get()


class Sweep:
    """What one sweep remembers between its rounds: when it woke whom. Lost without harm."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Prepare a sweep that has woken nobody yet."""
        self._settings = settings
        self._database = database
        self._aside = Aside(settings)
        self._beside = (Courier(settings), Feeder(settings))
        self._herald = Herald(settings)
        self._woken: dict[tuple[int, str], float] = {}
        #: long work in the order of the next round
        self._turns = deque(leased.WORK)
        self._asked: dict[Work, dict[tuple[int, str], float]] = {work: {} for work in leased.WORK}
        self._purged = float("-inf")
        self._overdue = float("-inf")
        self._compare = float("-inf")

    def round(self, moment: float) -> int:
        """Wake what is due and return how many were.

        Args:
            moment: `time.monotonic()`.
        """
        for process in self._beside:
            process.keep(moment)
        with self._database.transaction() as tx:
            heartbeats.beat(tx, heartbeats.SWEEP)
            due = promises.due(tx, clock.now(tx), LIMIT)
            ages = {part: age for part, (_, age) in heartbeats.ages(tx).items()}
        backlog = broker.backlog(self._settings)
        if backlog is not None:
            with self._database.transaction() as tx:
                heartbeats.beat(tx, heartbeats.BROKER)
        may_send = backlog is not None and backlog < broker.FULL
        if may_send:
            broker.ask_for_beat(self._settings, expires_s=AGAIN_S)
        working = not automation.silent(ages, heartbeats.WORKER)
        left = [
            found
            for found in due
            if not self._left_to_workers(found, moment, may_send=may_send, working=working)
        ]
        self._do(left[:ALONE], broker_is_there=backlog is not None)
        asked = {(found.tenant, found.patient) for found in due}
        self._woken = {who: at for who, at in self._woken.items() if who in asked}
        parts: Mapping[str, Callable[[], None]] = {
            "tell": partial(self._tell, moment),
            "long": partial(self._long, moment, may_send=may_send, working=working, urgent=bool(left)),
            "translate": self._translate,
            "reindex": self._reindex,
            "seal": self._seal,
            "compare_identifiers": partial(self._compare_identifiers, moment),
            "fold": self._fold,
            "purge": partial(self._purge, moment),
        }
        for name, part in parts.items():
            try:
                part()
            except (DBAPIError, psycopg.Error) as error:
                # What is not done now is done in a later round; the rest of this one does not wait for it.
                logger.warning("sweep_part_failed", part=name, reason=type(error).__name__)
        return len(due)

    def close(self) -> None:
        """End the processes beside this one, if there are any."""
        self._aside.close()
        for process in (*self._beside, self._herald):
            process.close()

    def _left_to_workers(self, found: Due, moment: float, *, may_send: bool, working: bool) -> bool:
        """Wake a worker for the patient, if none has been just now, and return whether one will come."""
        who = (found.tenant, found.patient)
        at = self._woken.get(who)
        if at is not None and moment - at <= AGAIN_S:
            return True
        if not may_send or not broker.wake(self._settings, found.tenant, found.patient):
            return False
        self._woken[who] = moment
        # A second wake-up says that nobody followed the first. What a worker has begun and not
        # ended stays with the workers, while there are any: it may be what ends them.
        return at is None or (found.attempts > 0 and working)

    def _long(self, moment: float, *, may_send: bool, working: bool, urgent: bool) -> None:
        """Wake workers for long work that nobody does; while there are none, have one step of one piece done.

        Args:
            urgent: patients are waiting for this sweep: no step is done.
        """
        did = urgent
        # Each kind comes first in its turn: a round does one step, and an export may take hours of them.
        self._turns.rotate()
        for work in self._turns:
            before = self._asked[work]
            with self._database.transaction() as tx:
                due = leased.due(tx, work, LONG)
            asked = {who: at for who, at in before.items() if moment - at <= AGAIN_S}
            for who in due:
                if who in asked:
                    continue
                if may_send and WAKE[work](self._settings, *who):
                    asked[who] = moment
                alone = who not in asked or (who in before and not working)
                if alone and not did:
                    self._beat()
                    self._aside.step(work, *who)
                    did = True
            self._asked[work] = asked

    def _tell(self, moment: float) -> None:
        """See which Tasks are overdue, and that somebody tells what happens where anybody subscribes."""
        looks = moment - self._overdue >= OVERDUE_S
        for tenant in retranslation.TENANTS:
            while looks and self._database.run(partial(_overdue, tenant=tenant)) >= overdue.AT_ONCE:
                pass
            if self._database.run(partial(subscriptions.any_live, tenant=tenant)):
                self._herald.keep(moment)
            else:
                self._database.run(partial(raised_events.drop, tenant=tenant))
        if looks:
            self._overdue = moment

    def _translate(self) -> None:
        """Bring what is stored in line with ConceptMaps that changed; the rest in the next round."""
        end = time.monotonic() + TRANSLATING_S
        for tenant in retranslation.TENANTS:
            part = partial(retranslation.step, tenant=tenant)
            while self._database.run(part) and time.monotonic() < end:
                pass

    def _reindex(self) -> None:
        """Index what a sandbox stored before it was upgraded; elsewhere a person knows when that may begin.

        A sandbox has no nodes of the version before, which would write what is not indexed.
        """
        if self._settings.mode != "sandbox":
            return
        end = time.monotonic() + TRANSLATING_S
        for tenant in retranslation.TENANTS:
            if self._database.run(partial(_to_be_indexed, tenant=tenant)).complete:
                continue
            part = partial(reindexing.step, tenant=tenant)
            while not self._database.run(part).complete and time.monotonic() < end:
                pass

    def _seal(self) -> None:
        """Add what happened since to the chain of hashes."""
        for tenant in retranslation.TENANTS:
            self._database.run(partial(seals.seal, tenant=tenant))

    def _compare_identifiers(self, moment: float) -> None:
        """Mark the identifiers that several Patients carry; the longer that takes, the more rarely."""
        if moment < self._compare:
            return
        began = time.monotonic()
        for tenant in retranslation.TENANTS:
            self._database.run(partial(shared_identifiers.note, tenant=tenant))
        took = time.monotonic() - began
        self._compare = moment + max(COMPARED_S, COMPARED_SHARE * took)

    def _fold(self) -> None:
        """Keep short what is summed to know how many plans are open."""
        self._database.run(open_plans.fold)

    def _purge(self, moment: float) -> None:
        """Remove what is kept for a time that is over; in the next round again while there are more."""
        if moment - self._purged <= PURGE_S:
            return
        # All of them, also those behind one that has more.
        more = [kept for kept in KEPT if self._has_more(kept)]
        if not more:
            self._purged = moment

    def _has_more(self, kept: ModuleType) -> bool:
        """Purge one table and return whether there is more; a failure does not keep the others from it."""
        try:
            return bool(self._database.run(kept.purge) >= kept.PURGED_AT_ONCE)
        except SQLAlchemyError as error:
            logger.error("purge_failed", of=kept.__name__, error=type(error).__name__)
            return False

    def _do(self, left: Iterable[Due], *, broker_is_there: bool) -> None:
        done = 0
        for found in left:
            self._beat()
            done += self._aside.advance(found.tenant, found.patient)
        if done:
            event = "workers_do_not_answer" if broker_is_there else "broker_unreachable"
            logger.error(event, done_by_sweep=done)

    def _beat(self) -> None:
        # A long round must not look like a sweep that has stopped.
        with self._database.transaction() as tx:
            heartbeats.beat(tx, heartbeats.SWEEP)


def _overdue(tx: Connection, *, tenant: int) -> int:
    return overdue.tell(tx, clock.now(tx), tenant=tenant)


def _to_be_indexed(tx: Connection, *, tenant: int) -> Progress:
    """Return how far the rows are, and begin where a release makes others and no migration said so."""
    if not reindexing.begun(tx, tenant=tenant):
        return reindexing.begin(tx, tenant=tenant)
    return reindexing.progress(tx, tenant=tenant)


def run(settings: Settings) -> None:
    """Sweep until a signal asks to stop."""
    stop = StopRequest(signal.SIGTERM, signal.SIGINT)
    database = Database(settings.database_url, pool_size=2, overflow=1)
    sweep = Sweep(settings, database)
    try:
        stopped = False
        while not stopped:
            try:
                sweep.round(time.monotonic())
            except (DBAPIError, psycopg.Error, NoConnection) as error:
                logger.warning("sweep_without_database", reason=type(error).__name__)
            stopped = stop.wait(EVERY_S)
    finally:
        sweep.close()
        database.close()
