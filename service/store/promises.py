"""Promises: who has something waiting, since when, and who is at work on it.

A promise says who, never what. Each Bundle adds an arrival; a worker that finished
removes the arrivals its snapshot saw, so what came meanwhile is still waiting. A timer
is the same promise with a date.

    want --> due --> claim (attempt, lease) --> settle_done   arrivals gone, next timer set
                       |  renew                 fail          again after a pause, or parked
                       |                        give_back     again after a pause
                       +-- lease runs out: due again

The row of a patient is written by workers alone and arrivals by intake alone: a
hospital's POST never waits for an evaluation.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import Cursor
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, text

from service.store.driver import raw, together
from service.store.pending import BACKOFF_S, FREE, HELD, NOW, PENDING, UNTRIED, passed

#: a worker that dies on a patient this often takes the patient's promise out of the queue
MAX_LOST = 3

#: pause after a failure that was nobody's
GIVE_BACK_S = 5


class LeaseLost(Exception):
    """Another worker has the promise by now; what this one did must not be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on one patient until the lease ends."""

    tenant: int
    patient: str
    kind: str
    #: which claim this is; a later one has another
    token: UUID
    #: 1 for the first try
    attempt: int
    lease_s: float
    #: by the service clock; None: a person asked before anything was due
    due_at: datetime | None
    #: the arrivals that were waiting
    wanted: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A patient who may be worked on now."""

    tenant: int
    patient: str
    kind: str
    #: how often somebody has begun since the last time it succeeded
    attempts: int


def want(
    tx: Connection,
    patient: str,
    *,
    tenant: int,
    kind: str = "advance",
    due_at: datetime,
    received: datetime | None = None,
    settles: bool = False,
    forced: bool = False,
) -> None:
    """Promise work for the patient. It becomes visible with the data it is about.

    Args:
        due_at: by the service clock.
        received: by the service clock; the longest wait counts from here. Default: `due_at`.
        settles: a later arrival may move the due date, as `LONGEST_SETTLE` allows.
        forced: a person asks for it now, even while the clock is held or the promise parked.
    """
    # By the driver alone: intake sends this along with its writes, in one round trip.
    raw(tx).execute(_WANT, [tenant, kind, patient, received or due_at, due_at, settles, forced])


_WANT = (
    "INSERT INTO arrival (tenant, kind, patient, received, due_at, settles, forced) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


def want_all(
    tx: Connection, patients: Collection[str], *, tenant: int, now: datetime, per_s: float | None
) -> None:
    """Promise an evaluation of many patients, one after another: new data of others are not behind all.

    Args:
        now: the service clock.
        per_s: how many are due in each second; None: all now, as where the clock stands still.
    """
    names = {"tenant": tenant, "patients": sorted(patients), "now": now, "apart": 1 / per_s if per_s else 0}
    raw(tx).execute(_WANT_ALL, names)


_WANT_ALL = """
    INSERT INTO arrival (tenant, kind, patient, received, due_at, settles, forced)
    SELECT %(tenant)s, 'advance', patient, %(now)s,
        %(now)s + (number - 1) * make_interval(secs => %(apart)s), false, false
    FROM unnest(%(patients)s::text[]) WITH ORDINALITY AS p (patient, number)
"""


def due(tx: Connection, now: datetime, limit: int) -> list[Due]:
    """Return what is due and nobody works on.

    New data first, oldest first; then timers. While the clock is held only what a
    person asked for is due.
    """
    statement = f"""
        WITH w AS ({PENDING})
        SELECT tenant, patient, kind, attempts FROM (
            SELECT w.tenant, w.patient, w.kind, coalesce(p.attempts, 0) AS attempts, 0 AS class, w.due_at
            FROM w LEFT JOIN promise p USING (tenant, kind, patient)
            WHERE (w.forced OR (w.due_at <= :now AND NOT {HELD})) AND {FREE}
            UNION ALL
            SELECT p.tenant, p.patient, p.kind, p.attempts, 1, p.due_at
            FROM promise p LEFT JOIN w USING (tenant, kind, patient)
            WHERE w.patient IS NULL AND p.due_at <= :now AND p.parked_at IS NULL AND NOT {HELD} AND {FREE}
        ) AS found ORDER BY class, due_at LIMIT :limit
    """  # noqa: S608 - constants of this module
    rows = tx.execute(text(statement), {"now": now, "limit": limit})
    return [Due(**row) for row in rows.mappings()]


def claim(
    tx: Connection,
    *,
    tenant: int,
    patient: str,
    kind: str = "advance",
    lease_s: float = 10,
    forced: bool = False,
    max_lost: int = MAX_LOST,
) -> Claim | None:
    """Count an attempt and lease the promise; None while there is nothing to do.

    See `ask_to_claim`.
    """
    who = [(tenant, patient)]
    with together(tx):
        claimed = ask_to_claim(tx, who, kind=kind, lease_s=lease_s, forced=forced, max_lost=max_lost)
    return next(iter(claimed()), None)


def ask_to_claim(
    tx: Connection,
    patients: Iterable[tuple[int, str]],
    *,
    kind: str = "advance",
    lease_s: float = 10,
    forced: bool = False,
    max_lost: int = MAX_LOST,
    untried: bool = False,
) -> Callable[[], list[Claim]]:
    """Ask to count an attempt of each and to lease the promises, and return how to get those of them.

    They are there after the end of a block of `together`. A promise is refused while another worker has it,
    while it pauses or is parked, before it is due, and while the clock is held unless a person asked. Meant
    for a transaction of its own: an attempt counts even if the worker dies in it. That transaction does not
    wait for the disk: a server that crashes may forget who had the promise, and it is claimed again.

    Args:
        patients: tenant and id.
        untried: only promises that nobody has tried since they were last kept, and none whose row is locked:
            of several nobody is waited for but who claims one of them for the first time.
    """
    lock, take = (_LOCK_FREE, _TAKE_UNTRIED) if untried else (_LOCK, _TAKE)
    asked: list[tuple[int, str, UUID, Cursor[Any]]] = []
    # Sorted, so that two who claim several never wait in a circle.
    for tenant, patient in sorted(set(patients)):
        token = uuid4()
        who = {"tenant": tenant, "patient": patient, "kind": kind}
        more = {"token": token, "lease_s": lease_s, "forced": forced, "max_lost": max_lost}
        # Each statement sees what was committed before it began. The lock comes before the look: what
        # is read under it is what the last worker left.
        raw(tx).execute(_BE_THERE, who)
        raw(tx).execute(lock, who)
        taking = raw(tx).cursor(row_factory=namedtuple_row).execute(take, {**who, **more})
        asked.append((tenant, patient, token, taking))

    def answer() -> list[Claim]:
        return [
            Claim(
                tenant=tenant,
                patient=patient,
                kind=kind,
                token=token,
                attempt=row.attempts,
                lease_s=lease_s,
                due_at=row.due_at,
                wanted=tuple(row.wanted),
            )
            for tenant, patient, token, taking in asked
            if (row := taking.fetchone())
        ]

    return answer


_THIS = "tenant = %(tenant)s AND kind = %(kind)s AND patient = %(patient)s"
_BE_THERE = (
    "INSERT INTO promise (tenant, kind, patient) SELECT %(tenant)s, %(kind)s, %(patient)s "  # noqa: S608
    # A late wake-up, or one of another installation, is about nobody and leaves nothing.
    f"WHERE EXISTS (SELECT FROM arrival WHERE {_THIS}) "
    f"AND NOT EXISTS (SELECT FROM promise WHERE {_THIS}) ON CONFLICT DO NOTHING"
)
_LOCK = f"SELECT FROM promise WHERE {_THIS} FOR UPDATE"
_LOCK_FREE = f"{_LOCK} SKIP LOCKED"


def _taking(*, mine: str = "", ready: str = "", still: str = "") -> str:
    """Return the statement that leases a promise.

    Args:
        mine: a part of the WITH, before all others.
        ready: what else must hold, as the statement sees it.
        still: what else must hold of the row when it is changed; of one that somebody has changed since the
            statement began it is asked again.
    """
    return f"""
    WITH {mine} looked AS (
        SELECT p.key, p.attempts, p.parked_at IS NOT NULL AS parked, {FREE} AS free, {UNTRIED} AS untried,
            coalesce(w.forced, false) AS asked,
            NOT {passed("p.lease_until")} AS leased,
            LEAST(w.due_at, p.due_at) AS due_at,
            LEAST(w.due_at, p.due_at) <= {NOW} AND NOT {HELD} AS due
        FROM promise p LEFT JOIN (SELECT * FROM ({PENDING}) AS pending WHERE {_THIS}) AS w
        USING (tenant, kind, patient)
        WHERE {_THIS}
    ), ready AS (
        SELECT key, due_at,
            CASE WHEN parked OR (untried AND attempts >= %(max_lost)s) THEN 0 ELSE attempts END AS attempts
        FROM looked
        WHERE {ready} NOT leased AND (%(forced)s OR (free AND (due OR asked)))
    ), lost AS (
        UPDATE promise AS p SET parked_at = clock_timestamp(), failed_reason = 'its workers were lost',
            lease_until = NULL, leased_by = NULL
        FROM ready WHERE p.key = ready.key AND ready.attempts >= %(max_lost)s
    )
    UPDATE promise AS p SET attempts = ready.attempts + 1, leased_by = %(token)s, parked_at = NULL,
        retry_at = NULL, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
        tried = ARRAY(SELECT key FROM arrival WHERE {_THIS} ORDER BY key)
    FROM ready WHERE p.key = ready.key AND ready.attempts < %(max_lost)s {still}
    RETURNING p.attempts, ready.due_at, p.tried AS wanted, set_config('synchronous_commit', 'off', true)
"""  # noqa: S608 - constants of this module


_TAKE = _taking()
_TAKE_UNTRIED = _taking(
    mine=f"mine AS MATERIALIZED (SELECT key FROM promise WHERE {_THIS} FOR UPDATE SKIP LOCKED),",  # noqa: S608
    # Nor is anybody given up here: `lost` would wait for a row that is locked, and change what was kept.
    ready="attempts = 0 AND NOT parked AND key IN (SELECT key FROM mine) AND",
    still="AND p.attempts = 0 AND p.leased_by IS NULL AND p.failed_reason IS NULL AND p.parked_at IS NULL",
)


def renew(tx: Connection, claim: Claim, lease_s: float | None = None) -> bool:
    """Extend the lease from now, by its length or another one; False if it was lost."""
    result = tx.execute(
        text(
            "UPDATE promise SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
            "WHERE tenant = :tenant AND kind = :kind AND patient = :patient AND leased_by = :token"
        ),
        {**_who(claim), "token": claim.token, "lease_s": lease_s or claim.lease_s},
    )
    return result.rowcount == 1


def wanted(tx: Connection, patient: str, *, tenant: int, kind: str = "advance") -> tuple[int, ...]:
    """Return the arrivals this transaction sees."""
    return ask_wanted(tx, patient, tenant=tenant, kind=kind)()


def ask_wanted(
    tx: Connection, patient: str, *, tenant: int, kind: str = "advance"
) -> Callable[[], tuple[int, ...]]:
    """Ask for what `wanted` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute(_WANTED, {"tenant": tenant, "kind": kind, "patient": patient})
    return lambda: tuple(key for (key,) in cursor)


_WANTED = f"SELECT key FROM arrival WHERE {_THIS} ORDER BY key"  # noqa: S608 - constants of this module


def settle_done(
    tx: Connection,
    claim: Claim,
    wanted: Collection[int] | None = None,
    next_due: datetime | None = None,
    *,
    now: datetime | None = None,
) -> None:
    """Keep the promise, in the transaction that did the work.

    Args:
        wanted: the arrivals whose data were seen; those of the claim by default.
        next_due: the next timer, by the service clock.
        now: the service clock, for `Standing.done_at`.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    ask_to_settle(tx, claim, wanted, next_due, now=now)()


def ask_to_settle(
    tx: Connection,
    claim: Claim,
    wanted: Collection[int] | None = None,
    next_due: datetime | None = None,
    *,
    now: datetime | None = None,
) -> Callable[[], None]:
    """Ask for what `settle_done` does, and return how to learn whether it was done: it raises LeaseLost.

    It must be called, after the end of a block of `together` and before the commit.
    """
    cursor = raw(tx).execute(
        _SETTLE,
        {
            **_who(claim),
            "token": claim.token,
            "due_at": next_due,
            "done_at": now or datetime.now(UTC),
            "keys": list(claim.wanted if wanted is None else wanted),
        },
    )

    def answer() -> None:
        if cursor.fetchone() is None:
            raise LeaseLost

    return answer


_SETTLE = f"""
    WITH kept AS (
        UPDATE promise SET due_at = %(due_at)s, lease_until = NULL, leased_by = NULL, attempts = 0,
            retry_at = NULL, failed_reason = NULL, parked_at = NULL, done_at = %(done_at)s
        WHERE {_THIS} AND leased_by = %(token)s RETURNING key
    ), done AS (
        DELETE FROM arrival WHERE key = ANY(%(keys)s) AND EXISTS (SELECT FROM kept)
    )
    SELECT key FROM kept
"""  # noqa: S608 - constants of this module


def fail(tx: Connection, claim: Claim, reason: str, max_attempts: int = 3) -> bool:
    """Give the promise back after a failure; True if it is parked now.

    Args:
        reason: names and ids only, it is shown and logged.
        max_attempts: parked at this attempt; a person or new data try it again.
    """
    parked = claim.attempt >= max_attempts
    pause = BACKOFF_S[min(claim.attempt, len(BACKOFF_S)) - 1]
    tx.execute(
        text(
            "UPDATE promise SET lease_until = NULL, leased_by = NULL, failed_reason = :reason, "
            "retry_at = clock_timestamp() + make_interval(secs => :pause), "
            "parked_at = CASE WHEN :parked THEN clock_timestamp() END "
            "WHERE tenant = :tenant AND kind = :kind AND patient = :patient AND leased_by = :token"
        ),
        {**_who(claim), "token": claim.token, "reason": reason, "pause": pause, "parked": parked},
    )
    return parked


def give_back(tx: Connection, claim: Claim, reason: str) -> None:
    """Give the promise back after a failure that says nothing about the patient: the attempt does not count.

    A lock that another worker holds too long, or a server that stops, must not park whoever is next.
    """
    tx.execute(
        text(
            "UPDATE promise SET lease_until = NULL, leased_by = NULL, failed_reason = :reason, "
            "attempts = attempts - 1, retry_at = clock_timestamp() + make_interval(secs => :pause) "
            "WHERE tenant = :tenant AND kind = :kind AND patient = :patient AND leased_by = :token"
        ),
        {**_who(claim), "token": claim.token, "reason": reason, "pause": GIVE_BACK_S},
    )


def put_back(tx: Connection, claims: Iterable[Claim]) -> None:
    """Give back promises of which nothing is known: no attempt counts, and they are due as before."""
    with together(tx):
        for claim in claims:
            raw(tx).execute(_PUT_BACK, {**_who(claim), "token": claim.token})


_PUT_BACK = (
    "UPDATE promise SET lease_until = NULL, leased_by = NULL, attempts = attempts - 1 "  # noqa: S608
    f"WHERE {_THIS} AND leased_by = %(token)s"
)


def release(tx: Connection) -> None:
    """Take back every lease, for a caller who knows that no worker is left. The attempts count."""
    tx.execute(text("UPDATE promise SET lease_until = NULL, leased_by = NULL WHERE lease_until IS NOT NULL"))


def _who(claim: Claim) -> dict[str, object]:
    return {"tenant": claim.tenant, "patient": claim.patient, "kind": claim.kind}
