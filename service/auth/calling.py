"""Who calls the FHIR interface, and what they may do there.

In production a system shows a token (`Authorization: Bearer <token>`, or Basic with its name and the token as
password), and a person who is signed in may read what a page links to. A sandbox asks nobody.

https://www.rfc-editor.org/rfc/rfc6750, https://www.rfc-editor.org/rfc/rfc7617
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from flask import Request, g, has_app_context
from werkzeug.datastructures import Authorization

from service.auth import tokens
from service.fhir.refusals import Issue, NoCredentials, NotInScope
from service.store import senders
from service.store.database import Database
from service.store.senders import READ, WRITE

#: who sends to a sandbox, where senders are not told apart
HOSPITAL = "hospital"

REALM = 'realm="hipway"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever is calling."""

    #: the name of a system, or the reference to a person
    name: str
    scopes: frozenset[str]
    #: told apart from others by a token; one that is not is counted by its address
    is_known: bool


#: whoever calls a sandbox
ANYBODY = Caller(name=HOSPITAL, scopes=frozenset(senders.SCOPES), is_known=False)


def system(database: Database, shown: Authorization | None, *, tenant: int) -> Caller:
    """Return the system that shows a token.

    Raises:
        NoCredentials: there is no token, or it is not a good one.
    """
    token, name = _shown(shown)
    if not token:
        raise _refused(
            "credentials are needed: Authorization: Bearer, or Basic with a sender's name and token"
        )
    digest = tokens.digest(token)
    found = database.run(lambda tx: senders.find(tx, digest, tenant=tenant))
    if found is None or (name is not None and not hmac.compare_digest(name.encode(), found.name.encode())):
        raise _refused("these credentials are not good, or no longer")
    return Caller(name=found.name, scopes=found.scopes, is_known=True)


def person(practitioner: str) -> Caller:
    """Return a person who follows a link of a page: they read, and decide on pages alone."""
    return Caller(name=f"Practitioner/{practitioner}", scopes=frozenset({READ}), is_known=True)


def note(caller: Caller) -> None:
    """Note who is calling."""
    g.caller = caller


def caller() -> Caller:
    """Return who is calling; in a sandbox, anybody."""
    found: Caller = g.get("caller", ANYBODY) if has_app_context() else ANYBODY
    return found


def may(scope: str) -> bool:
    """Return whether whoever is calling may do this."""
    return scope in caller().scopes


def require(*scopes: str) -> None:
    """Refuse whoever may do none of these.

    Raises:
        NotInScope: with the scope that is missing.
    """
    if not any(map(may, scopes)):
        text = f"these credentials do not allow to {' or '.join(scopes)}"
        raise NotInScope(Issue(code="forbidden", text=text))


def require_for(entries: Iterable[object], reads: type) -> None:
    """Refuse a Bundle that holds what its sender may not do.

    Args:
        reads: what entries that only read are; all others write.

    Raises:
        NotInScope: nothing of it is done.
    """
    for scope in {READ if isinstance(entry, reads) else WRITE for entry in entries}:
        require(scope)


def challenges(request: Request) -> tuple[str, ...]:
    """Return how credentials are asked for.

    A browser that is asked for Basic shows a window of its own, in which people would type their password.
    """
    bearer, basic = f"Bearer {REALM}", f'Basic {REALM}, charset="UTF-8"'
    return (bearer,) if request.headers.get("Sec-Fetch-Mode") == "navigate" else (bearer, basic)


def _shown(shown: Authorization | None) -> tuple[str, str | None]:
    """Return the token, and the name of the system where one is told."""
    if shown is None:
        return "", None
    if shown.type == "bearer":
        return shown.token or "", None
    if shown.type == "basic":
        return shown.password or "", shown.username or ""
    return "", None


def _refused(text: str) -> NoCredentials:
    return NoCredentials(Issue(code="login", text=text))
