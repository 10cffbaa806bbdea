"""What the hospital's FHIR server has of what the engine wrote, and who is at work on the rest.

    find ------> claim (attempt, lease) --> record -> sent -> answered --> done      nothing pending
    what is not     |  renew                 the ledger, before and after  failed    again after a pause,
    acknowledged    +-- lease runs out: claimed again, and its Bundles are             or parked
                        read before anything is sent

What is to be sent is never said by anybody: it is what the record holds and `delivered` does not. Whoever
writes needs to know nothing of deliveries, and nothing can be forgotten. All times are the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

#: a process that ended without a word at one patient so often is no accident
MAX_LOST = 5
LOST = "lost"


class LeaseLost(Exception):
    """Another process sends for this patient by now, or the patient was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to send for one patient until the lease ends."""

    tenant: int
    server: str
    patient: str
    token: UUID
    #: 1 for the first try since something was acknowledged
    attempt: int
    #: since when attempts fail; None: the last one did not
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the delivery of one patient stands."""

    patient: str
    pending: bool
    attempts: int
    retry_at: datetime | None
    leased: bool
    parked_at: datetime | None
    answer: str | None
    said: str
    bundle: UUID | None
    #: when that Bundle was sent
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """Of how many patients a server lacks something, of how many it was given up, and the oldest of it."""

    patients: int
    parked: int
    #: by the service clock
    oldest_at: datetime | None


_OF = "tenant = :tenant AND server = :server AND patient = :patient"
_MINE = f"{_OF} AND leased_by = :token"

# What the record holds and the server does not.
_PENDING = """
    FROM resource r LEFT JOIN delivered d
        ON d.tenant = r.tenant AND d.server = :server AND d.type = r.type AND d.id = r.id
    WHERE r.tenant = :tenant AND r.owned AND NOT r.deleted AND r.type = ANY(:types)
        AND d.version IS DISTINCT FROM r.version
"""


def find(tx: Connection, *, tenant: int, server: str, types: Sequence[str], after: int) -> int:
    """Note whose outputs are not acknowledged, and return how many patients were noted anew.

    What was given up is tried again when something came that was not there at the last attempt.

    Args:
        after: versions up to this `seq` have been looked at.
    """
    statement = f"""
        INSERT INTO delivery AS p (tenant, server, patient, pending, wanted)
        SELECT r.tenant, :server, r.patient, true, max(r.seq) {_PENDING}
            AND r.patient IS NOT NULL AND r.seq > :after
        GROUP BY r.tenant, r.patient ORDER BY r.patient
        ON CONFLICT (tenant, server, patient) DO UPDATE SET pending = true, wanted = excluded.wanted,
            parked_at = CASE WHEN excluded.wanted > p.tried THEN NULL ELSE p.parked_at END,
            attempts = CASE WHEN p.parked_at IS NOT NULL AND excluded.wanted > p.tried
                THEN 0 ELSE p.attempts END
        WHERE NOT p.pending OR excluded.wanted > p.wanted
    """
    names = {"tenant": tenant, "server": server, "types": list(types), "after": after}
    return tx.execute(text(statement), names).rowcount


def note(tx: Connection, patient: str, *, tenant: int, server: str) -> None:
    """Note that the server lacks something of the patient, though nothing new was written."""
    statement = f"UPDATE delivery SET pending = true WHERE {_OF}"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server, "patient": patient})


def newest(tx: Connection, *, tenant: int) -> int:
    """Return the highest `seq` of what the engine made."""
    return int(
        tx.execute(
            text("SELECT coalesce(max(seq), 0) FROM resource WHERE tenant = :tenant AND owned"),
            {"tenant": tenant},
        ).scalar_one()
    )


# The server may still store a Bundle of which it has not said that it is done with it. Read too soon it would
# seem not to have arrived, and would later write over what was sent meanwhile.
_UNDECIDED = """
    SELECT max(s.sent_at) + make_interval(secs => :settle_s) FROM dispatch s
    WHERE s.tenant = delivery.tenant AND s.server = delivery.server AND s.patient = delivery.patient
        AND NOT s.settled AND NOT s.ended
"""


def claim(tx: Connection, *, tenant: int, server: str, lease_s: float, settle_s: float = 0.0) -> Claim | None:
    """Count an attempt and lease the delivery of one patient; None: there is nothing to do now.

    Args:
        settle_s: how long after it was sent the server may still be at work on a Bundle. Nobody is claimed
            before who has such a one.

    Whoever has failed least comes first, so that one patient whose Bundle brings a server down does not
    keep the others waiting. Meant for a transaction of its own: an attempt counts even if the process dies.
    """
    found = tx.execute(
        text(f"""
            SELECT patient, attempts, failing_since,
                CASE WHEN lease_until IS NULL THEN 0 ELSE lost + 1 END AS lost
            FROM delivery
            WHERE tenant = :tenant AND server = :server AND pending AND parked_at IS NULL
                AND (retry_at IS NULL OR retry_at <= clock_timestamp())
                AND (lease_until IS NULL OR lease_until <= clock_timestamp())
                AND coalesce(({_UNDECIDED}) <= clock_timestamp(), true)
            ORDER BY attempts, wanted LIMIT 1 FOR UPDATE SKIP LOCKED
        """),  # noqa: S608
        {"tenant": tenant, "server": server, "settle_s": settle_s},
    ).one_or_none()
    if found is None:
        return None
    named = {"tenant": tenant, "server": server, "patient": found.patient}
    if found.lost >= MAX_LOST:
        tx.execute(
            text(
                "UPDATE delivery SET parked_at = clock_timestamp(), lease_until = NULL, leased_by = NULL, "  # noqa: S608
                f"answer = :lost, said = '', lost = 0 WHERE {_OF}"
            ),
            {**named, "lost": LOST},
        )
        return None
    token = uuid4()
    tx.execute(
        text(
            "UPDATE delivery SET attempts = attempts + 1, leased_by = :token, retry_at = NULL, "  # noqa: S608
            "tried = wanted, lost = :lost, failing_since = coalesce(failing_since, clock_timestamp()), "
            f"lease_until = clock_timestamp() + make_interval(secs => :lease_s) WHERE {_OF}"
        ),
        {**named, "token": token, "lease_s": lease_s, "lost": found.lost},
    )
    return Claim(
        tenant=tenant,
        server=server,
        patient=found.patient,
        token=token,
        attempt=found.attempts + 1,
        failing_since=found.failing_since,
    )


def renew(tx: Connection, claim: Claim, lease_s: float) -> None:
    """Extend the lease from now.

    Raises:
        LeaseLost: it was lost.
    """
    statement = (
        "UPDATE delivery SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "  # noqa: S608
        f"WHERE {_MINE}"
    )
    _assert_one(tx.execute(text(statement), {**mine(claim), "lease_s": lease_s}).rowcount)


def hold(tx: Connection, claim: Claim) -> None:
    """Keep everybody else from the patient's delivery until this transaction ends.

    Raises:
        LeaseLost: another process has it.
    """
    found = tx.execute(text(f"SELECT FROM delivery WHERE {_MINE} FOR UPDATE"), mine(claim))
    _assert_one(len(found.all()))


def done(tx: Connection, claim: Claim, *, types: Sequence[str]) -> None:
    """Give the claim back: what was sent is acknowledged. What was written meanwhile stays pending.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    # The lock comes before the look: who finds something new waits for this row, or has written it already.
    hold(tx, claim)
    left = tx.execute(
        text(f"SELECT max(r.seq) {_PENDING} AND r.patient = :patient"),
        {**who(claim), "types": list(types)},
    ).scalar_one()
    statement = f"""
        UPDATE delivery SET pending = :pending, wanted = coalesce(:left, wanted), attempts = 0,
            retry_at = NULL, failing_since = NULL, parked_at = NULL, lost = 0,
            lease_until = NULL, leased_by = NULL,
            answer = 'taken', said = ''
        WHERE {_MINE}
    """  # noqa: S608
    tx.execute(text(statement), {**mine(claim), "pending": left is not None, "left": left})


def failed(
    tx: Connection, claim: Claim, *, answer: str, said: str, pause_s: float | None, settle_s: float = 0.0
) -> None:
    """Give the claim back: not everything is acknowledged.

    Args:
        pause_s: when it is tried again; None: not before a person asks, or something new is to be sent.
        settle_s: as of `claim`; the pause is no shorter.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    statement = f"""
        UPDATE delivery SET lease_until = NULL, leased_by = NULL, lost = 0, answer = :answer, said = :said,
            retry_at = CASE WHEN CAST(:pause AS double precision) IS NOT NULL THEN greatest(
                clock_timestamp() + make_interval(secs => CAST(:pause AS double precision)),
                ({_UNDECIDED})) END,
            parked_at = CASE WHEN CAST(:pause AS double precision) IS NULL THEN clock_timestamp() END
        WHERE {_MINE}
    """  # noqa: S608
    given = {**mine(claim), "answer": answer, "said": said, "pause": pause_s, "settle_s": settle_s}
    _assert_one(tx.execute(text(statement), given).rowcount)


def again(tx: Connection, patient: str, *, tenant: int, server: str) -> bool:
    """Have a patient's delivery tried at once, because a person asks. Returns whether there is something."""
    statement = f"""
        UPDATE delivery SET parked_at = NULL, retry_at = NULL,
            attempts = CASE WHEN parked_at IS NULL THEN attempts ELSE 0 END
        WHERE {_OF} AND pending
    """  # noqa: S608
    named = {"tenant": tenant, "server": server, "patient": patient}
    return tx.execute(text(statement), named).rowcount == 1


_STANDING = """
    SELECT p.patient, p.pending, p.attempts, p.retry_at, p.parked_at, p.answer, p.said, p.bundle, s.sent_at,
        coalesce(p.lease_until > clock_timestamp(), false) AS leased
    FROM delivery p LEFT JOIN dispatch s ON s.bundle = p.bundle
    WHERE p.tenant = :tenant AND p.server = :server
"""


def waiting(tx: Connection, limit: int, *, tenant: int, server: str) -> list[Standing]:
    """Return whose delivery is pending: who was given up first, then who has been tried most often."""
    statement = f"{_STANDING} AND p.pending ORDER BY p.parked_at, p.attempts DESC, p.wanted LIMIT :limit"
    rows = tx.execute(text(statement), {"tenant": tenant, "server": server, "limit": limit})
    return [Standing(**row) for row in rows.mappings()]


def count(tx: Connection, *, tenant: int, server: str) -> int:
    """Return for how many patients something is pending."""
    statement = "SELECT count(*) FROM delivery WHERE tenant = :tenant AND server = :server AND pending"
    return int(tx.execute(text(statement), {"tenant": tenant, "server": server}).scalar_one())


def undelivered(tx: Connection, *, tenant: int, server: str, types: Sequence[str]) -> Undelivered:
    """Return how much the server lacks, and since when.

    The record is asked and not the courier's notes: while it stands still nobody notes anything.
    """
    statement = f"""
        SELECT count(*) AS patients, count(p.parked_at) AS parked, min(l.received) AS oldest_at
        FROM (
            SELECT r.patient, min(r.received) AS received {_PENDING}
                AND r.patient IS NOT NULL GROUP BY r.patient
        ) l LEFT JOIN delivery p
            ON p.tenant = :tenant AND p.server = :server AND p.patient = l.patient
    """  # noqa: S608
    named = {"tenant": tenant, "server": server, "types": list(types)}
    return Undelivered(**tx.execute(text(statement), named).mappings().one())


def standing(tx: Connection, patient: str, *, tenant: int, server: str) -> Standing | None:
    """Return where one patient's delivery stands; None: there never was anything to deliver."""
    named = {"tenant": tenant, "server": server, "patient": patient}
    row = tx.execute(text(f"{_STANDING} AND p.patient = :patient"), named).mappings().one_or_none()
    return Standing(**row) if row else None


def _assert_one(rows: int) -> None:
    if rows != 1:
        raise LeaseLost


def who(claim: Claim) -> dict[str, Any]:
    """Return the names by which statements find the patient's delivery."""
    return {"tenant": claim.tenant, "server": claim.server, "patient": claim.patient}


def mine(claim: Claim) -> dict[str, Any]:
    """Return the same, while it is ours."""
    return {**who(claim), "token": claim.token}
