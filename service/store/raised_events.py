"""The outbox of events: what happened, written with the change that made it happen.

    append --> number: one number in each Subscription that wants it, and gone from here
               drop:   nobody subscribes

Numbers are given by one process at a time, after the commit, because evaluations that go on at once must not
wait for one another. What was committed late gets a later number, so that none is ever left out. Events of a
patient come in the order of their evaluations, each of which sees the one before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from service.store.driver import raw
from service.store.versions import as_json

#: any number that nothing else in this database locks
NUMBERING_LOCK = 4_816_201_022
#: as many as one transaction numbers; the rest follows in the next
AT_ONCE = 500
#: How long after it was raised an event may be committed. Nobody can read of it before, so it is told also
#: where the handshake was taken meanwhile; what is committed later still is not. An event that was committed
#: half a second before the handshake, and has no number yet, is told with it: rather one too many.
LATE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, by ids and codes alone."""

    #: the name of a topic
    topic: str
    #: the id alone
    patient: str | None
    #: what it is about, as it was then
    type: str
    id: str
    version: int
    #: by which Subscriptions are narrowed, `filter=value`
    labels: tuple[str, ...]
    #: by the service clock
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A Subscription that counts events."""

    key: int
    topic: str
    body: str
    counting_since: datetime


#: whether a Subscription wants an event with these labels
Wants = Callable[[Listening, frozenset[str]], bool]

_COLUMNS = ("topic", "patient", "type", "id", "version", "labels", "at")


def append(tx: Connection, events: Sequence[Event], *, tenant: int) -> None:
    """Write the events; nothing is waited for within a block of `together`."""
    if events:
        values = [[getattr(event, name) for name in _COLUMNS] for event in events]
        raw(tx).execute(_APPEND, [tenant, as_json(_COLUMNS, values)])


def number(tx: Connection, wants: Wants, *, tenant: int) -> int:
    """Give the events that wait their numbers and return how many waited; 0 also while another does it."""
    if not _alone(tx):
        return 0
    found = tx.execute(text(_WAITING), {"tenant": tenant, "limit": AT_ONCE}).all()
    if not found:
        return 0
    listening = [Listening(**row) for row in tx.execute(text(_LISTENING), {"tenant": tenant}).mappings()]
    labels = {event.key: frozenset(event.labels) for event in found}
    # In the order of keys, as everybody who locks more than one of them.
    for one in listening:
        keys = [
            event.key
            for event in found
            if event.topic == one.topic
            and event.raised_at >= one.counting_since - LATE
            and wants(one, labels[event.key])
        ]
        if keys:
            _give(tx, one.key, keys)
    tx.execute(text("DELETE FROM raised_event WHERE key = ANY(:keys)"), {"keys": [e.key for e in found]})
    return len(found)


def drop(tx: Connection, *, tenant: int) -> int:
    """Remove what waits while nobody subscribes; return how many events that were."""
    if not _alone(tx):
        return 0
    return tx.execute(text(_DROP), {"tenant": tenant}).rowcount


def _alone(tx: Connection) -> bool:
    """Return whether this transaction is the one that gives numbers; the lock ends with it."""
    asked = tx.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": NUMBERING_LOCK})
    return bool(asked.scalar_one())


def _give(tx: Connection, subscription: int, keys: Iterable[int]) -> None:
    """Give the events the next numbers of a Subscription, unless it has stopped counting meanwhile."""
    names: Mapping[str, object] = {"subscription": subscription, "keys": list(keys)}
    tx.execute(text(_GIVE), names)


_APPEND = """
    INSERT INTO raised_event (tenant, topic, patient, type, id, version, labels, at)
    SELECT %s, topic, patient, type, id, version, labels, at
    FROM json_to_recordset(%s::json) AS e (topic text, patient text, type text, id text, version integer,
        labels text[], at timestamptz)
"""
_WAITING = """
    SELECT key, topic, labels, raised_at FROM raised_event WHERE tenant = :tenant ORDER BY key LIMIT :limit
"""
# Locked, so that nothing is numbered by terms that its owner is changing at this moment.
_LISTENING = """
    SELECT key, topic, body, counting_since FROM subscription
    WHERE tenant = :tenant AND counting_since IS NOT NULL ORDER BY key FOR NO KEY UPDATE
"""
_GIVE = """
    WITH counted AS (
        UPDATE subscription SET numbered = numbered + cardinality(CAST(:keys AS bigint[]))
        WHERE key = :subscription AND counting_since IS NOT NULL
        RETURNING key, numbered - cardinality(CAST(:keys AS bigint[])) AS before
    )
    INSERT INTO subscription_event (subscription, number, topic, patient, type, id, version, at)
    SELECT c.key, c.before + row_number() OVER (ORDER BY e.key), e.topic, e.patient, e.type, e.id, e.version,
        e.at
    FROM counted c CROSS JOIN raised_event e WHERE e.key = ANY(:keys)
"""
_DROP = """
    DELETE FROM raised_event WHERE tenant = :tenant AND NOT EXISTS (
        SELECT FROM subscription s WHERE s.tenant = :tenant AND s.status <> 'off'
    )
"""
