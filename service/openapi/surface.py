"""Which routes the application has, as paths of OpenAPI.

HEAD is answered wherever GET is, and OPTIONS everywhere; neither is listed.
"""

import inspect
import re
from dataclasses import dataclass

from flask import Flask

from service.fhir.blueprint import NOTHING_THERE

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

#: `<type_>`, `<any(Patient,Task):type_>`: a part of the path that a request fills
_PART = re.compile(r"<(?:[^<>]*:)?(?P<name>\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    #: with its parts in braces, as `/fhir/{type}/{id}`
    path: str
    method: str
    endpoint: str
    #: of the parts that a request fills
    names: tuple[str, ...]
    #: what its function says of itself
    says: str
    #: its function answers other methods, or other paths, too
    shared: bool

    @property
    def blueprint(self) -> str:
        """Return which part of the service it belongs to."""
        return self.endpoint.partition(".")[0]

    @property
    def name(self) -> str:
        """Return the name of its function."""
        return self.endpoint.partition(".")[2]


def routes(app: Flask) -> tuple[Route, ...]:
    """Return every route that does something, by path; a slash at the end is no other path."""
    found: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
    for rule in app.url_map.iter_rules():
        path = _PART.sub(lambda part: f"{{{_name(part)}}}", rule.rule).rstrip("/") or "/"
        names = tuple(_name(part) for part in _PART.finditer(rule.rule))
        for method in METHODS:
            if method in (rule.methods or ()) and rule.endpoint not in NOTHING_THERE:
                found.setdefault((path, method), (rule.endpoint, names))
    used = [endpoint for endpoint, _ in found.values()]
    return tuple(
        Route(
            path=path,
            method=method,
            endpoint=endpoint,
            names=names,
            says=inspect.getdoc(app.view_functions[endpoint]) or "",
            shared=used.count(endpoint) > 1,
        )
        for (path, method), (endpoint, names) in sorted(found.items())
    )


def _name(part: re.Match[str]) -> str:
    return part["name"].rstrip("_")
