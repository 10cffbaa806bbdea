"""`/acting`: who are you, and who is away? In the sandbox one chooses, among the people in the store."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import acting
from service.web import visit
from service.web.inside import inside
from service.web.pages import foreign, pages, problem

#: one working day
COOKIE_S = 12 * 3600


@pages.get("/acting")
def choose_person() -> str:
    """Show who is signed in, in a sandbox the people one can act as, and who covers whom."""
    with visit.begin() as (_, seen):
        return visit.page(
            seen,
            "acting.html",
            token=seen.forms.token,
            back=inside(request.args.get("back", "")),
        )


@pages.post("/acting")
def act_as() -> Response | tuple[str, int]:
    """Remember who acts, or that nobody does. Only in a sandbox: elsewhere one signs in."""
    if not visit.settings().sandbox:
        return problem("no_page", 404)
    with visit.begin() as (_, seen):
        if refused := foreign(seen):
            return refused
        wanted = request.form.get("person", "")
        found = next((c for c in seen.colleagues if c.id == wanted), None)
    answer = redirect(inside(request.form.get("back", "")) or url_for("web.show_worklist"), code=303)
    if found is None:
        answer.delete_cookie(acting.COOKIE, samesite="Lax", httponly=True)
    else:
        sealed = acting.seal(seen.settings.secret_key, found.id)
        answer.set_cookie(acting.COOKIE, sealed, max_age=COOKIE_S, httponly=True, samesite="Lax")
    return answer
