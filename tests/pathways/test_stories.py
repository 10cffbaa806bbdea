"""Patient stories against the machine alone: stages, holds, steps and outputs, complete multisets.

The stories are in tests/stories (see its README for their origin). `tests/flows` plays the same ones
against a running service.
"""

from datetime import datetime
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hapi import questions
from playing import Play, lived, play, read

from fhir_profiles import gate

STORIES = sorted((Path(__file__).parents[1] / "stories").glob("V*.json"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story_is_exact(path):
    assert play(read(path)) == []


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_evaluating_again_with_nothing_new_produces_nothing(path):
    game = Play()
    for step, _, _ in lived(read(path), game):
        again, written = game.evaluate(datetime.fromisoformat(step["advanceTo"]))

        assert again.steps == ()
        assert written == []


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_everything_written_is_valid_r4(path):
    for _, _, written in lived(read(path), Play()):
        for resource in written:
            assert gate.check(resource) == ()
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_every_provenance_names_the_versions_that_were_read(path):
    for _, _, written in lived(read(path), Play()):
        for resource in written:
            if resource["resourceType"] == "Provenance":
                sources = [entity["what"]["reference"] for entity in resource.get("entity", ())]
                assert all("/_history/" in source for source in sources)
                assert len(sources) == len(set(sources))


def test_an_issue_names_the_resource_and_its_provenance_the_version():
    story = read(Path(__file__).parents[1] / "stories" / "V119.json")
    written = [resource for *_, resources in lived(story, Play()) for resource in resources]
    issues = [resource for resource in written if resource["resourceType"] == "DetectedIssue"]
    reasons = [
        e["what"]["reference"]
        for r in written
        if r["resourceType"] == "Provenance"
        for e in r.get("entity", ())
    ]

    implicated = [each["reference"] for issue in issues for each in issue["implicated"]]
    assert implicated
    assert all(reference.count("/") == 1 for reference in implicated)
    assert all(
        any(reason.startswith(f"{reference}/_history/") for reason in reasons) for reference in implicated
    )


def test_what_a_rule_is_not_told_is_left_out():
    """FHIR has no empty text, so an empty parameter would be one thing here and another elsewhere."""
    asked = questions.asked(read(path) for path in STORIES).values()

    assert any("Item Class" in question.run.parameters for question in asked)
    assert all("" not in question.run.parameters.values() for question in asked)


def test_a_flag_ends_when_a_clinician_places_the_side_anew():
    game = Play()
    for _ in lived(read(Path(__file__).parents[1] / "stories" / "V08.json"), game):
        pass

    flags = [entry.body for entry in game.own.values() if entry.type == "Flag"]
    assert [flag["status"] for flag in flags] == ["inactive"]
    assert all("end" in flag["period"] for flag in flags)


def test_a_signed_order_names_who_signed_it():
    game = Play()
    for _ in lived(read(Path(__file__).parents[1] / "stories" / "V09.json"), game):
        pass

    (order,) = [
        e.body for e in game.own.values() if e.type == "ServiceRequest" and e.body["intent"] == "order"
    ]
    proposal = game.own[order["basedOn"][-1]["reference"]].body
    assert order["requester"]["reference"].startswith("Practitioner/")
    assert (order["code"], order["bodySite"]) == (proposal["code"], proposal["bodySite"])


def test_after_a_death_nothing_else_is_decided():
    story = read(Path(__file__).parents[1] / "stories" / "V03.json")
    game = Play()
    for item in story["steps"][0]["bundle"]["entry"]:
        if item["resource"]["resourceType"] == "Patient":
            item["resource"]["deceasedBoolean"] = True
    game.receive(story["steps"][0]["bundle"], datetime.fromisoformat(story["steps"][0]["at"]))
    outcome, written = game.evaluate(datetime.fromisoformat(story["steps"][0]["advanceTo"]))

    assert (outcome.steps, written) == ((), [])
