"""The blueprint of the pages, and what every answer of it carries.

No script and no style stands in a page: the Content-Security-Policy allows files of
our own only. Without JavaScript every page works; htmx only refreshes the stamp.
"""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from service import accessed, errors
from service.web import languages, signed_in, visit, words
from service.web.forms import Foreign, refuse_other_origins
from service.web.visit import NoRole, Visit

STATIC = Path(__file__).with_name("static")

pages = Blueprint(
    "web",
    __name__,
    template_folder=str(Path(__file__).with_name("templates")),
    static_folder=str(STATIC),
    static_url_path="/assets",
)


@cache
def content_hash(filename: str) -> str:
    """Return what stands for the content of a file in its address."""
    return hashlib.sha256((STATIC / filename).read_bytes()).hexdigest()[:16]


@pages.app_template_global()
def asset(filename: str) -> str:
    """Return the address of a file; another content has another address, so browsers may keep it."""
    return url_for("web.static", filename=filename, v=content_hash(filename))


@pages.app_template_global()
def here() -> str:
    """Return the address of the page with what it was asked for; empty on one that answers a form."""
    return request.full_path.removesuffix("?") if request.method == "GET" else ""


@pages.app_template_global()
def back_here() -> str:
    """Return the address to come back to; empty on a page that answers a form: it cannot be opened again."""
    return request.path if request.method == "GET" else ""


POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


@pages.after_request
def protect(response: Response) -> Response:
    """Forbid everything that does not come from here; pages are never kept by a browser."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "web.static":
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Accept-Language", "Cookie"))
    elif response.status_code == 200 and request.args.get("v") == content_hash(_filename()):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _filename() -> str:
    return str((request.view_args or {}).get("filename", ""))


@pages.after_request
def write_down(response: Response) -> Response:
    """Write down whose data the page shows."""
    accessed.write(response, tenant=visit.TENANT)
    return response


@pages.before_request
def only_our_own_forms() -> tuple[str, int] | None:
    """Refuse forms of other sites before anything is looked up."""
    if request.method == "POST":
        try:
            refuse_other_origins(request, visit.settings().base_url)
        except Foreign:
            return problem("foreign", 403)
    return None


@pages.before_request
def only_behind_a_sign_in() -> BaseResponse | tuple[str, int] | None:
    """Show nothing to those who are not signed in, but lead them to the sign-in. A sandbox has none."""
    settings = visit.settings()
    if settings.sandbox or request.endpoint == "web.static":
        return None
    signed_in.look(visit.TENANT)
    if request.path.startswith("/sandbox"):
        return problem("no_page", 404)
    if signed_in.session() is not None or request.endpoint in signed_in.OPEN:
        return None
    if request.headers.get("HX-Request"):
        # A part of a page that is open: the page must not be changed for another one under somebody's hands.
        return Response(render_template("_signed_out.html", t=words.of(languages.of(request))))
    kept = signed_in.keep_words(settings, tenant=visit.TENANT) if request.method == "POST" else None
    return redirect(kept or signed_in.way_back(), code=303)


@pages.errorhandler(Exception)
def failed(error: Exception) -> BaseResponse:
    """Say that it went wrong, that nothing is lost, and under which id it is found. Reads nothing."""
    if isinstance(error, HTTPException):
        return error.get_response()
    if isinstance(error, NoRole):
        return Response(_bare("no_role"), 403)
    if errors.unavailable(error):
        return Response(_bare("unavailable"), 503)
    return Response(_bare("failed", errors.record(error)), 500)


def refusal(seen: Visit) -> tuple[str, int] | None:
    """Return the page that says why a posted form is not carried out; None if who acts may post it."""
    return problem("nobody", 422) if seen.acting is None else foreign(seen)


def foreign(seen: Visit) -> tuple[str, int] | None:
    """Return the page that says that a posted form is none of ours, or an old one; None: it is ours."""
    try:
        seen.forms.check(request)
    except Foreign:
        return problem("old_form", 422)
    return None


def problem(key: str, status: int) -> tuple[str, int]:
    """Return a page that says what is wrong and what to do."""
    if not visit.settings().sandbox and signed_in.session() is None:
        # Even how much is open is not told to somebody unknown.
        return _bare(key), status
    with visit.begin() as (_, seen):
        return visit.page(seen, "problem.html", key=key), status


def _bare(key: str, id: str = "") -> str:
    """Return a page that reads nothing."""
    session = signed_in.session()
    token = visit.forms_of(visit.settings(), session.practitioner).token() if session else ""
    return render_template("failed.html", t=words.of(languages.of(request)), key=key, id=id, token=token)
