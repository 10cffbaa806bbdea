"""The operations of FHIR, each as its OperationDefinition says.

By GET an operation takes parameters that are simple values, by POST any, as a Parameters resource.

http://hl7.org/fhir/R4/operations.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_profiles import definitions
from fhir_profiles.r4 import schemas
from service.openapi import answers, bodies, parameters, shapes
from service.openapi.surface import Route

Json = dict[str, Any]

#: what an operation may be refused with, by its method; one that tries a write takes its turn
_REFUSED = {
    "GET": (400, 404, 405, 406, 410),
    "POST": (400, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 429),
}

#: values that are written in a query as FHIR writes them
_SIMPLE: Mapping[str, Json] = {
    "boolean": {"enum": ["true", "false"]},
    "integer": {"type": "integer"},
    "positiveInt": {"type": "integer", "minimum": 1},
}

#: what an operation answers with, where it is no other resource
_SHAPED = ("Bundle", "OperationOutcome", "Parameters")

#: what stands in a header of the answer, by the function that carries it out
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "meta_of_one": ("ETag", "Last-Modified"),
    "meta_of_version": ("ETag", "Last-Modified"),
    "add_meta": ("ETag", "Last-Modified", "Evaluation-Due"),
    "delete_meta": ("ETag", "Last-Modified", "Evaluation-Due"),
}

#: they take long, and are answered before they are done: http://hl7.org/fhir/R4/async.html
ASYNCHRONOUS = ("export",)
_LATER = {"202": answers.good("It is being done.", "OperationOutcome", headers=("Content-Location",))}
_ASKS_LATER = parameters.one(
    "Prefer",
    "header",
    "It is done later, and nothing else is offered.",
    {"enum": ["respond-async", "respond-async, handling=lenient"]},
    required=True,
)

#: what to send to try it, by the function that carries it out
_EXAMPLES: Mapping[str, str] = {
    "add_meta": "meta",
    "delete_meta": "meta",
    "apply_one": "apply",
    "apply_by_url": "apply-by-url",
    "validate_of_type": "validate",
    "validate_of_instance": "validate-update",
}


def of(route: Route) -> Json:
    """Return what the operation takes and how it answers.

    Raises:
        KeyError: there is no OperationDefinition for it.
    """
    definition = _definition(route)
    later = definition["code"] in ASYNCHRONOUS
    given = [each for each in definition.get("parameter", ()) if each["use"] == "in"]
    shaping = [
        *parameters.named(parameters.ANSWER),
        _ASKS_LATER if later else parameters.named(["Prefer"])[0],
    ]
    found: Json = {
        "description": definition["description"],
        "externalDocs": {"url": definition["url"], "description": "The OperationDefinition"},
        "parameters": [*shaping, *map(_parameter, _in_query(given))],
        "responses": {
            **(_LATER if later else _at_once(route, definition)),
            **answers.refusals({*_REFUSED[route.method], *((429,) if later else ())}),
        },
    }
    if route.method == "POST":
        name = _EXAMPLES.get(route.name)
        example = bodies.example(name) if name else None
        found["requestBody"] = bodies.of("Parameters", required=False, given=example)
    return found


def _definition(route: Route) -> Mapping[str, Any]:
    """Return the definition of an operation: that for its type before that for any or for the system."""
    type_, name = route.path.split("/")[2], route.path.rpartition("$")[2]
    found = [each for each in definitions.resources() if each.get("code") == name]
    for wanted in (type_, "Resource"):
        for each in found:
            if wanted in each.get("resource", ()):
                return each
    for each in found:
        if each["system"]:
            return each
    raise KeyError(f"no OperationDefinition has the code {name}")


def _in_query(given: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what a query can say: values of primitive types, whose names begin with a small letter."""
    return [each for each in given if each["type"][:1].islower()]


def _parameter(given: Mapping[str, Any]) -> Json:
    # What is needed may stand in the body as well, so no place of it is required.
    schema = _SIMPLE.get(given["type"], shapes.TEXT)
    return parameters.one(given["name"], "query", given.get("documentation", ""), schema)


def _at_once(route: Route, definition: Mapping[str, Any]) -> Json:
    shape = _answered(definition)
    return {"200": answers.good("The answer.", shape, headers=_HEADERS.get(route.name, ()))}


def _answered(definition: Mapping[str, Any]) -> str:
    """Return the shape of the answer: the resource that is all it returns, or Parameters."""
    returned = [each for each in definition.get("parameter", ()) if each["use"] == "out"]
    if [each["name"] for each in returned] != ["return"]:
        return "Parameters"
    type_ = returned[0]["type"]
    if type_ in _SHAPED:
        return str(type_)
    return "Resource" if type_ in ("Any", "Resource", *schemas.RESOURCES) else "Parameters"
