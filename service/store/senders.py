"""The systems that may send and read, and the tokens by which they are told apart.

A token is 256 random bits, so its plain digest is all that is kept: nobody finds a token from it, and a
request costs one look-up. While a token is renewed, the old one and the new one are both good.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

READ, WRITE = "read", "write"
SCOPES = (READ, WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One system, and what it may do."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A sender as an administrator sees it."""

    name: str
    scopes: tuple[str, ...]
    #: when its newest token was made
    issued: datetime
    #: how many tokens are good now
    tokens: int


def find(tx: Connection, digest: bytes, *, tenant: int) -> Sender | None:
    """Return whose token it is; None for one that is unknown or has ended."""
    statement = f"""
        SELECT sender, scopes FROM sender_token WHERE tenant = :tenant AND digest = :digest AND {_GOOD}
    """  # noqa: S608 - our own words
    row = tx.execute(text(statement), {"tenant": tenant, "digest": digest}).one_or_none()
    return Sender(name=row.sender, scopes=frozenset(row.scopes)) if row else None


def scopes(tx: Connection, name: str, *, tenant: int) -> frozenset[str]:
    """Return what a sender may do by any token that is good now; empty for one that has none."""
    statement = f"""
        SELECT DISTINCT unnest(scopes) FROM sender_token WHERE tenant = :tenant AND sender = :name AND {_GOOD}
    """  # noqa: S608 - our own words
    return frozenset(tx.execute(text(statement), {"tenant": tenant, "name": name}).scalars())


def known(tx: Connection, *, tenant: int) -> Sequence[Known]:
    """Return every sender there ever was, by name; disabled ones have no good token."""
    statement = f"""
        SELECT sender AS name, (array_agg(array_to_string(scopes, ' ') ORDER BY issued_at DESC))[1] AS scopes,
            max(issued_at) AS issued, count(*) FILTER (WHERE {_GOOD}) AS tokens
        FROM sender_token WHERE tenant = :tenant GROUP BY sender ORDER BY sender
    """  # noqa: S608 - our own words
    rows = tx.execute(text(statement), {"tenant": tenant})
    return [Known(**{**row, "scopes": tuple(row["scopes"].split())}) for row in rows.mappings()]


def issue(tx: Connection, name: str, scopes: Collection[str], digest: bytes, *, tenant: int) -> None:
    """Give a sender a token."""
    statement = """
        INSERT INTO sender_token (digest, tenant, sender, scopes) VALUES (:digest, :tenant, :name, :scopes)
    """
    values = {"digest": digest, "tenant": tenant, "name": name, "scopes": sorted(scopes)}
    tx.execute(text(statement), values)


def end(tx: Connection, name: str, *, after: timedelta = timedelta(), tenant: int) -> int:
    """End every good token of a sender after a while; return how many there were."""
    statement = f"""
        UPDATE sender_token SET ends_at = least(ends_at, clock_timestamp() + :after)
        WHERE tenant = :tenant AND sender = :name AND {_GOOD}
    """  # noqa: S608 - our own words
    return tx.execute(text(statement), {"tenant": tenant, "name": name, "after": after}).rowcount


_GOOD = "(ends_at IS NULL OR ends_at > clock_timestamp())"
