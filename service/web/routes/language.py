"""`/language`: in which language do you read? Asked on every page, and kept in a cookie of its own."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service.web import languages, visit
from service.web.forms import Foreign
from service.web.inside import inside
from service.web.pages import pages, problem
from service.web.words import LANGUAGES


@pages.post("/language")
def choose_language() -> Response | tuple[str, int]:
    """Remember the language, and go back to where it was chosen."""
    with visit.begin() as (_, seen):
        try:
            seen.forms.check(request)
        except Foreign:
            return problem("old_form", 422)
    answer = redirect(inside(request.form.get("back", "")) or url_for("web.show_worklist"), code=303)
    wanted = request.form.get("language", "")
    if wanted in LANGUAGES:
        answer.set_cookie(languages.COOKIE, wanted, max_age=languages.COOKIE_S, httponly=True, samesite="Lax")
    return answer
