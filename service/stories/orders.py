"""The short names of orders, read from the ActivityDefinitions of the published pathways."""

import functools
import json
from importlib import resources
from types import MappingProxyType
from typing import Any

from service.stories.shorthand import BASE, Orders

SHORTHAND = f"{BASE}/StructureDefinition/output-shorthand"
BY_SIDE = f"{BASE}/StructureDefinition/code-by-side"


@functools.cache
def names() -> Orders:
    """Return which (system, code) is which order."""
    found: dict[tuple[str, str], str] = {}
    for folder in resources.files("pathways").iterdir():
        file = folder / "activity_definitions.json"
        if file.is_file():
            for activity in json.loads(file.read_bytes()):
                kind, _, name = _shorthand(activity).partition(":")
                if kind == "SR":
                    found |= {(coding["system"], coding["code"]): name for coding in _codings(activity)}
    return MappingProxyType(found)


def _shorthand(activity: dict[str, Any]) -> str:
    return next(
        (str(part["valueCode"]) for part in activity.get("extension", ()) if part["url"] == SHORTHAND), ""
    )


def _codings(activity: dict[str, Any]) -> list[dict[str, str]]:
    concepts = [activity.get("code", {})]
    for part in activity.get("extension", ()):
        if part["url"] == BY_SIDE:
            concepts += [each["valueCodeableConcept"] for each in part["extension"] if each["url"] == "code"]
    return [coding for concept in concepts for coding in concept.get("coding", ())]
