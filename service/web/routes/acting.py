"""`/acting`: who are you? In the sandbox, one of the people in the store."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import acting
from service.web import visit
from service.web.forms import Foreign
from service.web.pages import pages, problem

#: one working day
COOKIE_S = 12 * 3600


@pages.get("/acting")
def choose_person() -> str:
    """Show the people one can act as."""
    with visit.begin() as (_, seen):
        return visit.page(
            seen,
            "acting.html",
            token=seen.forms.token,
            back=inside(request.args.get("back", "")),
        )


@pages.post("/acting")
def act_as() -> Response | tuple[str, int]:
    """Remember who acts, or that nobody does."""
    with visit.begin() as (_, seen):
        try:
            seen.forms.check(request)
        except Foreign:
            return problem("old_form", 422)
        wanted = request.form.get("person", "")
        found = next((c for c in seen.colleagues if c.id == wanted), None)
    answer = redirect(inside(request.form.get("back", "")) or url_for("web.show_worklist"), code=303)
    if found is None:
        answer.delete_cookie(acting.COOKIE, samesite="Lax", httponly=True)
    else:
        sealed = acting.seal(seen.settings.secret_key, found.id)
        answer.set_cookie(acting.COOKIE, sealed, max_age=COOKIE_S, httponly=True, samesite="Lax")
    return answer


def inside(path: str) -> str:
    """Return a path of ours to go back to; nothing else is ever redirected to."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else ""
