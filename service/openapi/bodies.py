"""The bodies of requests, with examples that a sandbox accepts.

The examples are parts of visits as hospitals send them, without names, dates of birth and record numbers.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from service.fhir import json_patch
from service.openapi import shapes
from service.openapi.answers import FHIR, JSON

Json = dict[str, Any]

FORM = "application/x-www-form-urlencoded"

_FOLDER = Path(__file__).with_name("examples")

#: the shape, the media types and the example of each; without an example: the name of none
_BODIES: Mapping[str, tuple[str, tuple[str, ...], str | None]] = {
    "Resource": ("Resource", (FHIR, JSON), "observation"),
    "Stored": ("Resource", (FHIR, JSON), "observation-stored"),
    "Visit": ("Visit", (FHIR, JSON), "visit"),
    "JsonPatch": ("JsonPatch", (json_patch.MEDIA_TYPE,), "patch"),
    "Parameters": ("Parameters", (FHIR, JSON), None),
    "CdsCall": ("CdsCall", (JSON,), "cds-call"),
    "CdsFeedback": ("CdsFeedback", (JSON,), "cds-feedback"),
    "ClockSet": ("ClockSet", (JSON,), "clock"),
    "Evaluate": ("Evaluate", (JSON,), "evaluate"),
    "ChosenParameters": ("ChosenParameters", (JSON,), "parameters"),
}


@cache
def example(name: str) -> Any:
    """Return the example in a file of `examples/`."""
    return json.loads((_FOLDER / f"{name}.json").read_bytes())


def of(name: str, *, required: bool = True, given: Any = None) -> Json:
    """Return the body of a request, one of those above, or a form.

    Args:
        given: an example in place of the one above.
    """
    if name == "Form":
        schema = {"type": "object", "additionalProperties": shapes.TEXT}
        return {"required": False, "content": {FORM: {"schema": schema, "example": {"_count": "10"}}}}
    shape, media, file = _BODIES[name]
    content: Json = {"schema": shapes.ref(shape)}
    shown = given if given is not None else example(file) if file else None
    if shown is not None:
        content["example"] = shown
    return {"required": required, "content": dict.fromkeys(media, content)}
