"""The pages for people: HTML behind a sign-in. They are listed so that the whole surface is; they are no API.

Forms carry a token that their page holds, so nothing but that page can post them.
"""

from typing import Any

from service.openapi import parameters, shapes
from service.openapi.answers import HTML
from service.openapi.bodies import FORM
from service.openapi.surface import Route

Json = dict[str, Any]


def of(route: Route) -> Json:
    """Return what a page answers with."""
    if route.name == "static":
        return {
            "parameters": [],
            "responses": {"200": _page("The file.", "*/*"), "404": _page("There is none.")},
        }
    statuses = {
        "200": "The page.",
        "302": "Another page has the answer.",
        "303": "Another page has the answer; in production, the sign-in.",
        "403": "A page of another site sent this, or whoever is signed in holds no role.",
        "404": "There is no such page, or it shows nothing.",
        "500": "A fault of this service, with the id under which its log has it.",
        "503": "The database cannot be reached now.",
    }
    if route.method == "POST":
        statuses |= {
            "409": "Something has changed since.",
            "422": "The form is too old, or something is missing.",
        }
    found: Json = {"parameters": [], "responses": {status: _page(text) for status, text in statuses.items()}}
    if route.method == "POST":
        token = {"type": "object", "properties": {"token": shapes.TEXT}, "required": ["token"]}
        found["requestBody"] = {"required": True, "content": {FORM: {"schema": token}}}
    return found


def path_of(route: Route) -> list[Json]:
    """Return the parts of its path."""
    return [parameters.of_path(name) for name in route.names]


def _page(text: str, media: str = HTML) -> Json:
    return {"description": text, "content": {media: {"schema": shapes.TEXT}}}
