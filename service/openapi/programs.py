"""What programs ask beside FHIR: health, metrics, CDS Hooks, calls of the hospital's server, the control of a
sandbox, and this document.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.cds import services
from service.hospital.settings import SECRET_HEADER
from service.openapi import answers, bodies, parameters, shapes
from service.openapi.answers import JSON
from service.openapi.surface import Route

Json = dict[str, Any]

PLAIN = "text/plain"

#: a call of CDS Hooks may be refused with these
_CDS = (400, 401, 404, 412, 413, 415)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that a program may ask."""

    #: of `shapes.ALL`, or another answer as it stands in the document
    good: Mapping[int, Json]
    parameters: tuple[Json, ...] = ()
    body: str | None = None
    #: statuses with an OperationOutcome
    refused: tuple[int, ...] = ()
    #: statuses with an error in a sentence
    not_done: tuple[int, ...] = ()
    #: what the parts of its path are
    path: Mapping[str, Json] = field(default_factory=dict)


def _json(text: str, shape: str) -> Json:
    return answers.good(text, shape, media=JSON)


def _nothing(text: str) -> Json:
    return answers.good(text)


_PARTS = parameters.one("only", "query", "These parts alone, separated by commas.", shapes.TEXT)
_SERVICE = {"id": {"type": "string", "enum": list(services.SERVICES)}}
_READY = {
    status: _json(text, "Readiness") for status, text in ((200, "All is well."), (503, "Something is not."))
}
_NOT_READ = (400, 413, 422)
_SECRET = parameters.one(SECRET_HEADER, "header", "What the server was told; without it: 401.", shapes.TEXT)

#: by the endpoint
ASKED: Mapping[str, Asked] = {
    "health.live": Asked(good={200: _json("This process answers.", "Alive")}),
    "health.ready": Asked(good=_READY, parameters=(_PARTS,)),
    "health.metrics": Asked(
        good={
            200: {
                "description": "Metrics as Prometheus reads them.",
                "content": {PLAIN: {"schema": shapes.TEXT}},
            },
            401: {
                **_nothing("The token of the metrics is needed."),
                "headers": {"WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"}},
            },
            404: _nothing("In production without a token there are none."),
        },
    ),
    "cds.discovery": Asked(good={200: _json("The services.", "CdsServices")}, refused=(401,)),
    "cds.call": Asked(good={200: _json("Cards.", "CdsCards")}, body="CdsCall", refused=_CDS, path=_SERVICE),
    "cds.give_feedback": Asked(
        good={200: _nothing("It is kept.")}, body="CdsFeedback", refused=_CDS, path=_SERVICE
    ),
    "hook.called": Asked(
        good={
            200: _nothing("It is noted. What is new is asked for there; what was sent is not read."),
            401: _nothing("The secret is none that the server was told."),
            404: _nothing("Nothing is read from a hospital that calls."),
        },
        parameters=(_SECRET,),
        refused=(500, 503),
    ),
    "sandbox.show_clock": Asked(good={200: _json("The clock.", "Clock")}),
    "sandbox.set_clock": Asked(
        good={200: _json("The clock as it is set.", "Clock")}, body="ClockSet", not_done=(*_NOT_READ, 409)
    ),
    "sandbox.free_clock": Asked(good={200: _json("The clock of the machine.", "Clock")}, not_done=(409,)),
    "sandbox.evaluate": Asked(
        good={200: _json("What the evaluation did.", "Evaluated")},
        body="Evaluate",
        not_done=(*_NOT_READ, 404),
    ),
    "sandbox.show_parameters": Asked(good={200: _json("The parameters of the site.", "SiteParameters")}),
    "sandbox.set_parameters": Asked(
        good={200: _json("The parameters as they are set.", "SiteParameters")},
        body="ChosenParameters",
        not_done=_NOT_READ,
    ),
    "sandbox.clear": Asked(good={204: _nothing("There is no patient data any more.")}),
    "openapi.document": Asked(
        good={
            200: {
                "description": "This document.",
                "content": {JSON: {"schema": shapes.ANYTHING}},
                "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
            },
            304: _nothing("The client has it."),
        },
        parameters=tuple(parameters.named(("If-None-Match",))),
    ),
}


def of(route: Route) -> Json:
    """Return what a program may ask, and how it is answered.

    Raises:
        KeyError: nobody has described the route.
    """
    asked = ASKED[route.endpoint]
    found: Json = {
        "parameters": list(asked.parameters),
        "responses": {
            **{str(status): answer for status, answer in asked.good.items()},
            **answers.refusals(asked.refused),
            **_not_done(asked.not_done),
        },
    }
    if route.blueprint == "sandbox":
        found["responses"] |= _not_done((500, 503))
    if asked.body:
        found["requestBody"] = bodies.of(asked.body)
    return found


def path_of(route: Route) -> list[Json]:
    """Return the parts of its path."""
    known = ASKED[route.endpoint].path
    return [parameters.of_path(name, known.get(name)) for name in route.names]


def _not_done(statuses: Iterable[int]) -> Json:
    return {
        str(status): _json(f"{answers.REFUSALS[status].split('.')[0]}; nothing has changed.", "NotDone")
        for status in statuses
    }
