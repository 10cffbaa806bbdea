"""Our CodeSystems, ValueSets and StructureDefinitions are valid R4 and agree with each other."""

import json
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import canonical, definitions, gate
from fhir_profiles.definitions import Json

ALL = [pytest.param(it, id=f"{it['resourceType']}/{it['id']}") for it in definitions.resources()]


@pytest.mark.parametrize("resource", ALL)
def test_a_definition_is_valid(resource: Json) -> None:
    assert gate.check(dict(resource)) == ()
    get_fhir_model_class(resource["resourceType"]).model_validate(dict(resource))


@pytest.mark.parametrize("resource", ALL)
def test_a_definition_is_named_by_its_place(resource: Json) -> None:
    assert resource["url"] == f"{canonical.BASE}/{resource['resourceType']}/{resource['id']}"


@pytest.mark.parametrize("resource", ALL)
def test_what_a_definition_points_to_is_there(resource: Json) -> None:
    known = {each["url"] for each in definitions.resources()}
    text = json.dumps(resource)
    kinds = ("CodeSystem", "ValueSet", "StructureDefinition")
    named = {part.split('"')[0] for part in text.split('"') if part.startswith(f"{canonical.BASE}/")}

    assert {url for url in named if url.split("/")[-2] in kinds} <= known


def test_a_code_system_names_each_code_once_and_counts_them() -> None:
    for system in definitions.code_systems():
        codes = [concept["code"] for concept in system["concept"]]
        assert len(codes) == len(set(codes)) == system["count"]


def test_a_value_set_holds_codes_of_its_systems_with_their_displays() -> None:
    for value_set in definitions.value_sets():
        assert list(definitions.members(value_set["url"]))
        for part in value_set["compose"]["include"]:
            for concept in part.get("concept", ()) if part["system"].startswith(canonical.BASE) else ():
                assert concept["display"] == definitions.display(part["system"], concept["code"])


@pytest.mark.parametrize(("system", "owner"), [(canonical.LOINC, "LOINC"), (canonical.SNOMED_CT, "SNOMED")])
def test_a_value_set_with_codes_of_others_says_whose_they_are(system: str, owner: str) -> None:
    holding = [
        each
        for each in definitions.value_sets()
        if any(part["system"] == system for part in each["compose"]["include"])
    ]

    assert holding
    assert all(owner in each["copyright"] for each in holding)


def test_a_display_is_known_for_our_codes_only() -> None:
    assert definitions.display(canonical.STAGES, "imaging") == "Imaging"
    assert definitions.display(canonical.STAGES, "nowhere") is None


def test_each_url_of_a_code_system_or_an_extension_is_defined() -> None:
    known = {each["url"] for each in definitions.resources()}
    ours = {
        url
        for url in vars(canonical).values()
        if isinstance(url, str) and url.startswith(canonical.BASE + "/")
    }

    assert {url for url in ours if "/sid/" not in url} <= known


def test_the_folder_holds_nothing_else() -> None:
    folder = Path(definitions.__file__).parent / "definitions"

    assert len(list(folder.iterdir())) == len(definitions.resources())
