"""What the pathway writes keeps to its profiles, and each thing that a profile asks for is noticed.

https://hl7.org/fhir/R4/profiling.html
"""

import copy
from pathlib import Path

import playing
import pytest

from fhir_profiles import canonical, definitions, profiles

STORIES = Path(__file__).parents[1] / "stories"
WRITTEN = {
    "CarePlan": "pathway-care-plan",
    "ServiceRequest": "pathway-proposal",
    "Task": "pathway-task",
    "Provenance": "pathway-provenance",
}


def profile(name):
    found = profiles.known(canonical.structure(name))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def outputs():
    """What a story writes, and the decision in it."""
    game = playing.Play()
    written = [r for *_, step in playing.lived(playing.read(STORIES / "V09.json"), game) for r in step]
    return written + [entry.body for entry in game.entries.values()]


def of_type(outputs, type_):
    return copy.deepcopy(next(r for r in outputs if r["resourceType"] == type_))


def with_components(outputs):
    return copy.deepcopy(next(r for r in outputs if r["resourceType"] == "Observation" and "component" in r))


def test_what_the_pathway_writes_keeps_to_its_profiles(outputs):
    seen = set()
    for resource in outputs:
        name = WRITTEN.get(resource["resourceType"])
        if name is None or (name == "pathway-task" and resource["intent"] != "plan"):
            continue
        seen.add(name)
        assert profiles.check(resource, profile(name)) == (), resource["resourceType"]
        assert profiles.extensions(resource) == ()
    assert seen == set(WRITTEN.values())


def test_a_decision_of_a_story_keeps_to_its_profile(outputs):
    decision = next(r for r in outputs if r["resourceType"] == "Task" and r["intent"] == "order")

    assert profiles.check(decision, profile("clinician-decision")) == ()


def test_a_finding_with_components_keeps_to_the_profile_of_its_base_too(outputs):
    finding = with_components(outputs)

    assert profiles.check(finding, profile("hip-imaging-finding")) == ()
    del finding["subject"]
    faults = profiles.check(finding, profile("hip-imaging-finding"))
    assert [(f.expression, f.code) for f in faults] == [("Observation.subject", "required")]


CODED = {"coding": [{"system": "http://loinc.org", "code": "secret"}]}


@pytest.mark.parametrize(
    ("type_", "name", "change", "where", "code"),
    [
        pytest.param(
            "CarePlan", "pathway-care-plan", lambda r: r["extension"].pop(0),
            "CarePlan.extension", "required", id="a required extension",
        ),
        pytest.param(
            "CarePlan", "pathway-care-plan", lambda r: r["extension"].append(r["extension"][0]),
            "CarePlan.extension", "structure", id="one extension twice",
        ),
        pytest.param(
            "CarePlan", "pathway-care-plan", lambda r: r.pop("instantiatesCanonical"),
            "CarePlan.instantiatesCanonical", "required", id="a required list",
        ),
        pytest.param(
            "CarePlan", "pathway-care-plan", lambda r: r["subject"].update(reference="Group/secret"),
            "CarePlan.subject", "value", id="the type of a target",
        ),
        pytest.param(
            "ServiceRequest", "pathway-proposal", lambda r: r.update(intent="plan"),
            "ServiceRequest", "invariant", id="an invariant",
        ),
        pytest.param(
            "Task", "pathway-task", lambda r: r.update(intent="secret"),
            "Task.intent", "value", id="a pattern",
        ),
        pytest.param(
            "Task", "pathway-task", lambda r: r["restriction"]["period"].pop("end"),
            "Task.restriction.period.end", "required", id="an element deep inside",
        ),
        pytest.param(
            "Task", "pathway-task", lambda r: r.update(code=CODED),
            "Task.code", "code-invalid", id="a required binding",
        ),
        pytest.param(
            "Provenance", "pathway-provenance",
            lambda r: r["entity"][0]["what"].update(reference="Observation/secret"),
            "Provenance.entity[0].what", "invariant", id="an invariant inside",
        ),
    ],
)  # fmt: skip
def test_what_a_profile_asks_for_is_noticed_where_it_is_and_no_value_is_told(
    outputs, type_, name, change, where, code
):
    resource = of_type(outputs, type_)
    change(resource)

    faults = profiles.check(resource, profile(name))

    assert [(fault.expression, fault.code) for fault in faults] == [(where, code)]
    assert "secret" not in faults[0].text


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(lambda c: c.update(valueCodeableConcept=CODED), "valueCodeableConcept", id="a code"),
        pytest.param(
            lambda c: (c.pop("valueCodeableConcept"), c.update(valueString="secret")),
            "valueString",
            id="a type",
        ),
    ],
)
def test_a_component_is_held_against_the_slice_of_its_code(outputs, change, where):
    finding = with_components(outputs)
    code = profile("hip-imaging-finding")["differential"]["element"][2]["patternCodeableConcept"]["coding"][0]
    at, component = next(
        (n, c) for n, c in enumerate(finding["component"]) if c["code"]["coding"][0]["code"] == code["code"]
    )
    change(component)

    faults = profiles.check(finding, profile("hip-imaging-finding"))

    assert [fault.expression for fault in faults] == [f"Observation.component[{at}].{where}"]


def test_an_extension_of_ours_is_held_against_its_definition_wherever_it_is(outputs):
    plan = of_type(outputs, "CarePlan")
    side = next(e for e in plan["extension"] if e["url"] == canonical.SIDE)
    side["valueCoding"] = {"system": "http://loinc.org", "code": "secret"}

    faults = profiles.extensions(plan)

    at = plan["extension"].index(side)
    assert [fault.expression for fault in faults] == [f"CarePlan.extension[{at}].valueCoding"]


def test_a_closed_slicing_lets_nothing_else_in():
    hold = {
        "url": canonical.HOLD,
        "extension": [
            {"url": "type", "valueCoding": _any_hold()},
            {"url": "since", "valueDateTime": "2026-01-01"},
            {"url": "colour", "valueString": "red"},
        ],
    }

    faults = profiles.extensions({"resourceType": "CarePlan", "extension": [hold]})

    assert [fault.expression for fault in faults] == ["CarePlan.extension[0].extension[2]"]


def _any_hold():
    system, code = next(definitions.members(canonical.value_set("pathway-hold")))
    return {"system": system, "code": code}


def test_a_profile_of_another_type_is_a_fault():
    faults = profiles.check({"resourceType": "Patient"}, profile("pathway-task"))

    assert [(fault.expression, fault.code) for fault in faults] == [("Patient", "invalid")]


def test_a_profile_is_known_by_its_url_with_and_without_a_version():
    url = canonical.structure("pathway-task")

    assert profiles.known(url) is profiles.known(f"{url}|1.0.0") is not None
    assert profiles.known(f"{url}|9") is profiles.known("https://example.org/other") is None
