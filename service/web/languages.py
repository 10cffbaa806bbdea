"""In which language pages are shown: as the person chose, else as the browser asks, else English."""

from flask import Request

from service.web.words import LANGUAGES

#: it holds the code of a language, which says nothing of anybody
COOKIE = "hipway-language"
COOKIE_S = 365 * 24 * 3600

DEFAULT = next(iter(LANGUAGES))


def of(request: Request) -> str:
    """Return the language of an answer, one of `LANGUAGES`."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return str(chosen)
    # In the order of preference and by the first part alone: German of Austria is German, before any English.
    asked = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality)
    return next((language for language in asked if language in LANGUAGES), DEFAULT)
