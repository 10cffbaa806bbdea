"""The bodies of requests, with examples that a sandbox accepts.

The examples are parts of visits as hospitals send them, without names, dates of birth and record numbers.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from service.fhir import patching
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
    "JsonPatch": ("JsonPatch", patching.FORMS[:1], "patch"),
    "FhirPathPatch": ("FhirPathPatch", (*patching.FORMS[1:], JSON), "fhirpath-patch"),
    "Subscription": ("Subscription", (FHIR, JSON), "subscription"),
    "StoredSubscription": ("Subscription", (FHIR, JSON), "subscription-stored"),
    "Parameters": ("Parameters", (FHIR, JSON), None),
    "CdsCall": ("CdsCall", (JSON,), "cds-call"),
    "CdsFeedback": ("CdsFeedback", (JSON,), "cds-feedback"),
    "ClockSet": ("ClockSet", (JSON,), "clock"),
    "Evaluate": ("Evaluate", (JSON,), "evaluate"),
    "ChosenParameters": ("ChosenParameters", (JSON,), "parameters"),
}

#: what is sent in one of several shapes, each under media types of its own
_EITHER: Mapping[str, tuple[str, ...]] = {"Patch": ("JsonPatch", "FhirPathPatch")}


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
    content: Json = {}
    for each in _EITHER.get(name, (name,)):
        shape, media, file = _BODIES[each]
        shown = given if given is not None else example(file) if file else None
        said = {"schema": shapes.ref(shape), **({"example": shown} if shown is not None else {})}
        content |= dict.fromkeys(media, said)
    return {"required": required, "content": content}
