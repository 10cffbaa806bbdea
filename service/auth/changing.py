"""Somebody who is signed in gives themselves another password.

The old one is asked for and counted as a sign-in is: a session that was left open, or a form that was sent a
thousand times, changes nothing. All sessions of the account end with the old password, and this browser goes
on in a new one.

https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html#change-password-feature
"""

from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service import log
from service.auth import passwords, tokens
from service.auth.passwords import Fault
from service.auth.sign_in import NotSignedIn, SignedIn, TooEarly
from service.store import accounts, attempts, sessions
from service.store.accounts import Account
from service.store.attempts import Try
from service.store.database import Database, sqlstate

#: insufficient privilege, https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_GRANTED = "42501"


@dataclass(frozen=True, slots=True)
class NotGranted:
    """The service may not write passwords: its role was granted what an earlier version needs."""


Answer = SignedIn | NotSignedIn | NotGranted | TooEarly | Fault


def password(database: Database, who: Try, old: str, new: str) -> Answer:
    """Change the password of an account, and sign its owner in anew.

    Args:
        who: the name of the account, and from where it is changed.

    Returns:
        `NotSignedIn` where the old password is not right, or the account has been changed or disabled since;
        the fault of a new password that is not taken.
    """
    if fault := passwords.fault(new, who.name):
        return fault
    if new == old:
        return "same"

    def begin(tx: Connection) -> tuple[int, Account | None]:
        was_here = sessions.were_here(tx, who.name, who.address, tenant=who.tenant)
        return attempts.begin(tx, who, was_here=was_here), accounts.find(tx, who.name, tenant=who.tenant)

    wait, account = database.run(begin)
    if wait:
        return TooEarly(wait_s=wait)
    # Outside the transaction: it takes a fifth of a second on purpose.
    right = passwords.matches(account.password if account else None, old)
    if account is None or account.disabled or not right:
        log.get().info("password change refused", account=who.name)
        return NotSignedIn()
    kept, cookie = passwords.hashed(new), tokens.new()

    def change(tx: Connection) -> bool:
        accounts.hold(tx, who.name, tenant=who.tenant)
        now = accounts.find(tx, who.name, tenant=who.tenant)
        if now is None or now.disabled or now.password != account.password:
            return False
        accounts.set_password(tx, who.name, kept, tenant=who.tenant)
        attempts.forgive(tx, who)
        sessions.end_all(tx, who.name, tenant=who.tenant)
        sessions.begin(tx, tokens.digest(cookie), who.name, who.address, tenant=who.tenant)
        return True

    try:
        changed = database.run(change)
    except DBAPIError as error:
        if sqlstate(error) != _NOT_GRANTED:
            raise
        # The old password was right, so this was no try to find it out.
        database.run(lambda tx: attempts.forgive(tx, who))
        log.get().error("password change not granted", account=who.name)
        return NotGranted()
    if not changed:
        log.get().info("password change refused", account=who.name)
        return NotSignedIn()
    log.get().info("password changed", account=who.name)
    return SignedIn(cookie=cookie)
