"""What is sent to a subscriber next, and what becomes of it.

    claim -> handshake, events or heartbeat -> whose data they hold is written down -> sent
          -> noted: taken, again after a pause, or in error

At least once, in the order of the numbers: the next event is sent when the one before was taken. The process
may die on any line; whoever claims next sends the same again, with the same numbers.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection

from fhir_profiles import reading
from service import log
from service.hospital import pauses
from service.hospital.pauses import Chance
from service.store import accesses, raised_events, resources, senders, subscriptions
from service.store.database import Database
from service.store.raised_events import Listening
from service.store.senders import READ
from service.store.subscriptions import (
    ACTIVE,
    EVENTS,
    HANDSHAKE,
    REQUESTED,
    Claim,
    LeaseLost,
    Numbered,
)
from service.subscriptions import addresses, backport, labels, notification, sending, terms
from service.subscriptions.addresses import Networks, Resolve
from service.subscriptions.answers import ENDING, FINAL, Answer, Kind
from service.subscriptions.notification import Bodies, Standing
from service.subscriptions.sending import Request

#: besides what a subscriber has for its answer: to find its address, to connect, to note what became of it
MARGIN_S = addresses.RESOLVE_S + sending.CONNECTING_S + 5.0
LEASE_S = terms.LONGEST_TIMEOUT_S + MARGIN_S
#: failures in a row before the Subscription is in error: some two hours after the first
ATTEMPTS = 12
#: an answer that takes longer makes way for others
SLOW_S = 2.0
#: what of a notification is written down as an access
PLACE = "Subscription notification"

logger = log.get()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends what Subscriptions ask for; used by several threads at once."""

    database: Database
    #: the service's own base, with a slash at its end
    base: str
    trust: ssl.SSLContext = field(repr=False)
    #: addresses that are allowed besides the public ones
    networks: Networks
    #: senders are told apart, and each may lose its right to read
    rights: bool
    #: nothing is sent without TLS, also where a Subscription was taken when that was otherwise
    tls_only: bool
    #: by which pauses are spread
    chance: Chance
    #: the machine's own clock
    now: Callable[[], datetime] = _now
    resolve: Resolve = addresses.resolved
    tenant: int = 0

    def claim(self, *, slow: bool) -> Claim | None:
        """Return what is to be sent next, of those that were slow lately or of the others."""
        return self.database.run(
            lambda tx: subscriptions.claim(tx, tenant=self.tenant, slow=slow, lease_s=LEASE_S)
        )

    def send(self, claim: Claim) -> None:
        """Send what was claimed, and note what became of it."""
        try:
            self._send(claim)
        except LeaseLost:
            logger.info("notification_lease_lost", subscription=claim.id)
        except Exception as error:
            # Whatever went wrong holds this Subscription and is shown; others go on.
            logger.exception("notification_failed_here", subscription=claim.id, reason=type(error).__name__)
            with suppress(LeaseLost):
                self._failed(claim, Answer(kind=Kind.FAILED_HERE))

    def _send(self, claim: Claim) -> None:
        # The attempt before this one ended with its process, and so did those before it.
        if claim.attempt > ATTEMPTS:
            self._failed(claim, Answer(kind=Kind.LOST))
            return
        asked = terms.stored(claim.body)
        if self.tls_only and not asked.endpoint.startswith("https://"):
            self._failed(claim, Answer(kind=Kind.NOT_ALLOWED))
            return
        with self.database.transaction() as tx:
            may = not self.rights or READ in senders.scopes(tx, claim.owner, tenant=self.tenant)
            events = self._events(tx, claim, asked.most) if may else []
            bodies = self._bodies(tx, events) if asked.content == backport.FULL_RESOURCE else None
            if asked.content != backport.EMPTY:
                self._write_down(tx, claim, events)
        if not may:
            self._failed(claim, Answer(kind=Kind.NO_RIGHT))
            return
        if claim.kind == EVENTS and not events:
            # What waited is no longer kept: it was too old when the Subscription was taken up again.
            self._taken(claim, delivered=claim.numbered, status=None, slow=False)
            return
        began = self.now()
        bundle = notification.bundle(
            Standing(
                id=claim.id,
                status=REQUESTED if claim.kind == HANDSHAKE else ACTIVE,
                topic=claim.topic,
                # The number of the last event in it, or of the last there is.
                numbered=events[-1].number if events else claim.numbered,
            ),
            claim.kind,
            id=uuid4(),
            now=began,
            content_level=asked.content,
            base=self.base,
            events=events,
            bodies=bodies,
        )
        answer = sending.send(
            Request(
                endpoint=asked.endpoint,
                headers=asked.headers,
                body=reading.write(bundle),
                secret=claim.secret,
                timeout_s=float(asked.timeout_s),
            ),
            now=began,
            trust=self.trust,
            networks=self.networks,
            resolve=self.resolve,
        )
        took_s = (self.now() - began).total_seconds()
        self._note(claim, answer, events, slow=took_s > SLOW_S)

    def _events(self, tx: Connection, claim: Claim, most: int) -> list[Numbered]:
        if claim.kind != EVENTS:
            return []
        return subscriptions.events(tx, claim.key, after=claim.delivered, until=claim.numbered, limit=most)

    def _bodies(self, tx: Connection, events: list[Numbered]) -> Bodies:
        return bodies(tx, events, tenant=self.tenant)

    def _write_down(self, tx: Connection, claim: Claim, events: list[Numbered]) -> None:
        """Write down whose data are about to be sent: where it cannot be written, nothing is.

        A row too many, for a subscriber that is not reached then, is better than one that is missing.
        """
        patients = {event.patient for event in events if event.patient}
        if patients:
            accesses.add(
                tx,
                tenant=self.tenant,
                who=claim.owner,
                action=accesses.READ,
                place=PLACE,
                reference=f"Subscription/{claim.id}",
                patients=patients,
                status=accesses.UNANSWERED,
            )

    def _note(self, claim: Claim, answer: Answer, events: list[Numbered], *, slow: bool) -> None:
        logger.info(
            "notified" if answer.taken else "not_notified",
            subscription=claim.id,
            kind=claim.kind,
            events=len(events),
            attempt=claim.attempt,
            answer=answer.kind,
            status=answer.status,
        )
        if answer.taken:
            delivered = events[-1].number if events else claim.delivered
            self._taken(claim, delivered=delivered, status=answer.status, slow=slow)
        else:
            self._failed(claim, answer)

    def _taken(self, claim: Claim, *, delivered: int, status: int | None, slow: bool) -> None:
        with self.database.transaction() as tx:
            subscriptions.taken(tx, claim, delivered=delivered, http_status=status, slow=slow)

    def _failed(self, claim: Claim, answer: Answer) -> None:
        pause_s = self._pause(claim, answer)
        off = answer.kind in ENDING
        if off:
            logger.warning("subscription_turned_off", subscription=claim.id, answer=answer.kind)
        elif pause_s is None:
            logger.warning("subscription_in_error", subscription=claim.id, answer=answer.kind)
        with self.database.transaction() as tx:
            subscriptions.failed(
                tx, claim, answer=answer.kind, http_status=answer.status, pause_s=pause_s, off=off
            )

    def _pause(self, claim: Claim, answer: Answer) -> float | None:
        """Return when it is tried again; None: when its owner or a person asks.

        A handshake is tried once, as the guide has it: whoever asks for it is there to see that it failed.
        """
        if claim.kind == HANDSHAKE or answer.kind in FINAL or claim.attempt >= ATTEMPTS:
            return None
        return max(pauses.again(claim.attempt, self.chance), answer.wait_s or 0.0)


def bodies(tx: Connection, events: list[Numbered], *, tenant: int) -> Bodies:
    """Return the versions that events are about, as they were then; what was erased is not there."""
    found: dict[tuple[str, str, int], str] = {}
    for event in events:
        stored = resources.version(tx, event.type, event.id, event.version, tenant=tenant)
        if stored is not None and not stored.deleted:
            found[event.type, event.id, event.version] = stored.body
    return found


def number(tx: Connection, *, tenant: int) -> int:
    """Give the events that wait their numbers in the Subscriptions that want them; return how many waited."""
    known: dict[int, labels.Filters] = {}

    def wants(listening: Listening, labelled: frozenset[str]) -> bool:
        if listening.key not in known:
            known[listening.key] = terms.stored(listening.body).filters
        return labels.fit(labelled, known[listening.key])

    return raised_events.number(tx, wants, tenant=tenant)
