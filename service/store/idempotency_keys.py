"""Answers kept under the keys of their requests, so that a request sent again gets the same one.

An answer is kept in the transaction that stores the data: there is never one without the
other. A refused request keeps nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, insert, select, text

from service.store import resources
from service.store.tables import idempotency_key

#: Longer than any sender goes on trying, a fortnight's outage and its clearing up included. Not for
#: ever: an answer names ids, and is a second copy of what the record knows.
KEPT = timedelta(days=30)

#: as many rows as a transaction removes without holding others up
PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The answer to a request, and by what the request is known again."""

    #: of everything that makes the request what it is
    digest: bytes
    status: int
    #: those that tell something about what was stored
    headers: Mapping[str, str]
    body: str = field(repr=False)


def find(tx: Connection, key: str, *, tenant: int) -> Kept | None:
    """Return what is kept under the key; None: nothing has been stored with it."""
    table = idempotency_key.c
    row = tx.execute(
        select(table.digest, table.status, table.headers, table.body).where(
            table.tenant == tenant, table.key == key
        )
    ).one_or_none()
    if row is None:
        return None
    return Kept(digest=row.digest, status=row.status, headers=json.loads(row.headers), body=row.body)


def hold(tx: Connection, key: str, *, tenant: int) -> Kept | None:
    """Wait for whoever stores with the key now, and return what is kept under it then.

    If that is nothing, nobody else stores with the key until this transaction ends.
    """
    resources.lock_identities(tx, tenant, [(idempotency_key.name, key)])
    return find(tx, key, tenant=tenant)


def keep(tx: Connection, key: str, kept: Kept, *, tenant: int) -> None:
    """Keep the answer under a key that this transaction holds."""
    tx.execute(
        insert(idempotency_key).values(
            tenant=tenant,
            key=key,
            digest=kept.digest,
            status=kept.status,
            headers=json.dumps(dict(kept.headers)),
            body=kept.body,
        )
    )


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove the oldest answers that have been kept long enough; return how many.

    By the database's clock: a sandbox may set the service clock, and a retry is a matter of
    real time. Rows that somebody else is removing are passed over.
    """
    statement = """
        DELETE FROM idempotency_key WHERE (tenant, key) IN (
            SELECT tenant, key FROM idempotency_key WHERE kept_at < now() - make_interval(days => :days)
            ORDER BY kept_at LIMIT :limit FOR UPDATE SKIP LOCKED
        )
    """
    return tx.execute(text(statement), {"days": KEPT.days, "limit": limit}).rowcount
