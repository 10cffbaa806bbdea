"""Sign in with a name and a password, and be signed in until one leaves, stops, or a day is over.

try counted -> password checked -> session begun, under a new random value
     |              |
     +-- too early  +-- refused, in the same words and the same time whatever was wrong
"""

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from service import log
from service.auth import passwords, tokens
from service.settings import Settings
from service.store import accounts, attempts, sessions
from service.store.accounts import Account
from service.store.attempts import Try
from service.store.database import Database
from service.store.sessions import Limits, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class TooEarly:
    """Too much has failed; try again then."""

    wait_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSignedIn:
    """The name or the password is not right, or the account is disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session began."""

    #: what the browser shows from now on
    cookie: str = field(repr=False)


def with_password(
    database: Database, who: Try, password: str, *, before: str | None = None
) -> SignedIn | NotSignedIn | TooEarly:
    """Sign somebody in.

    Args:
        who: the name as it was typed, in lower case.
        before: what the browser showed until now; that session ends.
    """

    def begin(tx: Connection) -> tuple[int, Account | None]:
        was_here = accounts.is_name(who.name) and sessions.were_here(
            tx, who.name, who.address, tenant=who.tenant
        )
        return attempts.begin(tx, who, was_here=was_here), accounts.find(tx, who.name, tenant=who.tenant)

    wait, account = database.run(begin)
    if wait:
        return TooEarly(wait_s=wait)
    # Outside the transaction: it takes a fifth of a second on purpose.
    right = passwords.matches(account.password if account else None, password)
    if account is None or account.disabled or not right:
        log.get().info("sign-in refused", account=account.name if account else None)
        return NotSignedIn()
    return begun(database, account, who.address, before=before, tenant=who.tenant, forgive=who)


def begun(
    database: Database,
    account: Account,
    address: str,
    *,
    before: str | None,
    tenant: int,
    forgive: Try | None = None,
) -> SignedIn | NotSignedIn:
    """Begin a session for somebody who has proved who they are.

    The value is always a new one, so one that somebody else put into the browser is never signed in.

    Args:
        account: as it was when they proved it. If it was disabled or has another password since, nobody is
            signed in: that change has ended all sessions that there were, and must not miss this one.
    """
    cookie = tokens.new()

    def begin(tx: Connection) -> bool:
        accounts.hold(tx, account.name, tenant=tenant)
        now = accounts.find(tx, account.name, tenant=tenant)
        if now is None or now.disabled or now.password != account.password:
            return False
        if forgive:
            attempts.forgive(tx, forgive)
        if before:
            sessions.end(tx, tokens.digest(before), tenant=tenant)
        sessions.begin(tx, tokens.digest(cookie), account.name, address, tenant=tenant)
        return True

    if not database.run(begin):
        log.get().info("sign-in refused", account=account.name)
        return NotSignedIn()
    log.get().info("signed in", account=account.name)
    return SignedIn(cookie=cookie)


def session(
    tx: Connection, cookie: str | None, settings: Settings, *, used: bool, tenant: int
) -> Session | None:
    """Return who is signed in, from what the browser shows."""
    if not cookie:
        return None
    limits = Limits(
        idle=timedelta(minutes=settings.session_idle_minutes), longest=timedelta(hours=settings.session_hours)
    )
    return sessions.find(tx, tokens.digest(cookie), limits, used=used, tenant=tenant)
