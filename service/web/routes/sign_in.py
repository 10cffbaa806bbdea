"""`/sign-in`: who are you? The hospital's own sign-on first, then a user and a password.

The form is bound to a random value in a cookie of this browser, so that no other site can have somebody
signed in as somebody else; signing in always makes a new session, and ends the one before.

https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html
"""

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from service import log
from service.auth import sign_in as signing
from service.auth import tokens
from service.auth.sign_in import SignedIn, TooEarly
from service.store import sessions
from service.store.attempts import Try
from service.web import languages, signed_in, visit, words
from service.web.forms import Foreign, Forms
from service.web.inside import inside
from service.web.pages import pages
from service.web.visit import TENANT
from service.web.words import LANGUAGES

#: what brought somebody here, as the address says it
REASONS = {"1": "ended", "kept": "ended.kept", "out": "out"}

#: nothing longer is an account
LONGEST_NAME = 64


@pages.get("/sign-in")
def show_sign_in() -> Response:
    """Show the ways to sign in; those who are signed in are led on, and in a sandbox nobody signs in."""
    if visit.settings().sandbox:
        return redirect(url_for("web.choose_person"), code=303)
    back = inside(request.args.get("next", ""))
    if signed_in.session() is not None:
        return redirect(back or url_for("web.show_worklist"), code=303)
    return page(back, said=REASONS.get(request.args.get("ended", ""), ""))


@pages.post("/sign-in")
def sign_in() -> Response:
    """Sign somebody in and lead them to where they wanted to go."""
    if visit.settings().sandbox:
        return redirect(url_for("web.choose_person"), code=303)
    back = inside(request.form.get("next", ""))
    try:
        _forms(request.cookies.get(signed_in.BEFORE, "")).check(request)
    except Foreign:
        return page(back, trouble="old_form", status=422)
    # Phones begin a name with a capital and end it with a space.
    name = request.form.get("name", "").strip().lower()[:LONGEST_NAME]
    who = Try(name=name, address=signed_in.address(visit.settings()), tenant=TENANT)
    before = request.cookies.get(signed_in.COOKIE)
    done = signing.with_password(visit.database(), who, request.form.get("password", ""), before=before)
    if isinstance(done, SignedIn):
        return entered(done, back)
    if isinstance(done, TooEarly):
        answer = page(back, trouble="too_early", name=name, status=429, wait=done.wait_s)
        answer.headers["Retry-After"] = str(done.wait_s)
        return answer
    return page(back, trouble="refused", name=name, status=422)


@pages.post("/sign-out")
def sign_out() -> Response:
    """End the session here and in the browser."""
    session = signed_in.session()
    if session is not None:
        try:
            visit.forms_of(visit.settings(), session.practitioner).check(request)
        except Foreign:
            return redirect(url_for("web.show_worklist"), code=303)
        visit.database().run(lambda tx: sessions.end(tx, session.digest, tenant=TENANT))
        log.get().info("signed out", account=session.account)
    answer = redirect(url_for("web.show_sign_in", ended="out"), code=303)
    signed_in.forget(answer)
    return answer


def entered(done: SignedIn, back: str) -> Response:
    """Lead somebody who has just signed in to the page they wanted."""
    answer = redirect(back or url_for("web.show_worklist"), code=303)
    signed_in.remember(answer, done.cookie)
    signed_in.forget(answer, signed_in.BEFORE)
    return answer


def page(
    back: str, *, said: str = "", trouble: str = "", name: str = "", status: int = 200, wait: int = 0
) -> Response:
    """Return the page on which one signs in. It tells nothing of the work or of anybody.

    Args:
        back: the page to lead to then.
        said: why somebody is asked to sign in.
        trouble: why they were not signed in.
        name: as it was typed; the password never comes back.
        wait: seconds before the next try.
    """
    settings = visit.settings()
    cookie = request.cookies.get(signed_in.BEFORE) or tokens.new()
    html = render_template(
        "sign_in.html",
        t=words.of(languages.of(request)),
        languages=LANGUAGES,
        token=_forms(cookie).token(),
        language_token=visit.forms_of(settings, "").token(),
        back=back,
        here=url_for("web.show_sign_in", next=back or None),
        hospital=settings.sign_on is not None,
        said=said,
        trouble=trouble,
        name=name,
        wait=wait,
    )
    answer = make_response(html, status)
    signed_in.remember(answer, cookie, signed_in.BEFORE)
    return answer


def _forms(cookie: str) -> Forms:
    """Return the maker of tokens for this page in this browser. No id of a person holds a colon."""
    return visit.forms_of(visit.settings(), f"sign-in:{cookie}")
