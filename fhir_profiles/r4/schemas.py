"""The compiled schema of each resource type, made when it is first asked for (about 10 ms) and kept."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from fhir_profiles.r4 import keywords
from fhir_profiles.r4.primitives import Schema

_FOLDER = Path(__file__).parent / "schema"

RESOURCES = frozenset(file.stem for file in _FOLDER.glob("*.json")) - {"datatypes"}


@cache
def validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    """Return the compiled schema of the resource type."""
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/$defs/{kind}", "$defs": definitions(kind)},
        mask="the value",
        keywords=keywords.KEYWORDS,
        # The engine without look-around: time linear in the text, whatever the text.
        pattern_options=jsonschema_rs.RegexOptions(),
        validate_formats=False,
        offline=True,
    )


@cache
def definitions(kind: str) -> dict[str, Schema]:
    """Return the schemas by name that the resource type is made of."""
    return {**_load("datatypes"), **_load(kind)}


@cache
def _load(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_bytes())
