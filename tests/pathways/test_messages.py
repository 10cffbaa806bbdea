"""Messages to patients are in a language they speak, as their record says; everything else is as it was."""

import json
from pathlib import Path

import pytest
from playing import Play, lived, read

from pathways import catalogue, narrative

STORIES = Path(__file__).parents[1] / "stories"
BCP_47 = "urn:ietf:bcp:47"


def spoken(*codes, preferred=None):
    return [
        {"language": {"coding": [{"system": BCP_47, "code": code}]}}
        | ({"preferred": True} if code == preferred else {})
        for code in codes
    ]


def messages(name, communication):
    """Return the messages of a story to its patient, who speaks these languages, and to others."""
    story = read(STORIES / f"{name}.json")
    for step in story["steps"]:
        for entry in (step["bundle"] or {"entry": ()})["entry"]:
            if entry["resource"]["resourceType"] == "Patient" and communication:
                entry["resource"]["communication"] = communication
    game = Play()
    for _ in lived(story, game):
        pass
    found = [e.body for e in game.own.values() if e.type == "CommunicationRequest"]
    to_patient = [m for m in found if m["recipient"][0].get("reference", "").startswith("Patient/")]
    return to_patient, [m for m in found if m not in to_patient]


@pytest.mark.parametrize(
    ("communication", "language"),
    [
        pytest.param((), "en", id="nothing is said"),
        pytest.param(spoken("de"), "de", id="German"),
        pytest.param(spoken("de-AT"), "de", id="German of Austria"),
        pytest.param(spoken("tr", "de"), "de", id="the first that is spoken here"),
        pytest.param(spoken("de", "en"), "de", id="in the order of the record"),
        pytest.param(spoken("de", "en", preferred="en"), "en", id="the preferred one first"),
        pytest.param(spoken("tr"), "en", id="none that is spoken here"),
        pytest.param([{"language": {"text": "Deutsch"}}], "en", id="no code"),
    ],
)
def test_the_language_is_that_of_the_patient(communication, language):
    assert narrative.language(catalogue.pathways()[0], {"communication": communication}) == language


def test_a_patient_who_speaks_german_is_written_to_in_german_and_the_team_in_english():
    to_patient, to_team = messages("V08", spoken("tr", "de-DE", preferred="de-DE"))

    assert to_patient
    assert {message["language"] for message in to_patient} == {"de"}
    for message in to_patient:
        text = message["payload"][0]["contentString"]
        assert "Hüfte" in text
        assert "hip" not in text
    assert all("language" not in message for message in to_team)
    assert "ü" not in json.dumps(to_team, ensure_ascii=False)


def test_of_the_same_patient_only_the_words_of_messages_differ():
    german, _ = messages("V08", spoken("de"))
    english, _ = messages("V08", ())

    assert [m["id"] for m in german] == [m["id"] for m in english]
    assert not any("language" in m for m in english)
    for one, other in zip(german, english, strict=True):
        assert one["payload"] != other["payload"]
        assert {k: v for k, v in one.items() if k not in ("payload", "language")} == {
            k: v for k, v in other.items() if k not in ("payload", "language")
        }
