"""`/acting/password`: another password for the account one is signed in with.

An account of the hospital's sign-on has none here, and in a sandbox nobody signs in.
"""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service.auth import changing, passwords
from service.auth.changing import NotGranted
from service.auth.sign_in import NotSignedIn, SignedIn, TooEarly
from service.store import accounts
from service.store.attempts import Try
from service.web import signed_in, visit
from service.web.pages import foreign, pages, problem
from service.web.visit import TENANT

Answer = Response | tuple[str, int]


@pages.get("/acting/password")
def show_password() -> Answer:
    """Show the form; after a change, that it was made."""
    if signed_in.session() is None:
        return redirect(url_for("web.choose_person"), code=303)
    return _page(said="changed" if request.args.get("changed") else "")


@pages.post("/acting/password")
def change_password() -> Answer:
    """Change the password, end all other sessions of the account, and go on in a new one."""
    session = signed_in.session()
    if session is None:
        return problem("no_page", 404)
    with visit.begin() as (_, seen):
        if refused := foreign(seen):
            return refused
    old, new = request.form.get("old", ""), request.form.get("new", "")
    if new != request.form.get("again", ""):
        return _page(trouble="different", status=422)
    who = Try(name=session.account, address=signed_in.address(visit.settings()), tenant=TENANT)
    match changing.password(visit.database(), who, old, new):
        case SignedIn(cookie=cookie):
            answer = redirect(url_for("web.show_password", changed=1), code=303)
            signed_in.remember(answer, cookie)
            return answer
        case TooEarly(wait_s=wait):
            answer = Response(*_page(trouble="too_early", status=429, wait=wait), mimetype="text/html")
            answer.headers["Retry-After"] = str(wait)
            return answer
        case NotSignedIn():
            return _page(trouble="wrong", status=422)
        case NotGranted():
            return _page(trouble="not_granted", status=503)
        case fault:
            return _page(trouble=fault, status=422)


def _page(*, said: str = "", trouble: str = "", status: int = 200, wait: int = 0) -> tuple[str, int]:
    """Return the page; what was typed never comes back."""
    with visit.begin() as (tx, seen):
        assert seen.session is not None
        account = accounts.find(tx, seen.session.account, tenant=TENANT)
        return visit.page(
            seen,
            "password.html",
            token=seen.forms.token,
            local=account is not None and account.password is not None,
            shortest=passwords.SHORTEST,
            longest=passwords.LONGEST,
            said=said,
            trouble=trouble,
            wait=wait,
        ), status
