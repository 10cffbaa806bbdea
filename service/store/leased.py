"""Long work: a row that is its own promise, done in short steps by whoever holds the lease on it.

    asked for --> claim (attempt, lease) --> a step, and how far it is ... finished
     |               |  lease runs out: claimed again     failed        after three attempts without a step
     +---------------+--------------------------------> cancelled

Each step is one transaction with the place that was reached, so a worker that dies loses one step, and
whoever takes over goes on behind the last. All times here are the database's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

#: the tables that hold such work
Work = Literal["export", "preview"]
WORK: tuple[Work, ...] = ("export", "preview")

Outcome = Literal["finished", "failed", "cancelled"]

#: for how long what was made is there
KEPT: Mapping[Work, timedelta] = {"export": timedelta(hours=24), "preview": timedelta(days=30)}
#: attempts without a step, after which it is given up
MOST_ATTEMPTS = 3
#: no transaction of a step lives longer, so nobody else works on it while one does
LEASE_S = 60.0
#: pauses after the first failure, and the second
BACKOFF_S = (2, 15)


class LeaseLost(Exception):
    """Somebody else does the work by now, or it was cancelled; what this one did must not be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to do one step."""

    work: Work
    tenant: int
    id: str
    token: UUID
    #: 1 for the first since a step was done
    attempt: int


_THIS = "tenant = :tenant AND id = :id"
_MINE = f"{_THIS} AND leased_by = :token AND ended_at IS NULL"
_FREE = (
    "ended_at IS NULL AND expires_at > clock_timestamp() "
    "AND (lease_until IS NULL OR lease_until <= clock_timestamp()) "
    "AND (retry_at IS NULL OR retry_at <= clock_timestamp())"
)
_LET_GO = "lease_until = NULL, leased_by = NULL"


def due(tx: Connection, work: Work, limit: int) -> list[tuple[int, str]]:
    """Return tenant and id of what nobody works on, the oldest first."""
    statement = f"SELECT tenant, id FROM {work} WHERE {_FREE} ORDER BY asked_at LIMIT :limit"  # noqa: S608
    return [(row.tenant, row.id) for row in tx.execute(text(statement), {"limit": limit})]


def claim(tx: Connection, work: Work, id_: str, *, tenant: int) -> Claim | None:
    """Count an attempt and lease the work; None: somebody has it, it pauses, or it has ended.

    Meant for a transaction of its own: an attempt counts even if the worker dies in it.
    """
    token = uuid4()
    names = {"tenant": tenant, "id": id_, "token": token, "lease_s": LEASE_S}
    statement = f"""
        UPDATE {work} SET attempts = attempts + 1, leased_by = :token, retry_at = NULL,
            lease_until = clock_timestamp() + make_interval(secs => :lease_s)
        WHERE {_THIS} AND {_FREE} RETURNING attempts
    """  # noqa: S608
    attempt = tx.execute(text(statement), names).scalar_one_or_none()
    if attempt is None:
        return None
    claimed = Claim(work=work, tenant=tenant, id=id_, token=token, attempt=attempt)
    if attempt > MOST_ATTEMPTS:
        _end(tx, claimed, "failed", "its workers were lost")
        return None
    return claimed


def reached(tx: Connection, claim: Claim, place: Mapping[str, object]) -> None:
    """Note how far it is, in the transaction of the step, and give it back.

    Args:
        place: columns of the table, with their values.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    columns = ", ".join(f"{name} = :{name}" for name in place)
    statement = f"""
        UPDATE {claim.work} SET {columns}, attempts = 0, failed_reason = NULL, {_LET_GO} WHERE {_MINE}
    """  # noqa: S608
    _assert_one(tx.execute(text(statement), {**_mine(claim), **place}).rowcount)


def finished(tx: Connection, claim: Claim) -> None:
    """Note that everything is done, in the transaction of the last step.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    _assert_one(_end(tx, claim, "finished", None))


def failed(tx: Connection, claim: Claim, reason: str) -> bool:
    """Give the work back after a failure; True if it is given up now.

    Args:
        reason: names only, it is shown and logged.
    """
    if claim.attempt >= MOST_ATTEMPTS:
        return _end(tx, claim, "failed", reason) == 1
    _pause(tx, claim, reason, BACKOFF_S[min(claim.attempt, len(BACKOFF_S)) - 1], "attempts")
    return False


def give_back(tx: Connection, claim: Claim, reason: str) -> None:
    """Give the work back after a failure that says nothing about it: the attempt does not count."""
    _pause(tx, claim, reason, BACKOFF_S[0], "attempts - 1")


def cancel(tx: Connection, work: Work, id_: str, *, tenant: int) -> bool:
    """End the work, whether it is going on or done; what it made goes with the next purge."""
    statement = f"""
        UPDATE {work} SET outcome = 'cancelled', ended_at = coalesce(ended_at, clock_timestamp()), {_LET_GO}
        WHERE {_THIS} AND outcome IS DISTINCT FROM 'cancelled'
    """  # noqa: S608
    return tx.execute(text(statement), {"tenant": tenant, "id": id_}).rowcount == 1


def _end(tx: Connection, claim: Claim, outcome: Outcome, reason: str | None) -> int:
    statement = f"""
        UPDATE {claim.work} SET outcome = :outcome, failed_reason = :reason, ended_at = clock_timestamp(),
            {_LET_GO}, expires_at = clock_timestamp() + make_interval(secs => :kept_s)
        WHERE {_MINE}
    """  # noqa: S608
    named = {"outcome": outcome, "reason": reason, "kept_s": KEPT[claim.work].total_seconds()}
    return tx.execute(text(statement), {**_mine(claim), **named}).rowcount


def _pause(tx: Connection, claim: Claim, reason: str, pause_s: float, attempts: str) -> None:
    statement = f"""
        UPDATE {claim.work} SET failed_reason = :reason, attempts = {attempts}, {_LET_GO},
            retry_at = clock_timestamp() + make_interval(secs => :pause) WHERE {_MINE}
    """  # noqa: S608
    tx.execute(text(statement), {**_mine(claim), "reason": reason, "pause": pause_s})


def _mine(claim: Claim) -> dict[str, Any]:
    return {"tenant": claim.tenant, "id": claim.id, "token": claim.token}


def _assert_one(rows: int) -> None:
    if rows != 1:
        raise LeaseLost
