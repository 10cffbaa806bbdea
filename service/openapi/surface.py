"""Which routes the application has, as paths of OpenAPI.

HEAD is answered wherever GET is, and OPTIONS everywhere; neither is listed.
"""

import inspect
import re
from collections import Counter
from collections.abc import Mapping
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
    #: no other has the same: the endpoint, with what tells apart those that share its function
    id: str

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
    ids = _ids({place: endpoint for place, (endpoint, _) in sorted(found.items())})
    return tuple(
        Route(
            path=path,
            method=method,
            endpoint=endpoint,
            names=names,
            says=inspect.getdoc(app.view_functions[endpoint]) or "",
            id=ids[path, method],
        )
        for (path, method), (endpoint, names) in sorted(found.items())
    )


def _ids(endpoints: Mapping[tuple[str, str], str]) -> Mapping[tuple[str, str], str]:
    """Return a name for each path and method: `fhir.read`, `fhir.apply_one.post`, `fhir.meta.get.2`."""
    used = Counter(endpoints.values())
    seen: Counter[str] = Counter()
    found = {}
    for (path, method), endpoint in endpoints.items():
        name = endpoint if used[endpoint] == 1 else f"{endpoint}.{method.lower()}"
        seen[name] += 1
        found[path, method] = name if seen[name] == 1 else f"{name}.{seen[name]}"
    return found


def _name(part: re.Match[str]) -> str:
    # An underscore keeps a name apart from one of Python, or says that a function does not need it.
    return part["name"].strip("_")
