"""Whether the hospital's server is asked at all: after several bad answers in a row it is left alone.

One row for each thing it is asked: what is delivered, what comes back, and what is read. All times are the
database's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

Purpose = Literal["deliver", "return", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """How the server's answers were lately."""

    #: bad ones in a row
    failures: int
    #: it is not asked before; None: it may be asked
    open_until: datetime | None
    #: the last answer, and what may be shown of it
    answer: str | None
    said: str
    succeeded_at: datetime | None
    #: by how much its clock is ahead of ours
    skew_s: float | None


UNTRIED = Circuit(failures=0, open_until=None, answer=None, said="", succeeded_at=None, skew_s=None)

_NAMES = "failures, answer, said, succeeded_at, skew_s"
_THIS = "tenant = :tenant AND server = :server AND purpose = :purpose"


def read(tx: Connection, purpose: Purpose, *, tenant: int, server: str) -> Circuit:
    """Return the state of the circuit now."""
    statement = f"""
        SELECT {_NAMES}, CASE WHEN open_until > clock_timestamp() THEN open_until END AS open_until
        FROM circuit WHERE {_THIS}
    """  # noqa: S608 - constants of this module
    found = tx.execute(text(statement), {"tenant": tenant, "server": server, "purpose": purpose})
    row = found.mappings().one_or_none()
    return Circuit(**row) if row else UNTRIED


def note(
    tx: Connection,
    purpose: Purpose,
    *,
    tenant: int,
    server: str,
    answer: str,
    said: str = "",
    pause_s: float = 0,
    bad: bool,
    skew_s: float | None = None,
) -> None:
    """Note an answer of the server.

    Args:
        pause_s: it is not asked again before.
        bad: it says something bad of the server as a whole; any other answer closes the circuit.
        skew_s: None: the answer did not say; what was known stays.
    """
    statement = """
        INSERT INTO circuit AS c (tenant, server, purpose, failures, open_until, answer, said, succeeded_at,
            asked_at, skew_s)
        VALUES (:tenant, :server, :purpose, CASE WHEN :bad THEN 1 ELSE 0 END, :until, :answer, :said,
            CASE WHEN :bad THEN NULL ELSE clock_timestamp() END, clock_timestamp(), :skew_s)
        ON CONFLICT (tenant, server, purpose) DO UPDATE SET
            failures = CASE WHEN :bad THEN c.failures + 1 ELSE 0 END,
            open_until = excluded.open_until, answer = excluded.answer, said = excluded.said,
            succeeded_at = coalesce(excluded.succeeded_at, c.succeeded_at), asked_at = excluded.asked_at,
            skew_s = coalesce(excluded.skew_s, c.skew_s)
    """
    until = "clock_timestamp() + make_interval(secs => :pause)" if pause_s > 0 else "NULL"
    tx.execute(
        text(statement.replace(":until", until)),
        {
            "tenant": tenant,
            "server": server,
            "purpose": purpose,
            "answer": answer,
            "said": said,
            "bad": bad,
            "skew_s": skew_s,
            **({"pause": pause_s} if pause_s > 0 else {}),
        },
    )


def close(tx: Connection, *, tenant: int, server: str) -> None:
    """Have the server asked at once, because a person asks for it."""
    tx.execute(
        text("UPDATE circuit SET open_until = NULL WHERE tenant = :tenant AND server = :server"),
        {"tenant": tenant, "server": server},
    )
