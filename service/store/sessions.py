"""Who is signed in: kept here, and known to the browser only by a random value.

All times are the database's clock: a session is a matter of real time, and every web process asks the
same clock. What the browser holds is not kept, only its digest.

https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

#: noted no more often than this: a page is read more often than it is left alone
NOTED = timedelta(seconds=30)

#: How long it is remembered from where an account was used. Somebody who was there lately is not slowed
#: down by failures from elsewhere.
REMEMBERED = timedelta(days=30)

PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in."""

    digest: bytes
    account: str
    #: the id of a Practitioner
    practitioner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a session lasts: untouched, and in all."""

    idle: timedelta
    longest: timedelta


def begin(tx: Connection, digest: bytes, account: str, address: str, *, tenant: int) -> None:
    """Begin a session for what the browser will show from now on."""
    statement = """
        INSERT INTO session (digest, tenant, account, address) VALUES (:digest, :tenant, :account, :address)
    """
    values = {"digest": digest, "tenant": tenant, "account": account, "address": address}
    tx.execute(text(statement), values)


def find(tx: Connection, digest: bytes, limits: Limits, *, tenant: int, used: bool) -> Session | None:
    """Return the session if it has not ended, by itself or otherwise, and its account may be used.

    Args:
        used: a person did something, so that the time of doing nothing begins anew. A page that
            refreshes itself is no person.
    """
    statement = """
        SELECT s.account, a.practitioner, s.seen_at < clock_timestamp() - :noted AS noted_long_ago
        FROM session s JOIN account a ON a.tenant = s.tenant AND a.name = s.account
        WHERE s.digest = :digest AND s.tenant = :tenant AND s.ended_at IS NULL AND a.disabled_at IS NULL
            AND s.seen_at > clock_timestamp() - :idle AND s.began_at > clock_timestamp() - :longest
    """
    values = {
        "digest": digest,
        "tenant": tenant,
        "noted": NOTED,
        "idle": limits.idle,
        "longest": limits.longest,
    }
    row = tx.execute(text(statement), values).one_or_none()
    if row is None:
        return None
    if used and row.noted_long_ago:
        seen = "UPDATE session SET seen_at = clock_timestamp() WHERE digest = :digest"
        tx.execute(text(seen), {"digest": digest})
    return Session(digest=digest, account=row.account, practitioner=row.practitioner)


def end(tx: Connection, digest: bytes, *, tenant: int) -> None:
    """End one session."""
    _end(tx, "digest = :digest", {"digest": digest}, tenant=tenant)


def end_all(tx: Connection, account: str, *, tenant: int) -> int:
    """End every session of an account and return how many there were."""
    return _end(tx, "account = :account", {"account": account}, tenant=tenant)


def were_here(tx: Connection, account: str, address: str, *, tenant: int) -> bool:
    """Return whether somebody signed in with the account from this address lately."""
    statement = """
        SELECT EXISTS (SELECT 1 FROM session WHERE tenant = :tenant AND account = :account
            AND address = :address AND began_at > clock_timestamp() - :remembered)
    """
    values = {"tenant": tenant, "account": account, "address": address, "remembered": REMEMBERED}
    return bool(tx.execute(text(statement), values).scalar_one())


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove sessions that began longer ago than is remembered; return how many."""
    statement = """
        DELETE FROM session WHERE digest IN (
            SELECT digest FROM session WHERE began_at < clock_timestamp() - :remembered LIMIT :limit
            FOR UPDATE SKIP LOCKED
        )
    """
    return tx.execute(text(statement), {"remembered": REMEMBERED, "limit": limit}).rowcount


def _end(tx: Connection, which: str, values: dict[str, object], *, tenant: int) -> int:
    statement = f"""
        UPDATE session SET ended_at = clock_timestamp()
        WHERE tenant = :tenant AND ended_at IS NULL AND {which}
    """  # noqa: S608 - our own words
    return tx.execute(text(statement), {**values, "tenant": tenant}).rowcount
