"""The examples of the document are parts of the example visits, and nobody can be recognised by them."""

import json
from pathlib import Path

import nameless
import pytest

from service.openapi import bodies

EXAMPLES = Path(bodies.__file__).with_name("examples")
VISIT = Path(__file__).parents[2] / "examples" / "01-new-referral-visit.json"
#: elements in which a person is named, and texts of the visit that name one
PERSONAL = (
    "birthDate",
    "address",
    "telecom",
    "family",
    "given",
    "Lindholm",
    "00471133",
    "1966",
    "Berg",
    "Sommer",
)


def test_the_visit_is_the_beginning_of_an_example_without_whom_it_is_about():
    visit = json.loads(VISIT.read_bytes())

    assert bodies.example("visit") == nameless.visit(visit, ("Patient", "Observation"), 3)


@pytest.mark.parametrize("file", sorted(EXAMPLES.iterdir()), ids=lambda file: file.stem)
def test_no_example_names_a_person(file):
    text = file.read_text()

    assert [word for word in PERSONAL if word in text] == []
