"""Our CodeSystems, ValueSets and StructureDefinitions, read from `definitions/`, one FHIR resource a file."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

Json = Mapping[str, Any]

_FOLDER = Path(__file__).parent / "definitions"


@cache
def resources() -> tuple[Json, ...]:
    """Return every definition, by type and id."""
    return tuple(json.loads(file.read_bytes()) for file in sorted(_FOLDER.glob("*.json")))


def code_systems() -> tuple[Json, ...]:
    """Return our CodeSystems, by id."""
    return _of_type("CodeSystem")


def value_sets() -> tuple[Json, ...]:
    """Return our ValueSets, by id."""
    return _of_type("ValueSet")


def structure_definitions() -> tuple[Json, ...]:
    """Return our extensions and profiles, by id."""
    return _of_type("StructureDefinition")


@cache
def displays(language: str = "en") -> Mapping[tuple[str, str], str]:
    """Return the display of each of our codes, by system and code.

    Args:
        language: of a designation; a code without one in it has its display, which is English.
    """
    return MappingProxyType(
        {
            (system["url"], concept["code"]): _designation(concept, language)
            for system in code_systems()
            for concept in system["concept"]
        }
    )


def _designation(concept: Json, language: str) -> str:
    found = (d["value"] for d in concept.get("designation", ()) if d["language"] == language)
    return str(next(found, concept["display"]))


def display(system: str, code: str) -> str | None:
    """Return the display of one of our codes; None if it is not ours."""
    return displays().get((system, code))


def members(value_set: str) -> Iterator[tuple[str, str]]:
    """Yield the codes of one of our value sets, each with its system.

    Raises:
        KeyError: no value set of ours has this URL.
    """
    systems = {system["url"]: system for system in code_systems()}
    found = {each["url"]: each for each in value_sets()}[value_set]
    for part in found["compose"]["include"]:
        for concept in part.get("concept") or systems[part["system"]]["concept"]:
            yield part["system"], concept["code"]


def _of_type(name: str) -> tuple[Json, ...]:
    return tuple(resource for resource in resources() if resource["resourceType"] == name)
