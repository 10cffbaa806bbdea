"""The pathways of this installation: loaded once, checked, shared by all threads."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pathways.definition import Pathway
from pathways.load import load
from pathways.publication import resources

FOLDERS = ("gluteus_medius_tear",)
#: further folders of pathways, separated as in PATH: a hospital's own, or one under test
SETTING = "HIPWAY_PATHWAYS"


@cache
def folders() -> tuple[Path, ...]:
    """Return the folders of this release's pathways, and of those that the setting adds."""
    own = (Path(__file__).parent / folder for folder in FOLDERS)
    added = (Path(folder) for folder in os.environ.get(SETTING, "").split(os.pathsep) if folder)
    return (*own, *added)


@cache
def pathways() -> tuple[Pathway, ...]:
    """Return every pathway of this installation.

    Raises:
        InvalidPathway: one of them cannot be run.
    """
    return tuple(load(folder) for folder in folders())


def published() -> tuple[dict[str, Any], ...]:
    """Return every pathway as FHIR resources, what is referred to before what refers to it."""
    found = (r for known, folder in zip(pathways(), folders(), strict=True) for r in resources(known, folder))
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
