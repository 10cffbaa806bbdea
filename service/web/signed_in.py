"""Who is signed in, as the cookie of this browser says, and what happens to those who are not.

The cookie holds a random value and nothing else. Its name has the prefix by which browsers refuse it from
anywhere but this very host, over TLS alone (https://www.rfc-editor.org/rfc/rfc6265#section-4.1.2; the
prefix: https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-cookie-name-prefixes).
"""

from flask import current_app, g, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import origins
from service.auth import addresses, sign_in
from service.settings import Settings
from service.store import accounts, kept_forms
from service.store.database import Database
from service.store.sessions import Session
from service.web.forms import Foreign, Forms
from service.web.inside import inside

COOKIE = "__Host-hipway-session"

#: what the browser holds between the sign-in page and its form, and while it is at the hospital's sign-on
BEFORE = "__Host-hipway-sign-in"

#: what is shown to everybody
OPEN = (
    "web.static",
    "web.choose_language",
    "web.show_sign_in",
    "web.sign_in",
    "web.sign_out",
    "web.go_to_hospital",
    "web.come_from_hospital",
)

#: the forms whose words are kept when the sign-in has ended, by the page they stand on
WRITTEN = {"web.decide": "web.show_plan", "web.decide_entry": "web.show_entry"}
FIELDS = ("focus", "decision", "reason", "text", "target")
LONGEST = 2000


def session() -> Session | None:
    """Return who is signed in; None in a sandbox, and for nobody."""
    found: Session | None = g.get("session")
    return found


def look(tenant: int) -> Session | None:
    """Read who is signed in, once for a request."""
    hipway = current_app.extensions["hipway"]
    database: Database = hipway.database
    # Open pages ask by htmx, every few seconds and by themselves: nobody needs to be there. No link and no
    # form of ours is htmx's. https://htmx.org/reference/#request_headers
    cookie, used = request.cookies.get(COOKIE), "HX-Request" not in request.headers
    if cookie:
        g.session = database.run(
            lambda tx: sign_in.session(tx, cookie, hipway.settings, used=used, tenant=tenant)
        )
    return session()


def remember(answer: Response, cookie: str, name: str = COOKIE) -> None:
    """Have the browser show a value from now on, until it is closed."""
    answer.set_cookie(name, cookie, secure=True, httponly=True, samesite="Lax", path="/")


def forget(answer: Response, name: str = COOKIE) -> None:
    """Have the browser show it no more."""
    answer.delete_cookie(name, secure=True, httponly=True, samesite="Lax", path="/")


def address(settings: Settings) -> str:
    """Return from where the request comes."""
    return addresses.client(
        request.remote_addr, request.headers.get("X-Forwarded-For"), settings.trusted_proxies
    )


def way_back() -> str:
    """Return the sign-in page that leads back to where this request came from."""
    if request.method == "GET":
        back = request.full_path.removesuffix("?")
        return url_for("web.show_sign_in", next=inside(back) or None)
    # A form is not posted again: it is shown again, and with what was written if that is a person's words.
    came_from = origins.read(request.headers.get("Referer", ""))
    back = came_from.path + (f"?{came_from.query}" if came_from.query else "") if came_from else ""
    return url_for("web.show_sign_in", next=inside(back) or None, ended=1)


def keep_words(settings: Settings, *, tenant: int) -> str | None:
    """Keep what was written into a form that came too late, and return the sign-in page that leads back.

    Only the person whose form it was sees it again. None: the form is not one of those, or not ours, or its
    token was not made for somebody who can sign in: the sign-in page gives a token to everybody.
    """
    endpoint = WRITTEN.get(request.endpoint or "")
    if endpoint is None or not any(request.form.get(name) for name in ("text", "reason", "target")):
        return None
    try:
        writer = Forms(secret=settings.secret_key, acting="").writer(request.form.get("token", ""))
    except Foreign:
        return None
    fields = {name: request.form.get(name, "")[:LONGEST] for name in FIELDS}
    path = url_for(endpoint, **(request.view_args or {}))
    database: Database = current_app.extensions["hipway"].database

    def keep(tx: Connection) -> bool:
        known = accounts.is_of_somebody(tx, writer, tenant=tenant)
        if known:
            kept_forms.keep(tx, writer, path, fields, tenant=tenant)
        return known

    if not database.run(keep):
        return None
    back = url_for(endpoint, **(request.view_args or {}), kept=1)
    return url_for("web.show_sign_in", next=back, ended="kept")
