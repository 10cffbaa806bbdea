"""HAPI's validator finds no error in our definitions, in the examples, and in what the engine writes.

Each resource is held against R4 and the profile of ours that is meant for it (fhir-contract, section 8).

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playing import Json, Play, lived, read

from fhir_profiles import canonical, definitions, reading
from hapi import validation
from pathways import catalogue

pytestmark = pytest.mark.requires("hapi")

TESTS = Path(__file__).parents[1]
CONNECTIONS = 3

# What the server says for want of something that it does not have, and nothing else. Words that are no longer
# said fail the test.

#: It holds no LOINC. The codes are those of our own value set, which is asked below.
LOINC_UNKNOWN = (
    r"Observation/.* CodeSystem is unknown and can't be validated: http://loinc\.org "
    r"for 'http://loinc\.org#(.+)'"
)
#: R4 binds the language of an expression extensibly, so other codes are allowed; this one comes from
#: https://hl7.org/fhir/uv/cql/using-cql.html
CQL_IDENTIFIER = (
    r"PlanDefinition/.* Unknown code 'http://hl7\.org/fhir/expression-language#text/cql-identifier'"
)
#: It wants to fetch R4 as a package from the internet. The same definitions are used in all tests below.
NO_PACKAGES = (
    r"StructureDefinition/.* Error generating Snapshot: "
    r"Unable to resolve package id hl7\.fhir\.r4\.core#null .*"
)

#: of an output, of a patient or an input of a story, and a date or an instant
ID_OR_TIME = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|gmt-v\d+|v\d+-[a-z]\d*(-\w+)?"
    r"|\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?"
)

#: profiles by the type of what the engine writes; all others keep to R4
WRITTEN = {
    "CarePlan": "pathway-care-plan",
    "ServiceRequest": "pathway-proposal",
    "Task": "pathway-task",
    "Provenance": "pathway-provenance",
}


def test_our_definitions(hapi: httpx.Client):
    found = _issues(hapi, ((resource, None) for resource in catalogue.published()))

    assert _unexplained(found, CQL_IDENTIFIER, NO_PACKAGES) == []


def test_what_the_examples_send(hapi: httpx.Client):
    sent = [resource for file in sorted((TESTS / "examples").glob("*.json")) for resource in _sent(file)]
    profiles = [_profile_of_input(resource) for resource in sent]
    assert {p.rpartition("/")[2] for p in profiles if p} == {
        "hip-observation",
        "hip-imaging-finding",
        "clinician-decision",
    }

    found = _issues(hapi, zip(sent, profiles, strict=True))

    assert _unexplained(found, LOINC_UNKNOWN) == []
    codes = {code for system, code in _members("hip-observation-code") if system == canonical.LOINC}
    assert {re.fullmatch(LOINC_UNKNOWN, issue)[1] for issue in found} <= codes


def test_everything_the_engine_writes_in_every_story(hapi: httpx.Client):
    # What differs in nothing but ids and times is asked about once: a quarter of the two thousand.
    written: dict[str, Json] = {}
    for path in sorted((TESTS / "stories").glob("V*.json")):
        for _, _, resources in lived(read(path), Play()):
            written |= {_without_ids_and_times(each): each for each in resources}
    assert len(written) > 500
    assert {each["resourceType"] for each in written.values()} > WRITTEN.keys()

    found = _issues(hapi, ((each, _profile(WRITTEN.get(each["resourceType"]))) for each in written.values()))

    assert found == []


def test_our_profiles_are_used(hapi: httpx.Client):
    """Break each promise of a profile that R4 does not make: the server must say so."""
    _, _, resources = next(lived(read(TESTS / "stories" / "V01.json"), Play()))
    by_type = {each["resourceType"]: each for each in resources}

    for kind, lost in {
        "CarePlan": "extension",
        "ServiceRequest": "bodySite",
        "Task": "code",
        "Provenance": "policy",
    }.items():
        broken = {name: value for name, value in by_type[kind].items() if name != lost}
        assert list(validation.issues(hapi, broken)) == []
        assert list(validation.issues(hapi, broken, _profile(WRITTEN[kind])))
    unknown = {**by_type["Task"], "subjectCanonical": "Patient/x"}
    assert any("subjectCanonical" in issue for issue in validation.issues(hapi, unknown))


def _issues(hapi: httpx.Client, asked: Iterable[tuple[Json, str | None]]) -> list[str]:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [
            issue
            for found in pool.map(lambda each: [*validation.issues(hapi, *each)], asked)
            for issue in found
        ]


def _without_ids_and_times(resource: Json) -> str:
    return ID_OR_TIME.sub("?", json.dumps(resource, sort_keys=True, default=str))


def _unexplained(found: Iterable[str], *accepted: str) -> list[str]:
    """Return what none of the accepted patterns says, and the patterns that nothing said."""
    found = list(found)
    left = [issue for issue in found if not any(re.fullmatch(pattern, issue) for pattern in accepted)]
    idle = [pattern for pattern in accepted if not any(re.fullmatch(pattern, issue) for issue in found)]
    return left + idle


def _sent(file: Path) -> Iterator[Json]:
    body = reading.read(file.read_bytes())
    yield from (entry["resource"] for entry in body["entry"]) if body["resourceType"] == "Bundle" else (body,)


def _profile_of_input(resource: Json) -> str | None:
    codes = {(c.get("system"), c.get("code")) for c in resource.get("code", {}).get("coding", ())}
    kind = resource["resourceType"]
    if kind == "Task" and codes & _members("clinician-decision"):
        return _profile("clinician-decision")
    if kind == "Observation" and codes & _members("hip-observation-code"):
        return _profile("hip-imaging-finding" if codes & IMAGES else "hip-observation")
    return None


def _members(value_set: str) -> set[tuple[str, str]]:
    return set(definitions.members(canonical.value_set(value_set)))


def _profile(name: str | None) -> str | None:
    return canonical.structure(name) if name else None


#: findings that have parts
IMAGES = {
    (code["system"], code["code"])
    for each in catalogue.pathways()[0].inputs["inputs"]
    if each["id"] in {"mri", "us"}
    for code in each["codes"]
}
