"""Where promises stand, for those who look: how much waits, since when, and what was given up.

Nothing here takes a lock, and nothing that is worked on waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row
from sqlalchemy import Connection, text

from service.store.driver import only, raw
from service.store.pending import HELD, PENDING, UNTRIED


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


def waiting(tx: Connection, now: datetime) -> Waiting:
    """Return how much is due by now, over all tenants; parked promises apart."""
    return ask_waiting(tx, now)()


def ask_waiting(tx: Connection, now: datetime) -> Callable[[], Waiting]:
    """Ask for what `waiting` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).cursor(row_factory=class_row(Waiting)).execute(_WAITING, {"now": now})
    return lambda: only(cursor)


def done_since(tx: Connection, moment: datetime) -> int:
    """Return of how many patients the last evaluation was at this moment of the service clock, or later."""
    statement = text("SELECT count(*) FROM promise WHERE done_at >= :moment AND parked_at IS NULL")
    return int(tx.execute(statement, {"moment": moment}).scalar_one())


def of_patient(tx: Connection, patient: str, *, tenant: int, kind: str = "advance") -> Standing | None:
    """Return where the patient's promise stands; None if there never was one."""
    return ask_of_patient(tx, patient, tenant=tenant, kind=kind)()


def ask_of_patient(
    tx: Connection, patient: str, *, tenant: int, kind: str = "advance"
) -> Callable[[], Standing | None]:
    """Ask for what `of_patient` returns, and return how to get it after the end of a block of `together`."""
    where = "tenant = %(tenant)s AND kind = %(kind)s AND patient = %(patient)s"
    return _ask(tx, where, {"tenant": tenant, "kind": kind, "patient": patient}).fetchone


def unread_since(tx: Connection, patient: str, *, tenant: int, kind: str = "advance") -> datetime | None:
    """Return when the arrivals that nothing was done about began to come; None: there are none."""
    where = "tenant = :tenant AND kind = :kind AND patient = :patient"
    statement = f"SELECT min(received) FROM arrival WHERE {where}"  # noqa: S608 - constants of this function
    names = {"tenant": tenant, "kind": kind, "patient": patient}
    found: datetime | None = tx.execute(text(statement), names).scalar_one()
    return found


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
                p.parked_at IS NOT NULL AND NOT {UNTRIED} AS parked,
                coalesce(LEAST(w.due_at, p.due_at) <= :now, false)
                    AND (p.parked_at IS NULL OR {UNTRIED}) AS is_due
            FROM ({PENDING}) AS w FULL JOIN promise p USING (tenant, kind, patient)
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
    return _ask(tx, where, names, limit).fetchall()


def _ask(tx: Connection, where: str, names: dict[str, object], limit: str = "") -> psycopg.Cursor[Standing]:
    statement = f"{_STANDINGS} WHERE {where} ORDER BY parked_at, due_at, patient {limit}"
    return raw(tx).cursor(row_factory=class_row(Standing)).execute(statement, names)


_WAITING = f"""
    WITH w AS ({PENDING}), d AS (
        SELECT w.due_at, w.arrived_at
        FROM w LEFT JOIN promise p USING (tenant, kind, patient)
        WHERE w.due_at <= %(now)s AND (p.parked_at IS NULL OR {UNTRIED})
        UNION ALL
        SELECT p.due_at, NULL FROM promise p
        WHERE p.due_at <= %(now)s AND p.parked_at IS NULL AND NOT EXISTS (
            SELECT FROM arrival a
            WHERE a.tenant = p.tenant AND a.kind = p.kind AND a.patient = p.patient)
    )
    SELECT count(*) AS count, min(due_at) AS oldest_due_at,
        CASE WHEN {HELD} THEN 0 ELSE coalesce(extract(epoch FROM clock_timestamp() - min(
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
            CASE WHEN {UNTRIED} THEN NULL ELSE p.parked_at END AS parked_at
        FROM ({PENDING}) AS w FULL JOIN promise p USING (tenant, kind, patient)
    ) AS standing
"""  # noqa: S608 - constants of this module
