"""The committed schemas: every type of R4, each strict, made from the primitives as the code has them."""

from typing import Any

import jsonschema_rs
import pytest

from fhir_profiles import gate
from fhir_profiles.r4 import schemas
from fhir_profiles.r4.primitives import PRIMITIVES


def test_every_resource_type_of_r4_has_a_schema() -> None:
    # 148 StructureDefinitions of kind resource, without the abstract Resource and DomainResource
    assert len(schemas.RESOURCES) == 146
    assert {"Patient", "Bundle", "Parameters", "Binary", "VisionPrescription"} <= schemas.RESOURCES


def test_the_committed_schemas_were_made_from_these_primitives() -> None:
    committed = schemas.definitions("Patient")

    assert {name: committed[name] for name in PRIMITIVES} == PRIMITIVES


@pytest.mark.parametrize("kind", sorted(schemas.RESOURCES))
def test_every_type_refuses_what_it_does_not_know_and_asks_for_what_it_needs(kind: str) -> None:
    faults = gate.check({"resourceType": kind, "colour": "red"})

    assert f"{kind}.colour" in {fault.expression for fault in faults}
    assert {fault.code for fault in faults} <= {"structure", "required"}


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every schema of an object anywhere in the schema."""
    found = []
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "additionalProperties" in schema:
            found.append(schema)
        found += [inner for value in schema.values() for inner in objects(value)]
    return found


@pytest.mark.parametrize("kind", sorted(schemas.RESOURCES))
def test_every_object_is_closed_and_every_reference_to_a_schema_resolves(kind: str) -> None:
    definitions = schemas.definitions(kind)

    closed = objects(definitions)

    assert all(each["additionalProperties"] is False for each in closed)
    for schema in closed:
        for element in schema["properties"].values():
            target = element.get("items", element).get("$ref", "#/$defs/string")
            assert target.removeprefix("#/$defs/") in definitions


@pytest.mark.parametrize("name", sorted(name for name, s in PRIMITIVES.items() if s["type"] == "string"))
@pytest.mark.parametrize("character", ["\x00", "\x01", "\x1f"])
def test_no_primitive_holds_a_control_character(name: str, character: str) -> None:
    """https://hl7.org/fhir/R4/datatypes.html#string; PostgreSQL holds no NUL in any text."""
    validator = jsonschema_rs.Draft202012Validator(
        {key: PRIMITIVES[name][key] for key in ("type", "pattern")}
    )
    within = {"xhtml": "<div>a{}</div>", "uri": "http://a{}b"}.get(name, "a{}b")

    assert not validator.is_valid(within.format(character))
