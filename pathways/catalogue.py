"""The pathways of this release: loaded once, checked, shared by all threads."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pathways.definition import Pathway
from pathways.load import load
from pathways.publication import resources

FOLDERS = ("gluteus_medius_tear",)


@cache
def pathways() -> tuple[Pathway, ...]:
    """Return every pathway of this release."""
    return tuple(load(Path(__file__).parent / folder) for folder in FOLDERS)


def published() -> tuple[dict[str, Any], ...]:
    """Return every pathway as FHIR resources, what is referred to before what refers to it."""
    folders = (Path(__file__).parent / folder for folder in FOLDERS)
    found = (r for known, folder in zip(pathways(), folders, strict=True) for r in resources(known, folder))
    return tuple({(r["resourceType"], r["id"]): r for r in found}.values())


def pathway(name: str) -> Pathway:
    """Return the pathway with this name.

    Raises:
        KeyError: there is none.
    """
    for known in pathways():
        if known.name == name:
            return known
    raise KeyError(name)


@cache
def codes() -> frozenset[tuple[str, str]]:
    """Return every code that may be an input of a pathway: what an evaluation has to load."""
    return frozenset(code for known in pathways() for code in known.gate.codes)


def urgent(resource: Mapping[str, Any]) -> bool:
    """Return whether the resource must not wait for the rest of its visit."""
    return any(known.gate.urgent(resource) for known in pathways())
