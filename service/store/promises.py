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

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import class_row, namedtuple_row
from sqlalchemy import Connection, text

from service.store.writing import raw, together

#: no input waits longer, however many follow
LONGEST_SETTLE = timedelta(minutes=60)

#: a worker that dies on a patient this often takes the patient's promise out of the queue
MAX_LOST = 3

#: pauses after the first, second, ... failure
BACKOFF_S = (1, 5, 30, 120)

#: pause after a failure that was nobody's
GIVE_BACK_S = 5

SETTLE_MINUTES = LONGEST_SETTLE // timedelta(minutes=1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How much is due, and since when."""

    count: int
    #: service clock; None: nothing is due
    oldest_due_at: datetime | None
    #: for how many seconds the oldest could have been worked on, by the database's clock;
    #: 0 while the clock is held. A timer counts only while the service clock is the database's.
    late_s: float
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one patient's promise stands."""

    tenant: int
    patient: str
    kind: str
    arrivals: int
    #: when it is worked on next: the settled arrivals or the timer, whichever is first
    due_at: datetime | None
    lease_until: datetime | None
    attempts: int
    failed_reason: str | None
    parked_at: datetime | None
    done_at: datetime | None


# When the arrivals of a patient are due: at once if one does not settle, else when the last
# one has settled, and never later than the longest wait after the first.
_ARRIVALS_DUE = (
    "LEAST(min(a.due_at) FILTER (WHERE NOT a.settles), max(a.due_at) FILTER (WHERE a.settles), "
    f"min(a.received) + interval '{SETTLE_MINUTES} minutes')"
)

_NOW = "(SELECT coalesce(now, clock_timestamp()) FROM clock)"
_HELD = "(SELECT coalesce(held AND now IS NOT NULL, false) FROM clock)"

_PENDING = f"""
    SELECT a.tenant, a.kind, a.patient, count(*) AS arrivals, {_ARRIVALS_DUE} AS due_at,
           bool_or(a.forced) AS forced, max(a.arrived_at) AS arrived_at, array_agg(a.key) AS keys
    FROM arrival a GROUP BY a.tenant, a.kind, a.patient
"""  # noqa: S608 - constants of this module

# An instant so far ahead that nobody can have set it means that the database's clock was
# set back since; it must not keep a patient from being looked at until it comes round again.
_FAR = f"(clock_timestamp() + interval '{2 * BACKOFF_S[-1]} seconds')"


def _passed(instant: str) -> str:
    return f"({instant} IS NULL OR {instant} <= clock_timestamp() OR {instant} > {_FAR})"


# Something arrived that the last attempt had not seen when it began. Told by the arrivals
# themselves: they become visible in another order than they are numbered or dated.
_UNTRIED = "coalesce(NOT (w.keys <@ coalesce(p.tried, '{}')), false)"

# Free: nobody has it, no pause after a failure, and not parked, unless something arrived
# that was not tried: it may be the correction.
_FREE = f"""
    {_passed("p.lease_until")} AND {_passed("p.retry_at")} AND (p.parked_at IS NULL OR {_UNTRIED})
"""


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
        WITH w AS ({_PENDING})
        SELECT tenant, patient, kind, attempts FROM (
            SELECT w.tenant, w.patient, w.kind, coalesce(p.attempts, 0) AS attempts, 0 AS class, w.due_at
            FROM w LEFT JOIN promise p USING (tenant, kind, patient)
            WHERE (w.forced OR (w.due_at <= :now AND NOT {_HELD})) AND {_FREE}
            UNION ALL
            SELECT p.tenant, p.patient, p.kind, p.attempts, 1, p.due_at
            FROM promise p LEFT JOIN w USING (tenant, kind, patient)
            WHERE w.patient IS NULL AND p.due_at <= :now AND p.parked_at IS NULL AND NOT {_HELD} AND {_FREE}
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

    Refused while another worker has it, while it pauses or is parked, before it is due,
    and while the clock is held unless a person asked. Meant for a transaction of its
    own: an attempt counts even if the worker dies in it. That transaction does not wait for
    the disk: a server that crashes may forget who had the promise, and it is claimed again.
    """
    token = uuid4()
    who = {"tenant": tenant, "patient": patient, "kind": kind}
    more = {"token": token, "lease_s": lease_s, "forced": forced, "max_lost": max_lost}
    taking = raw(tx).cursor(row_factory=namedtuple_row)
    with together(tx):
        # Each statement sees what was committed before it began. The lock comes before the look: what
        # is read under it is what the last worker left.
        raw(tx).execute(_BE_THERE, who)
        raw(tx).execute(_LOCK, who)
        taking.execute(_TAKE, {**who, **more})
    row: Any = taking.fetchone()
    if row is None:
        return None
    return Claim(
        tenant=tenant,
        patient=patient,
        kind=kind,
        token=token,
        attempt=row.attempts,
        lease_s=lease_s,
        due_at=row.due_at,
        wanted=tuple(row.wanted),
    )


_THIS = "tenant = %(tenant)s AND kind = %(kind)s AND patient = %(patient)s"
_BE_THERE = (
    "INSERT INTO promise (tenant, kind, patient) SELECT %(tenant)s, %(kind)s, %(patient)s "  # noqa: S608
    # A late wake-up, or one of another installation, is about nobody and leaves nothing.
    f"WHERE EXISTS (SELECT FROM arrival WHERE {_THIS}) "
    f"AND NOT EXISTS (SELECT FROM promise WHERE {_THIS}) ON CONFLICT DO NOTHING"
)
_LOCK = f"SELECT FROM promise WHERE {_THIS} FOR UPDATE"
_TAKE = f"""
    WITH looked AS (
        SELECT p.key, p.attempts, p.parked_at IS NOT NULL AS parked, {_FREE} AS free, {_UNTRIED} AS untried,
            coalesce(w.forced, false) AS asked,
            NOT {_passed("p.lease_until")} AS leased,
            LEAST(w.due_at, p.due_at) AS due_at,
            LEAST(w.due_at, p.due_at) <= {_NOW} AND NOT {_HELD} AS due
        FROM promise p LEFT JOIN (SELECT * FROM ({_PENDING}) AS pending WHERE {_THIS}) AS w
        USING (tenant, kind, patient)
        WHERE {_THIS}
    ), ready AS (
        SELECT key, due_at,
            CASE WHEN parked OR (untried AND attempts >= %(max_lost)s) THEN 0 ELSE attempts END AS attempts
        FROM looked
        WHERE NOT leased AND (%(forced)s OR (free AND (due OR asked)))
    ), lost AS (
        UPDATE promise AS p SET parked_at = clock_timestamp(), failed_reason = 'its workers were lost',
            lease_until = NULL, leased_by = NULL
        FROM ready WHERE p.key = ready.key AND ready.attempts >= %(max_lost)s
    )
    UPDATE promise AS p SET attempts = ready.attempts + 1, leased_by = %(token)s, parked_at = NULL,
        retry_at = NULL, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
        tried = ARRAY(SELECT key FROM arrival WHERE {_THIS} ORDER BY key)
    FROM ready WHERE p.key = ready.key AND ready.attempts < %(max_lost)s
    RETURNING p.attempts, ready.due_at, p.tried AS wanted, set_config('synchronous_commit', 'off', true)
"""  # noqa: S608 - constants of this module


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


def release(tx: Connection) -> None:
    """Take back every lease, for a caller who knows that no worker is left. The attempts count."""
    tx.execute(text("UPDATE promise SET lease_until = NULL, leased_by = NULL WHERE lease_until IS NOT NULL"))


def waiting(tx: Connection, now: datetime) -> Waiting:
    """Return how much is due by now, over all tenants; parked promises apart."""
    cursor = raw(tx).cursor(row_factory=class_row(Waiting))
    found = cursor.execute(_WAITING, {"now": now}).fetchone()
    assert found is not None
    return found


def done_since(tx: Connection, moment: datetime) -> int:
    """Return of how many patients the last evaluation was at this moment of the service clock, or later."""
    statement = text("SELECT count(*) FROM promise WHERE done_at >= :moment AND parked_at IS NULL")
    return int(tx.execute(statement, {"moment": moment}).scalar_one())


def standing(tx: Connection, patient: str, *, tenant: int, kind: str = "advance") -> Standing | None:
    """Return where the patient's promise stands; None if there never was one."""
    where = "tenant = %(tenant)s AND kind = %(kind)s AND patient = %(patient)s"
    rows = _standings(tx, where, {"tenant": tenant, "kind": kind, "patient": patient})
    return rows[0] if rows else None


def unread_since(tx: Connection, patient: str, *, tenant: int, kind: str = "advance") -> datetime | None:
    """Return when the arrivals that nothing was done about began to come; None: there are none."""
    where = "tenant = :tenant AND kind = :kind AND patient = :patient"
    statement = f"SELECT min(received) FROM arrival WHERE {where}"  # noqa: S608 - constants of this function
    names = {"tenant": tenant, "kind": kind, "patient": patient}
    found: datetime | None = tx.execute(text(statement), names).scalar_one()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKind:
    """How much there is of one kind of work."""

    kind: str
    due: int
    #: by the service clock; None: nothing is due
    oldest_due_at: datetime | None
    working: int
    #: failed, and tried again by itself
    again: int
    parked: int
    #: with a date that is still to come
    later: int


def by_kind(tx: Connection, now: datetime, *, tenant: int) -> list[OfKind]:
    """Return how much there is of each kind of work, what was given up first."""
    statement = f"""
        SELECT kind, count(*) FILTER (WHERE is_due) AS due,
            min(due_at) FILTER (WHERE is_due) AS oldest_due_at,
            count(*) FILTER (WHERE working) AS working, count(*) FILTER (WHERE parked) AS parked,
            count(*) FILTER (WHERE failed_reason IS NOT NULL AND NOT parked AND NOT working) AS again,
            count(*) FILTER (WHERE due_at > :now AND NOT parked) AS later
        FROM (
            SELECT kind, LEAST(w.due_at, p.due_at) AS due_at, p.failed_reason,
                p.lease_until IS NOT NULL AS working,
                p.parked_at IS NOT NULL AND NOT {_UNTRIED} AS parked,
                coalesce(LEAST(w.due_at, p.due_at) <= :now, false)
                    AND (p.parked_at IS NULL OR {_UNTRIED}) AS is_due
            FROM ({_PENDING}) AS w FULL JOIN promise p USING (tenant, kind, patient)
            WHERE tenant = :tenant
        ) AS standing GROUP BY kind ORDER BY parked DESC, kind
    """  # noqa: S608 - constants of this module
    return [OfKind(**row) for row in tx.execute(text(statement), {"tenant": tenant, "now": now}).mappings()]


def parked(tx: Connection, *, tenant: int) -> list[Standing]:
    """Return what was given up and waits for a person, longest first."""
    return _standings(tx, "tenant = %(tenant)s AND parked_at IS NOT NULL", {"tenant": tenant})


def queue(tx: Connection, now: datetime, limit: int, *, tenant: int) -> list[Standing]:
    """Return what is due by now, is being done or failed and is tried again, longest waiting first.

    Args:
        limit: at most so many; behind an outage there may be all patients.
    """
    where = (
        "tenant = %(tenant)s AND parked_at IS NULL "
        "AND (due_at <= %(now)s OR lease_until IS NOT NULL OR failed_reason IS NOT NULL)"
    )
    return _standings(tx, where, {"tenant": tenant, "now": now, "limit": limit}, "LIMIT %(limit)s")


def _standings(tx: Connection, where: str, names: dict[str, object], limit: str = "") -> list[Standing]:
    statement = f"{_STANDINGS} WHERE {where} ORDER BY parked_at, due_at, patient {limit}"
    return raw(tx).cursor(row_factory=class_row(Standing)).execute(statement, names).fetchall()


def _who(claim: Claim) -> dict[str, object]:
    return {"tenant": claim.tenant, "patient": claim.patient, "kind": claim.kind}


_WAITING = f"""
    WITH w AS ({_PENDING}), d AS (
        SELECT w.due_at, w.arrived_at
        FROM w LEFT JOIN promise p USING (tenant, kind, patient)
        WHERE w.due_at <= %(now)s AND (p.parked_at IS NULL OR {_UNTRIED})
        UNION ALL
        SELECT p.due_at, NULL FROM promise p
        WHERE p.due_at <= %(now)s AND p.parked_at IS NULL AND NOT EXISTS (
            SELECT FROM arrival a
            WHERE a.tenant = p.tenant AND a.kind = p.kind AND a.patient = p.patient)
    )
    SELECT count(*) AS count, min(due_at) AS oldest_due_at,
        CASE WHEN {_HELD} THEN 0 ELSE coalesce(extract(epoch FROM clock_timestamp() - min(
            CASE WHEN (SELECT now FROM clock) IS NULL THEN due_at ELSE arrived_at END
        )), 0)::float END AS late_s,
        (SELECT count(*) FROM promise WHERE parked_at IS NOT NULL) AS parked
    FROM d
"""  # noqa: S608 - constants of this module

_STANDINGS = f"""
    SELECT * FROM (
        SELECT tenant, patient, kind, coalesce(w.arrivals, 0) AS arrivals,
            LEAST(w.due_at, p.due_at) AS due_at, p.lease_until, coalesce(p.attempts, 0) AS attempts,
            p.failed_reason, p.done_at,
            CASE WHEN {_UNTRIED} THEN NULL ELSE p.parked_at END AS parked_at
        FROM ({_PENDING}) AS w FULL JOIN promise p USING (tenant, kind, patient)
    ) AS standing
"""  # noqa: S608 - constants of this module
