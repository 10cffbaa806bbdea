"""The gate lets real resources through: HL7's own examples, ours, and those of the stories.

HL7's examples come from the repository FHIR/fhir-test-cases (`r4/examples`), found through HIPWAY_REFERENCE.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles import gate, reading

TESTS = Path(__file__).parents[1]

# HL7's examples that break R4 themselves, and what is wrong with them.
FAULTY = {
    "bundle-questionnaire.json": "items of a Questionnaire without linkId, which is 1..1",
    "devicemetric-example.json": "parent names a DeviceDefinition, where R4 has a Device",
    "deviceusestatement-example.json": "reasonReference names no type it may point to",
    "medicationrequest0301.json": "dispenseRequest.performer names no Organization but a Practitioner",
}


def resources(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the outermost resources anywhere in the value."""
    if isinstance(value, dict) and "resourceType" in value:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from resources(inner)


@pytest.mark.requires("reference")
def test_official_examples_are_accepted_but_for_the_faulty_ones(reference: Path) -> None:
    files = sorted((reference / "fhir-r4-examples").glob("*.json"))

    refused = {file.name: gate.check(reading.read(file.read_bytes())) for file in files}

    assert len(files) > 50
    assert {name for name, faults in refused.items() if faults} == FAULTY.keys()


@pytest.mark.parametrize("folder", ["examples", "stories"])
def test_our_examples_and_stories_are_accepted(folder: str) -> None:
    files = sorted((TESTS / folder).glob("*.json"))
    refused = [
        (file.name, fault)
        for file in files
        for resource in resources(reading.read(file.read_bytes()))
        for fault in gate.check(resource)
    ]

    assert files
    assert refused == []


# What stands in the place of a value, one after the other.
ODDITIES: tuple[Any, ...] = (
    None,
    {},
    [],
    "",
    "Canary-7f3a",
    4711.25,
    -4711,
    True,
    [None],
    {"a": "Canary-7f3a"},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value inside the value lies."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of the value with something else at the place."""
    key, *rest = path
    copied = value.copy()
    copied[key] = put(value[key], tuple(rest), new) if rest else new
    return copied


def examples() -> list[dict[str, Any]]:
    """Return one resource of each type in our examples, the largest."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((TESTS / "examples").glob("*.json")):
        for entry in json.loads(file.read_bytes()).get("entry", ()):
            resource = entry["resource"]
            kind = resource["resourceType"]
            if len(str(resource)) > len(str(found.get(kind, ""))):
                found[kind] = resource
    return list(found.values())


@pytest.mark.parametrize("resource", [pytest.param(it, id=it["resourceType"]) for it in examples()])
def test_no_oddity_breaks_the_gate_and_no_fault_repeats_a_value(resource: dict[str, Any]) -> None:
    for path in places(resource):
        for oddity in ODDITIES:
            for fault in gate.check(put(resource, path, oddity)):
                assert "Canary" not in fault.text + fault.expression
                assert "4711" not in fault.text + fault.expression
                assert fault.code in ("structure", "value", "required", "code-invalid", "invariant")


@pytest.mark.parametrize("resource", [pytest.param(it, id=it["resourceType"]) for it in examples()])
def test_null_anywhere_is_one_fault_at_its_place(resource: dict[str, Any]) -> None:
    for path in places(resource):
        expression = resource["resourceType"] + "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in path
        )

        faults = gate.check(put(resource, path, None))

        if path == ("resourceType",):
            expression = "Resource.resourceType"
        assert [fault.expression for fault in faults] == [expression]
