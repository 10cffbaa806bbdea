"""The same ELM over every story on another engine: equal values, or a difference that is explained.

`second_opinion/differences.json` has the definitions whose values differ, each with the reason from the
specification; one that no longer differs must leave it.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cql_execution
import pytest
from cql_execution import Question, alike, told

from pathways import cql

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
DIFFERENCES: dict[str, dict[str, str]] = json.loads(
    (HERE / "second_opinion" / "differences.json").read_text()
)
LIBRARIES = {
    "pathway": ROOT / "pathways" / "gluteus_medius_tear" / "rules.elm.json",
    "example": HERE / "example.elm.json",
    "elements": HERE / "fhir" / "elements.elm.json",
}

pytestmark = pytest.mark.requires("node")

Observation = Callable[..., dict[str, Any]]


def test_both_engines_agree_on_every_definition_or_the_difference_is_explained(
    moment: datetime, observation: Observation, tell: Callable[[str], None]
) -> None:
    elm = {name: json.loads(path.read_text()) for name, path in LIBRARIES.items()}
    asked = [
        *cql_execution.questions(sorted(cql_execution.STORIES.glob("V*.json"))),
        *_others(elm, moment, observation),
    ]
    answers = cql_execution.answers(elm, asked)

    compared, differ = 0, {name: set[str]() for name in LIBRARIES}
    for question, answer in zip(asked, answers, strict=True):
        for name in question.run.library.definitions:
            # The patient is the record itself, in each engine's own form.
            if name != "Patient":
                compared += 1
                if not alike(_ours(question.run, name), answer["values"][name]):
                    differ[question.library].add(name)
    tell(f"second opinion: {compared} values of {len(asked)} evaluations compared with cql-execution")
    assert {name: found for name, found in differ.items() if found} == {
        name: set(explained) for name, explained in DIFFERENCES.items() if explained
    }


def _ours(run: cql.Run, name: str) -> dict[str, Any]:
    try:
        return {"value": told(run[name])}
    except cql.EvaluationFailed as failed:
        return {"error": str(failed)}


def _others(elm: dict[str, Any], moment: datetime, observation: Observation) -> Iterator[Question]:
    beats = {"valueQuantity": {"value": 120, "code": "/min", "system": "http://unitsofmeasure.org"}}
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1970-05-05"}
    practitioner = {"resourceType": "Practitioner", "id": "known"}
    record = [
        patient,
        practitioner,
        observation("a", "pulse", "2026-03-14T08:00:00Z", **beats),
        observation("b", "dizzy", "2026-03-13T08:00:00Z", valueBoolean=True),
        observation(
            "c", "dizzy", "2026-03-12", valueBoolean=False, performer=[{"reference": "Practitioner/known"}]
        ),
        observation("d", "posture", "2026-03-11", valueCodeableConcept={"coding": [{"code": "standing"}]}),
        observation("e", "pulse", "2026-03-10", valuePeriod={"start": "2026-03-01", "end": "2026-03-02"}),
    ]
    for library, parameters in (("example", {"Place": "here"}), ("elements", {})):
        loaded = cql.load(elm[library])
        for resources in ([patient], record):
            yield Question(
                name=f"{library} of {len(resources)}",
                library=library,
                run=loaded.at(moment, resources, parameters),
            )
