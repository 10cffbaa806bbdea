"""Sign-ins that failed lately, and how long whoever tries must wait for the next one.

Counted three ways: by account and address together, by address, and by account. Nobody is ever locked out:
the longest wait is a minute, a try during the wait neither counts nor makes it longer, and who signed in
from an address lately waits there for what failed there alone, whatever happens elsewhere.

    failures within a quarter of an hour   wait before the next try
    account and address    up to 4         none; then 2, 4, 8 ... 60 s
    address                up to 19        as above: a ward may share one
    account, all addresses up to 9         as above

Times are the database's clock.
https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html#login-throttling
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from service.store import resources

WINDOW = timedelta(minutes=15)
LONGEST_S = 60

#: how many failures cost nothing
FREE_PAIR, FREE_ADDRESS, FREE_ACCOUNT = 4, 19, 9

PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Somebody tries to sign in."""

    #: as it was typed, which may be anything
    name: str
    address: str
    tenant: int

    @property
    def account(self) -> bytes:
        """Return what stands for the name: it may be a password in the wrong field."""
        return hashlib.sha256(self.name.encode()).digest()


def begin(tx: Connection, who: Try, *, was_here: bool) -> int:
    """Count a try as failed and return 0; when it is too early, return the seconds to wait, uncounted.

    It counts before the password is looked at, so that many tries at once cannot all find that none failed.

    Args:
        was_here: somebody signed in with this account from this address lately.
    """
    key = who.account.hex()
    resources.lock_identities(tx, who.tenant, [("sign-in account", key), ("sign-in address", who.address)])
    wait = _wait(tx, who, was_here=was_here)
    if wait == 0:
        statement = (
            "INSERT INTO sign_in_failure (tenant, account, address) VALUES (:tenant, :account, :address)"
        )
        tx.execute(text(statement), _values(who))
    return wait


def forgive(tx: Connection, who: Try) -> None:
    """Forget the failures of an account at an address: somebody signed in there."""
    where = "tenant = :tenant AND account = :account AND address = :address"
    tx.execute(text(f"DELETE FROM sign_in_failure WHERE {where}"), _values(who))  # noqa: S608 - our own words


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove failures that count no more; return how many."""
    statement = """
        DELETE FROM sign_in_failure WHERE key IN (
            SELECT key FROM sign_in_failure WHERE at < clock_timestamp() - :window LIMIT :limit
        )
    """
    return tx.execute(text(statement), {"window": WINDOW, "limit": limit}).rowcount


def pause(failures: int, free: int) -> int:
    """Return how many seconds after the latest failure the next try may be made."""
    return 0 if failures <= free else min(1 << min(failures - free, 10), LONGEST_S)


def _wait(tx: Connection, who: Try, *, was_here: bool) -> int:
    found = tx.execute(text(_COUNT), {**_values(who), "window": WINDOW}).one()
    waits: list[float] = [
        pause(found.pair, FREE_PAIR) - found.pair_age,
        pause(found.by_address, FREE_ADDRESS) - found.address_age,
    ]
    if not was_here:
        waits.append(pause(found.by_account, FREE_ACCOUNT) - found.account_age)
    return max(0, *(math.ceil(wait) for wait in waits))


def _values(who: Try) -> dict[str, object]:
    return {"tenant": who.tenant, "account": who.account, "address": who.address}


_AGE = "coalesce(extract(epoch FROM clock_timestamp() - max(at) {which}), 0)::float"
_COUNT = f"""
    SELECT count(*) FILTER (WHERE account = :account AND address = :address) AS pair,
        {_AGE.format(which="FILTER (WHERE account = :account AND address = :address)")} AS pair_age,
        count(*) FILTER (WHERE address = :address) AS by_address,
        {_AGE.format(which="FILTER (WHERE address = :address)")} AS address_age,
        count(*) FILTER (WHERE account = :account) AS by_account,
        {_AGE.format(which="FILTER (WHERE account = :account)")} AS account_age
    FROM sign_in_failure
    WHERE tenant = :tenant AND (account = :account OR address = :address) AND at > clock_timestamp() - :window
"""  # noqa: S608 - our own words
