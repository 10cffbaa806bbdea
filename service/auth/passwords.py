"""Passwords: how they are kept, compared, and which are not taken.

scrypt as Werkzeug, which Flask brings, writes and checks it, with N = 2^15, r = 8, p = 3: one of the
settings that OWASP holds equal to the least it asks for, with 32 MiB for each check.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
"""

from functools import cache
from typing import Literal

from werkzeug.security import check_password_hash, generate_password_hash

METHOD = "scrypt:32768:8:3"

#: NIST SP 800-63B asks for 8 at least; nobody types one of these more than a few times a day
SHORTEST = 12
#: why a new password is not taken
Fault = Literal["short", "long", "name", "repeats", "same"]

#: hashing takes as long for it as for a short one, but reading it need not be unlimited
LONGEST = 256


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    return generate_password_hash(password, method=METHOD)


def matches(kept: str | None, password: str) -> bool:
    """Return whether the password is the one that was kept.

    It takes as long where there is no password and no account, so the time tells nobody which names exist.
    """
    right = check_password_hash(kept or _nobodys(), password[:LONGEST])
    return right and kept is not None and len(password) <= LONGEST


def fault(password: str, name: str) -> Fault | None:
    """Return why a new password is not taken; None: it is.

    No rule about kinds of characters: they make passwords that are written down.
    https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
    """
    if len(password) < SHORTEST:
        return "short"
    if len(password) > LONGEST:
        return "long"
    if name in password.casefold():
        return "name"
    if len(set(password)) < SHORTEST // 3:
        return "repeats"
    return None


@cache
def _nobodys() -> str:
    return hashed("nobody signs in with this")
