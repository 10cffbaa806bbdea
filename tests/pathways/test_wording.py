"""A pathway in another of its languages: other words, and nothing else that is evaluated."""

import dataclasses

import pytest

from fhir_profiles import definitions
from pathways import catalogue, wording

WORDED = {
    "title",
    "stages",
    "rules",
    "activities",
    "sides",
    "parameters",
    "inputs",
    "gate",
    "evidence",
    "displays",
}


@pytest.fixture
def pathway():
    return catalogue.pathways()[0]


def test_every_code_of_ours_is_said_in_german():
    for system in definitions.code_systems():
        for concept in system["concept"]:
            said = [d["value"] for d in concept["designation"] if d["language"] == "de"]
            assert len(said) == 1, (system["id"], concept["code"])
            assert said[0].strip(), (system["id"], concept["code"])


def test_a_display_without_a_designation_is_as_it_is_written():
    assert definitions.displays("fr") == definitions.displays()


def test_a_pathway_is_as_it_is_defined_in_the_language_of_its_definition(pathway):
    assert wording.in_language(pathway, "en") is pathway


def test_in_another_language_only_words_differ(pathway):
    german = wording.in_language(pathway, "de")

    differing = {
        field.name
        for field in dataclasses.fields(pathway)
        if getattr(german, field.name) is not getattr(pathway, field.name)
    }
    assert differing <= WORDED
    assert german.gate.codes == pathway.gate.codes
    assert [dataclasses.replace(rule, title="", outputs=()) for rule in german.rules] == [
        dataclasses.replace(rule, title="", outputs=()) for rule in pathway.rules
    ]
    for name, parameter in german.parameters.items():
        assert dataclasses.replace(parameter, source="") == dataclasses.replace(
            pathway.parameters[name], source=""
        )


def test_every_title_is_in_the_language(pathway):
    german = wording.in_language(pathway, "de")

    assert german.stages["surgical-referral"].title == "Überweisung an die Chirurgie"
    assert german.rule("T03").title == "Konservative Therapie beginnen"
    assert german.sides["left"].coding["display"] == "Linke Hüfte"
    assert german.activities["sign-referral"].role["display"] == "Behandelnde Fachperson"
    assert german.qualifier("emergency")["display"] == "Notfall"
    answers = {
        coding["display"]
        for row in german.inputs["inputs"]
        for answer in row.get("value", {}).get("answers", ())
        for coding in answer["codes"]
        if "display" in coding
    }
    assert "Schwanger" in answers
    assert "Pregnant" not in answers
