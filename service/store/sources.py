"""How far the hospital's server is read, and who reads it now.

    claim ---> a look begins, and answers every call until then
          ---> what was found is taken in, and the window moves, each under the lease
    ended ---> the next look is due after a while, or at the next call

Moments are the database's, except those of a window, which are the server's own.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

#: of random bytes
SECRET_BYTES = 32


class LeaseLost(Exception):
    """Another process reads by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The state of reading from one server."""

    hook_secret: str
    asked_at: datetime | None
    looked_at: datetime | None
    found_at: datetime | None
    missed: int
    missed_at: datetime | None
    watched_at: datetime | None
    leased: bool
    #: seconds since each, by the clock that wrote them
    asked_s: float | None
    looked_s: float | None
    watched_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to read from a server, until the lease ends."""

    tenant: int
    server: str
    token: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How far one type is read, by the server's own clock."""

    #: everything that it stored before is taken in; None: nothing was read yet
    until: datetime | None
    #: the newest that was seen
    reached: datetime | None
    #: seconds since the look began that moved `until`; None: there was none
    asked_s: float | None


NEW = Window(until=None, reached=None, asked_s=None)

_OF = "tenant = :tenant AND server = :server"
_MINE = f"{_OF} AND leased_by = :token"


def _since(column: str) -> str:
    return f"extract(epoch FROM clock_timestamp() - {column})::float"


_READ = f"""
    SELECT hook_secret, asked_at, looked_at, found_at, missed, missed_at, watched_at,
        coalesce(lease_until > clock_timestamp(), false) AS leased, {_since("asked_at")} AS asked_s,
        {_since("looked_at")} AS looked_s, {_since("watched_at")} AS watched_s
    FROM source WHERE {_OF}
"""  # noqa: S608 - constants of this module


def read(tx: Connection, *, tenant: int, server: str) -> Source | None:
    """Return how the reading stands; None: it has never begun."""
    row = tx.execute(text(_READ), {"tenant": tenant, "server": server}).mappings().one_or_none()
    return Source(**row) if row else None


def begin(tx: Connection, *, tenant: int, server: str) -> None:
    """Make the row of a server, with a secret for its calls, where there is none."""
    statement = (
        "INSERT INTO source (tenant, server, hook_secret) VALUES (:tenant, :server, :secret) "
        "ON CONFLICT DO NOTHING"
    )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    tx.execute(text(statement), {"tenant": tenant, "server": server, "secret": secret})


def secret(tx: Connection, *, tenant: int, server: str) -> str | None:
    """Return the secret that was made for the calls of the server; None: there is none yet."""
    statement = f"SELECT hook_secret FROM source WHERE {_OF}"  # noqa: S608
    found: str | None = tx.execute(text(statement), {"tenant": tenant, "server": server}).scalar_one_or_none()
    return found


def claim(tx: Connection, *, tenant: int, server: str, lease_s: float) -> Claim | None:
    """Lease the reading; None: another process reads. Meant for a transaction of its own."""
    token = uuid4()
    statement = (
        "UPDATE source SET leased_by = :token, "  # noqa: S608
        f"lease_until = clock_timestamp() + make_interval(secs => :lease_s) WHERE {_OF} "
        "AND (lease_until IS NULL OR lease_until <= clock_timestamp())"
    )
    names = {"tenant": tenant, "server": server, "token": token, "lease_s": lease_s}
    got = tx.execute(text(statement), names).rowcount == 1
    return Claim(tenant=tenant, server=server, token=token) if got else None


def renew(tx: Connection, claim: Claim, lease_s: float) -> None:
    """Extend the lease from now.

    Raises:
        LeaseLost: it was lost.
    """
    _set(tx, claim, "lease_until = clock_timestamp() + make_interval(secs => :lease_s)", lease_s=lease_s)


def release(tx: Connection, claim: Claim) -> None:
    """Give the lease back, if it is still ours."""
    statement = f"UPDATE source SET lease_until = NULL, leased_by = NULL WHERE {_MINE}"  # noqa: S608
    tx.execute(text(statement), _who(claim))


def hold(tx: Connection, claim: Claim) -> None:
    """See that the lease is ours, and keep others from taking it until the transaction ends.

    Raises:
        LeaseLost: another process has it.
    """
    found = tx.execute(text(f"SELECT FROM source WHERE {_MINE} FOR SHARE"), _who(claim))
    if found.one_or_none() is None:
        raise LeaseLost


def asking(tx: Connection, claim: Claim) -> None:
    """Note that a look begins.

    Raises:
        LeaseLost: another process reads.
    """
    _set(tx, claim, "asked_at = clock_timestamp()")


def looked(tx: Connection, claim: Claim) -> None:
    """Note that the look at everything that is in progress came to its end.

    Raises:
        LeaseLost: another process reads.
    """
    _set(tx, claim, "looked_at = asked_at")


def found(tx: Connection, claim: Claim, *, missed: int) -> None:
    """Note that something was taken in.

    Args:
        missed: how much of it should have been announced by a call, and was not.

    Raises:
        LeaseLost: another process reads.
    """
    _set(
        tx,
        claim,
        "found_at = clock_timestamp(), missed = missed + :missed, "
        "missed_at = CASE WHEN :missed > 0 THEN clock_timestamp() ELSE missed_at END",
        missed=missed,
    )


def not_missed(tx: Connection, *, tenant: int, server: str) -> None:
    """Begin to count anew what no call announced, because the server has called."""
    tx.execute(
        text(f"UPDATE source SET missed = 0 WHERE {_OF} AND missed > 0"),  # noqa: S608
        {"tenant": tenant, "server": server},
    )


def watched(tx: Connection, claim: Claim) -> None:
    """Note that the Subscriptions were looked at.

    Raises:
        LeaseLost: another process reads.
    """
    _set(tx, claim, "watched_at = clock_timestamp()")


def again(tx: Connection, *, tenant: int, server: str) -> None:
    """Have everything looked at, and the Subscriptions too, because a person asks."""
    statement = f"UPDATE source SET looked_at = NULL, asked_at = NULL, watched_at = NULL WHERE {_OF}"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server})


def window(tx: Connection, claim: Claim, type_: str, question: str) -> Window:
    """Return how far a type is read by this question; by another one it was read not at all."""
    statement = f"""
        SELECT until, reached, {_since("asked_at")} AS asked_s FROM source_window
        WHERE {_OF} AND type = :type AND question = :question
    """  # noqa: S608
    names = {"tenant": claim.tenant, "server": claim.server, "type": type_, "question": question}
    row = tx.execute(text(statement), names).mappings().one_or_none()
    return Window(**row) if row else NEW


def move(
    tx: Connection,
    claim: Claim,
    type_: str,
    question: str,
    *,
    until: datetime | None,
    reached: datetime | None,
    whole: bool,
) -> None:
    """Note how far a type is read.

    Args:
        whole: the look went through everything since the window's beginning.

    Raises:
        LeaseLost: another process reads; nothing is noted.
    """
    hold(tx, claim)
    statement = """
        INSERT INTO source_window AS w (tenant, server, type, question, until, reached, asked_at)
        SELECT :tenant, :server, :type, :question, CAST(:until AS timestamptz),
            CAST(:reached AS timestamptz), CASE WHEN :whole THEN s.asked_at END
        FROM source s WHERE s.tenant = :tenant AND s.server = :server
        ON CONFLICT (tenant, server, type) DO UPDATE SET question = excluded.question,
            until = excluded.until, reached = excluded.reached,
            asked_at = CASE WHEN :whole THEN coalesce(excluded.asked_at, w.asked_at)
                WHEN w.question = excluded.question THEN w.asked_at END
    """
    tx.execute(
        text(statement),
        {
            "tenant": claim.tenant,
            "server": claim.server,
            "type": type_,
            "question": question,
            "until": until,
            "reached": reached,
            "whole": whole,
        },
    )


def windows(tx: Connection, *, tenant: int, server: str) -> dict[str, Window]:
    """Return how far each type is read."""
    statement = f"""
        SELECT type, until, reached, {_since("asked_at")} AS asked_s FROM source_window
        WHERE {_OF} ORDER BY type
    """  # noqa: S608
    rows = tx.execute(text(statement), {"tenant": tenant, "server": server})
    return {row.type: Window(until=row.until, reached=row.reached, asked_s=row.asked_s) for row in rows}


def _set(tx: Connection, claim: Claim, assignments: str, **values: object) -> None:
    statement = f"UPDATE source SET {assignments} WHERE {_MINE}"  # noqa: S608 - constants of this module
    if tx.execute(text(statement), {**_who(claim), **values}).rowcount != 1:
        raise LeaseLost


def _who(claim: Claim) -> dict[str, object]:
    return {"tenant": claim.tenant, "server": claim.server, "token": claim.token}
