"""Browsers that were sent to the hospital's sign-on and are not back yet; each comes back once.

https://www.rfc-editor.org/rfc/rfc6749#section-10.12
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

#: whoever needs longer begins again
LASTS = timedelta(minutes=10)

PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOn:
    """What must be the same when the browser comes back."""

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    #: the page to go to
    back: str


def begin(tx: Connection, state: bytes, browser: bytes, begun: SignOn) -> None:
    """Note that a browser was sent away.

    Args:
        state: the digest of what the address carries there and back.
        browser: the digest of what the browser's cookie holds.
    """
    statement = """
        INSERT INTO sign_on (state, browser, nonce, verifier, back)
        VALUES (:state, :browser, :nonce, :verifier, :back)
    """
    values = {"nonce": begun.nonce, "verifier": begun.verifier, "back": begun.back}
    tx.execute(text(statement), {"state": state, "browser": browser, **values})


def end(tx: Connection, state: bytes, browser: bytes) -> SignOn | None:
    """Take what was noted; None for a state that is unknown, too old, used, or another browser's."""
    statement = """
        DELETE FROM sign_on
        WHERE state = :state AND browser = :browser AND began_at > clock_timestamp() - :lasts
        RETURNING nonce, verifier, back
    """
    values = {"state": state, "browser": browser, "lasts": LASTS}
    row = tx.execute(text(statement), values).mappings().one_or_none()
    return SignOn(**row) if row else None


def now(tx: Connection) -> datetime:
    """Return the database's clock, by which what the provider signed is still valid or not."""
    moment: datetime = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove what nobody came back for; return how many."""
    statement = """
        DELETE FROM sign_on WHERE state IN (
            SELECT state FROM sign_on WHERE began_at < clock_timestamp() - :lasts LIMIT :limit
        )
    """
    return tx.execute(text(statement), {"lasts": LASTS, "limit": limit}).rowcount
