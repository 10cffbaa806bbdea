"""Subscriptions of other systems: what each asked for, where it stands, and who is at work on it.

    add --> requested --handshake taken--> active --> sent, sent, sent ...
                |                            |  failed: again after a pause, in order
                +-- handshake failed         +-- failed too often, or for good
                          |                  |
                          +----> error <-----+      counts on; update or a person: requested again
            off: by its owner or a person here, at its end, when its owner may no longer read, or after
                 `KEPT_DAYS` in error; nothing is counted any more

Whoever sends holds the lease of the row, so one process sends at a time for a Subscription and its events go
out in the order of their numbers. Each change of the row by its owner takes the lease away: what was being
sent under the old terms is no longer noted. All times are the database's.
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

REQUESTED, ACTIVE, ERROR, OFF = "requested", "active", "error", "off"
STATUSES = (REQUESTED, ACTIVE, ERROR, OFF)
#: the answer of one that was turned off because it was in error for `KEPT_DAYS`
GIVEN_UP = "given-up"
#: and of one that a person of this service has turned off
ENDED_HERE = "ended-here"
#: how long one in error counts on, and how long events are kept for whoever asks for them again
KEPT_DAYS = 30
HANDSHAKE, HEARTBEAT, EVENTS = "handshake", "heartbeat", "event-notification"


class LeaseLost(Exception):
    """The Subscription was changed or removed, or another process sends for it by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One Subscription, as it stands."""

    key: int
    id: str
    #: the name of the sender who made it
    owner: str
    version: int
    changed_at: datetime
    #: JSON as it was sent, without id, status, error and secret
    body: str = field(repr=False)
    status: str
    #: the last number that was given to an event, and the last that was taken
    numbered: int
    delivered: int
    attempts: int
    retry_at: datetime | None
    leased: bool
    #: of the last attempt; None: there was none
    answer: str | None
    http_status: int | None
    tried_at: datetime | None
    succeeded_at: datetime | None

    @property
    def waiting(self) -> int:
        """Return how many events were not taken yet."""
        return self.numbered - self.delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """What a Subscription is to be from now on."""

    body: str = field(repr=False)
    #: the name of its topic
    topic: str
    #: `requested` or `off`
    status: str
    ends_at: datetime | None
    heartbeat_s: int | None
    #: None: as before
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to send for one Subscription until the lease ends."""

    key: int
    token: UUID
    id: str
    owner: str
    body: str = field(repr=False)
    secret: str = field(repr=False)
    topic: str
    #: what is to be sent: `HANDSHAKE`, `EVENTS` or `HEARTBEAT`
    kind: str
    #: 1 for the first try since something was taken
    attempt: int
    numbered: int
    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many Subscriptions there are, how many are in error, and how many events all of them wait for."""

    all: int
    in_error: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """An event with its number in one Subscription."""

    number: int
    patient: str | None
    type: str
    id: str
    version: int
    #: by the service clock
    at: datetime

    @property
    def reference(self) -> str:
        """Return `Type/id` of what it is about."""
        return f"{self.type}/{self.id}"


def add(tx: Connection, id: str, owner: str, new: New, *, tenant: int) -> None:
    """Store a new Subscription."""
    assert new.secret is not None
    tx.execute(text(_ADD), {"tenant": tenant, "id": id, "owner": owner, **_values(new)})


def find(tx: Connection, id: str, *, owner: str, tenant: int, lock: bool = False) -> Subscription | None:
    """Return a Subscription of the owner; None: there is none, or it is another's."""
    statement = f"{_SELECT} AND id = :id AND owner = :owner{' FOR UPDATE' if lock else ''}"
    row = tx.execute(text(statement), {"tenant": tenant, "id": id, "owner": owner}).mappings().one_or_none()
    return Subscription(**row) if row else None


def signs_with(tx: Connection, key: int, secret: str) -> bool:
    """Return whether this is the secret of a Subscription."""
    kept = tx.execute(text("SELECT secret FROM subscription WHERE key = :key"), {"key": key}).scalar_one()
    return hmac.compare_digest(str(kept).encode(), secret.encode())


def of_owner(tx: Connection, owner: str, *, tenant: int) -> list[Subscription]:
    """Return the Subscriptions of one sender, oldest first."""
    rows = tx.execute(text(f"{_SELECT} AND owner = :owner ORDER BY key"), {"tenant": tenant, "owner": owner})
    return [Subscription(**row) for row in rows.mappings()]


def every(tx: Connection, limit: int, *, tenant: int) -> list[Subscription]:
    """Return the Subscriptions of all senders: those in error first, then those with most events waiting.

    Those that are off come last: nobody waits for them.
    """
    statement = (
        f"{_SELECT} ORDER BY status <> 'error', status = 'off', numbered - delivered DESC, key LIMIT :limit"
    )
    return [
        Subscription(**row)
        for row in tx.execute(text(statement), {"tenant": tenant, "limit": limit}).mappings()
    ]


def count(tx: Connection, *, tenant: int) -> Count:
    """Return how many there are, and how much they wait for; what is off waits for nothing."""
    return Count(**tx.execute(text(_COUNT), {"tenant": tenant}).mappings().one())


def is_known(tx: Connection, id: str, *, tenant: int) -> bool:
    """Return whether there is a Subscription with this id, whoever made it."""
    statement = "SELECT EXISTS (SELECT FROM subscription WHERE tenant = :tenant AND id = :id)"
    return bool(tx.execute(text(statement), {"tenant": tenant, "id": id}).scalar_one())


def any_live(tx: Connection, *, tenant: int) -> bool:
    """Return whether anything is or may be to be sent or counted."""
    statement = "SELECT EXISTS (SELECT FROM subscription WHERE tenant = :tenant AND status <> 'off')"
    return bool(tx.execute(text(statement), {"tenant": tenant}).scalar_one())


def change(tx: Connection, key: int, new: New, *, same_events: bool) -> None:
    """Give a Subscription other terms; it is asked for anew, or off.

    Args:
        same_events: it asks for the events that it asked for before; otherwise those that it has are removed,
            also those that wait, and its numbers go on.
    """
    tx.execute(text(_CHANGE), {"key": key, "off": new.status == OFF, **_values(new)})
    if not same_events:
        for statement in (
            "DELETE FROM subscription_event WHERE subscription = :key",
            "UPDATE subscription SET delivered = numbered WHERE key = :key",
        ):
            tx.execute(text(statement), {"key": key})


def remove(tx: Connection, key: int) -> None:
    """Remove a Subscription and its events."""
    for statement in (
        "DELETE FROM subscription WHERE key = :key",
        "DELETE FROM subscription_event WHERE subscription = :key",
    ):
        tx.execute(text(statement), {"key": key})


def again(tx: Connection, id: str, *, tenant: int) -> bool:
    """Have a Subscription tried at once, because a person asks. Returns whether there is something to try."""
    return tx.execute(text(_AGAIN), {"tenant": tenant, "id": id}).rowcount == 1


def turn_off(tx: Connection, id: str, *, tenant: int) -> bool:
    """Turn a Subscription off, because a person of this service wants it. Returns whether it was on.

    Whoever sends for it loses the lease. Its owner reads why, and may ask for it anew.
    """
    return tx.execute(text(_TURN_OFF), {"tenant": tenant, "id": id, "ended": ENDED_HERE}).rowcount == 1


def end(tx: Connection, *, tenant: int) -> int:
    """Turn off those whose end has come or that nobody has taken up for too long, and return how many."""
    return tx.execute(text(_END), {"tenant": tenant, "days": KEPT_DAYS, "given_up": GIVEN_UP}).rowcount


def claim(tx: Connection, *, tenant: int, slow: bool, lease_s: float) -> Claim | None:
    """Count an attempt and lease the Subscription that has waited longest; None: nothing is to be sent now.

    Args:
        slow: one of those that failed or were slow the last time, or one of the others.
    """
    token = uuid4()
    names = {"tenant": tenant, "slow": slow, "lease_s": lease_s, "token": token}
    row = tx.execute(text(_CLAIM), names).mappings().one_or_none()
    return Claim(token=token, **row) if row else None


def events(tx: Connection, key: int, *, after: int, until: int | None, limit: int) -> list[Numbered]:
    """Return events of a Subscription in the order of their numbers.

    Args:
        after: only later ones.
        until: the last that is wanted; None: all.
    """
    names = {"key": key, "after": after, "until": until, "limit": limit}
    return [Numbered(**row) for row in tx.execute(text(_EVENTS), names).mappings()]


def taken(tx: Connection, claim: Claim, *, delivered: int, http_status: int | None, slow: bool) -> None:
    """Give the claim back: what was sent was taken.

    Args:
        delivered: the last number that was.

    Raises:
        LeaseLost: nothing is noted.
    """
    names = {**_mine(claim), "delivered": delivered, "http_status": http_status, "slow": slow}
    _assert_one(tx.execute(text(_TAKEN), {**names, "handshake": claim.kind == HANDSHAKE}).rowcount)


def failed(
    tx: Connection, claim: Claim, *, answer: str, http_status: int | None, pause_s: float | None, off: bool
) -> None:
    """Give the claim back: what was sent was not taken.

    Args:
        pause_s: when it is tried again; None: the Subscription is in error until somebody asks, or off.
        off: it is off, and counts no more; its owner may ask for it anew.

    Raises:
        LeaseLost: nothing is noted.
    """
    names = {
        **_mine(claim),
        "answer": answer,
        "http_status": http_status,
        "pause_s": pause_s,
        "status": OFF if off else ERROR if pause_s is None else None,
    }
    _assert_one(tx.execute(text(_FAILED), names).rowcount)


def _values(new: New) -> dict[str, object]:
    return {
        "body": new.body,
        "secret": new.secret,
        "topic": new.topic,
        "status": new.status,
        "ends_at": new.ends_at,
        "heartbeat_s": new.heartbeat_s,
    }


def _mine(claim: Claim) -> dict[str, object]:
    return {"key": claim.key, "token": claim.token}


def _assert_one(rows: int) -> None:
    if rows != 1:
        raise LeaseLost


_SELECT = """
    SELECT key, id, owner, version, changed_at, body, status, numbered, delivered, attempts, retry_at,
        coalesce(lease_until > clock_timestamp(), false) AS leased, answer, http_status, tried_at,
        succeeded_at
    FROM subscription WHERE tenant = :tenant
"""
_COUNT = """
    SELECT count(*) AS all, count(*) FILTER (WHERE status = 'error') AS in_error,
        coalesce(sum(numbered - delivered) FILTER (WHERE status <> 'off'), 0)::bigint AS waiting
    FROM subscription WHERE tenant = :tenant
"""
_ADD = """
    INSERT INTO subscription (tenant, id, owner, version, body, secret, topic, status, ends_at, heartbeat_s)
    VALUES (:tenant, :id, :owner, 1, :body, :secret, :topic, :status, :ends_at, :heartbeat_s)
"""
#: asked for anew by its owner or a person, or off
_AFRESH = """
    version = version + 1, changed_at = clock_timestamp(), attempts = 0, retry_at = NULL, slow = false,
    lease_until = NULL, leased_by = NULL
"""
_CHANGE = f"""
    UPDATE subscription SET {_AFRESH}, body = :body, secret = coalesce(:secret, secret), topic = :topic,
        status = :status, ends_at = :ends_at, heartbeat_s = :heartbeat_s, answer = NULL, http_status = NULL,
        counting_since = CASE WHEN :off THEN NULL ELSE counting_since END
    WHERE key = :key
"""  # noqa: S608 - constants of this module, here and below
# One that waits for its next try is tried now; one in error has to be shown again that somebody listens.
_AGAIN = f"""
    UPDATE subscription SET {_AFRESH},
        status = CASE WHEN status = 'error' THEN 'requested' ELSE status END
    WHERE tenant = :tenant AND id = :id AND (status = 'error' OR retry_at IS NOT NULL)
"""  # noqa: S608
_TURN_OFF = f"""
    UPDATE subscription SET {_AFRESH}, status = 'off', counting_since = NULL, answer = :ended,
        http_status = NULL
    WHERE tenant = :tenant AND id = :id AND status <> 'off'
"""  # noqa: S608
_END = f"""
    UPDATE subscription SET {_AFRESH}, status = 'off', counting_since = NULL,
        answer = CASE WHEN ends_at <= clock_timestamp() THEN answer ELSE :given_up END,
        http_status = CASE WHEN ends_at <= clock_timestamp() THEN http_status END
    WHERE tenant = :tenant AND status <> 'off' AND (ends_at <= clock_timestamp()
        OR (status = 'error' AND changed_at < clock_timestamp() - make_interval(days => :days)))
"""  # noqa: S608
_KIND = """
    CASE
        WHEN status = 'requested' THEN 'handshake'
        WHEN status = 'active' AND delivered < numbered THEN 'event-notification'
        WHEN status = 'active' AND heartbeat_s IS NOT NULL
            AND succeeded_at + make_interval(secs => heartbeat_s) <= clock_timestamp() THEN 'heartbeat'
    END
"""
_CLAIM = f"""
    UPDATE subscription SET attempts = attempts + 1, leased_by = :token, retry_at = NULL,
        tried_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE key = (
        SELECT key FROM subscription
        WHERE tenant = :tenant AND slow = :slow AND {_KIND} IS NOT NULL
            AND (retry_at IS NULL OR retry_at <= clock_timestamp())
            AND (lease_until IS NULL OR lease_until <= clock_timestamp())
        ORDER BY tried_at NULLS FIRST, key LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING key, id, owner, body, secret, topic, attempts AS attempt, numbered, delivered, {_KIND} AS kind
"""  # noqa: S608
_EVENTS = """
    SELECT number, patient, type, id, version, at FROM subscription_event
    WHERE subscription = :key AND number > :after AND (CAST(:until AS bigint) IS NULL OR number <= :until)
    ORDER BY number LIMIT :limit
"""
_MINE = "key = :key AND leased_by = :token"
_FREE = "lease_until = NULL, leased_by = NULL, http_status = :http_status"
_TAKEN = f"""
    UPDATE subscription SET {_FREE}, delivered = greatest(delivered, :delivered), attempts = 0, slow = :slow,
        answer = 'taken', succeeded_at = clock_timestamp(),
        counting_since = CASE WHEN :handshake THEN coalesce(counting_since, clock_timestamp())
            ELSE counting_since END,
        version = CASE WHEN :handshake THEN version + 1 ELSE version END,
        changed_at = CASE WHEN :handshake THEN clock_timestamp() ELSE changed_at END,
        status = CASE WHEN :handshake THEN 'active' ELSE status END
    WHERE {_MINE}
"""  # noqa: S608
_FAILED = f"""
    UPDATE subscription SET {_FREE}, slow = true, answer = :answer,
        retry_at = clock_timestamp() + make_interval(secs => CAST(:pause_s AS double precision)),
        version = CASE WHEN CAST(:status AS text) IS NULL THEN version ELSE version + 1 END,
        changed_at = CASE WHEN CAST(:status AS text) IS NULL THEN changed_at ELSE clock_timestamp() END,
        counting_since = CASE WHEN CAST(:status AS text) = 'off' THEN NULL ELSE counting_since END,
        status = coalesce(:status, status)
    WHERE {_MINE}
"""  # noqa: S608

PURGED_AT_ONCE = 500


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove events that were taken, or that nobody waits for any more, and return how many.

    What an active Subscription or one in error has not taken is kept, however old it is.
    """
    return tx.execute(text(_PURGE), {"days": KEPT_DAYS, "limit": limit}).rowcount


_PURGE = """
    DELETE FROM subscription_event WHERE (subscription, number) IN (
        SELECT e.subscription, e.number
        FROM subscription_event e JOIN subscription s ON s.key = e.subscription
        WHERE e.numbered_at < now() - make_interval(days => :days)
            AND (e.number <= s.delivered OR s.status = 'off')
        ORDER BY e.numbered_at LIMIT :limit
    )
"""


def forget_events(tx: Connection) -> None:
    """Forget every event, and keep the Subscriptions with the numbers that they have reached."""
    for statement in (
        "DELETE FROM raised_event",
        "DELETE FROM subscription_event",
        "DELETE FROM overdue_task",
        "UPDATE subscription SET delivered = numbered",
    ):
        tx.execute(text(statement))
