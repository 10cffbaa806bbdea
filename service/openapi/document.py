"""The document: each route of the application with what the tables say of it.

https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask

from service.fhir.routes import capabilities
from service.hospital.settings import SECRET_HEADER
from service.openapi import (
    answers,
    bodies,
    interactions,
    operations,
    pages,
    parameters,
    programs,
    shapes,
    surface,
)
from service.openapi.surface import Route
from service.settings import Settings
from service.version import VERSION

Json = dict[str, Any]

FHIR, OPERATIONS, CDS, HOSPITAL = "FHIR", "FHIR operations", "CDS Hooks", "Hospital"
HEALTH, SANDBOX, PAGES, ITSELF = "Health", "Sandbox", "Pages", "This document"

#: in the order in which they are read, each with what it is
TAGS: Mapping[str, str] = {
    FHIR: "The interactions of the FHIR R4 base. /fhir/metadata says the same in FHIR's own words.",
    OPERATIONS: "Each has an OperationDefinition.",
    CDS: "Called by an electronic record; nothing is stored but feedback. https://cds-hooks.hl7.org/2.0/",
    HOSPITAL: "Called by the FHIR server of the hospital when something is new there.",
    HEALTH: "Is it alive, is it ready, and what does it count?",
    SANDBOX: "The control of a sandbox: its clock, its parameters, an evaluation on demand, a fresh start.",
    PAGES: "For people; no API. Their forms can be posted by their own pages alone.",
    ITSELF: "What you are reading.",
}
_BY_BLUEPRINT = {
    "cds": CDS,
    "hook": HOSPITAL,
    "health": HEALTH,
    "sandbox": SANDBOX,
    "web": PAGES,
    "openapi": ITSELF,
}

#: of production: how callers of each part say who they are
_SECURITY: Mapping[str, list[Json]] = {
    FHIR: [{"token": []}, {"sender": []}, {"person": []}],
    OPERATIONS: [{"token": []}, {"sender": []}, {"person": []}],
    CDS: [{"cds": []}],
    HOSPITAL: [{"hook": []}],
    PAGES: [{"person": []}],
}
_PERSON: Json = {
    "type": "apiKey",
    "in": "cookie",
    "description": "Somebody who is signed in; of FHIR they may read.",
}
_SCHEMES: Json = {
    "token": {"type": "http", "scheme": "bearer", "description": "The token of a sender."},
    "sender": {"type": "http", "scheme": "basic", "description": "The name of a sender and its token."},
    "cds": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Of a trusted client."},
    "hook": {
        "type": "apiKey",
        "in": "header",
        "name": SECRET_HEADER,
        "description": "What the hospital's server was told.",
    },
    "metrics": {"type": "http", "scheme": "bearer", "description": "The token of the metrics."},
}

#: what production answers 404, whatever it is
_SANDBOX = "/sandbox"

#: where it is kept: it is the same as long as the process lives
_KEPT = "hipway-openapi"


def kept(app: Flask) -> Json:
    """Return the document of this application, made when it is first asked for."""
    if _KEPT not in app.extensions:
        app.extensions[_KEPT] = of(app)
    found: Json = app.extensions[_KEPT]
    return found


def of(app: Flask) -> Json:
    """Return the OpenAPI document of this application, in its mode.

    Raises:
        KeyError: a route, a parameter or an operation that nobody has described.
    """
    hipway = app.extensions["hipway"]
    settings: Settings = hipway.settings
    found: dict[str, Json] = {}
    for route in surface.routes(app):
        if not settings.sandbox and route.path.startswith(_SANDBOX):
            continue
        found.setdefault(route.path, {})[route.method.lower()] = _operation(route, hipway)
    tags = {tag for path in found.values() for each in path.values() for tag in each["tags"]}
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "hipway",
            "summary": "A FHIR R4 care-pathway service",
            "version": VERSION,
            "description": capabilities.DOCUMENTATION + " HEAD is answered wherever GET is.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.base_url}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in tags],
        "paths": found,
        "components": _components(hipway),
    }
    return document


def _components(hipway: Any) -> Json:
    sandbox = hipway.settings.sandbox
    found: Json = {
        "schemas": {**shapes.ALL, **(shapes.of_sandbox() if sandbox else {})},
        "parameters": parameters.components(),
        "headers": dict(answers.HEADERS),
        "responses": answers.components(),
    }
    if sandbox:
        return found
    return {**found, "securitySchemes": {**_SCHEMES, "person": {**_PERSON, "name": hipway.session_cookie}}}


def _operation(route: Route, hipway: Any) -> Json:
    tag = _tag(route)
    path = pages.path_of(route) if tag == PAGES else _path(route)
    said = _said(route, tag, hipway.settings)
    summary, _, rest = route.says.partition("\n")
    description = said.pop("description", rest.strip())
    operation: Json = {
        "operationId": route.id,
        "tags": [tag],
        "summary": summary or route.endpoint,
        **({"description": description} if description else {}),
        **said,
        "parameters": [*path, *said["parameters"]],
    }
    if not hipway.settings.sandbox:
        is_open = route.endpoint in ("fhir.metadata", *hipway.open_pages)
        operation["security"] = [] if is_open else _security(route, tag)
    return operation


def _tag(route: Route) -> str:
    if route.blueprint == "fhir":
        return OPERATIONS if "$" in route.path else FHIR
    return _BY_BLUEPRINT[route.blueprint]


def _said(route: Route, tag: str, settings: Settings) -> Json:
    if tag == PAGES:
        return pages.of(route)
    if tag not in (FHIR, OPERATIONS):
        return _refused(programs.of(route), _of_origin(route))
    said = operations.of(route) if tag == OPERATIONS else _interaction(route)
    always = {500, 503} if settings.sandbox else {401, 403, 500, 503}
    return _refused(said, always | _of_origin(route))


def _refused(said: Json, statuses: Iterable[int]) -> Json:
    return {**said, "responses": {**said["responses"], **answers.refusals(statuses)}}


def _of_origin(route: Route) -> set[int]:
    """Return how a page of another site is refused: whatever is no GET may change something."""
    return set() if route.method == "GET" else {403}


def _interaction(route: Route) -> Json:
    asked = interactions.INTERACTIONS[route.name]
    said: Json = {
        "externalDocs": {"url": f"{asked.page}#{asked.section}"},
        "parameters": [*parameters.searched(asked.criteria), *parameters.named(asked.parameters)],
        "responses": {
            **{
                str(status): answers.good(good.text, good.shape, headers=good.headers, media=good.media)
                for status, good in asked.good.items()
            },
            **answers.refusals(asked.refused),
        },
    }
    if asked.body:
        said["requestBody"] = bodies.of(asked.body)
    if asked.searches:
        said["parameters"] = [parameters.criteria(), *said["parameters"]]
    if route.name == "search":
        said[parameters.BY_TYPE] = parameters.by_type()
        said["x-fhir-search-modifiers"] = parameters.modifiers()
    return said


def _path(route: Route) -> list[Json]:
    if route.blueprint != "fhir":
        return programs.path_of(route)
    return [parameters.of_path(name, parameters.PATH.get(name)) for name in route.names]


def _security(route: Route, tag: str) -> list[Json]:
    if route.endpoint == "health.metrics":
        return [{"metrics": []}]
    return _SECURITY.get(tag, [])
