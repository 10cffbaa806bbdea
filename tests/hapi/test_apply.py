"""PlanDefinition/$apply of the reference implementation finds the same actions applicable as we do.

It reads the plan itself: which conditions an action has, that all of them must hold, and which library they
name. What follows, stages, effects and memory, is no part of $apply and is not compared.

https://hl7.org/fhir/R4/plandefinition-operation-apply.html
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playing import Json, read

from fhir_profiles import reading
from hapi import questions
from hapi.questions import Question
from pathways import catalogue
from pathways.judge import met

pytestmark = pytest.mark.requires("hapi")

PATHWAY = catalogue.pathways()[0]
STORIES = Path(__file__).parents[1] / "stories"
#: together they are in most stages, and half of the rules apply somewhere in them
CHOSEN = ("V08", "V29", "V79", "V82")
CONNECTIONS = 2

#: R4 has no kind for an issue or a flag, which are no requests; this implementation wants one all the same.
NO_KIND = '"org.hl7.fhir.r4.model.ActivityDefinition.getKind()" is null'

#: of a question about one order, Task or decision: the plan as a whole is asked without
OF_ONE = frozenset({"Item Kind", "Item Class", "Decision Stage"})


def test_the_same_actions_apply_in_every_step_of_some_stories(hapi: httpx.Client):
    asked = list(
        _last_of_each_step(questions.asked(read(STORIES / f"{name}.json") for name in CHOSEN).values())
    )
    assert {question.story for question in asked} == set(CHOSEN)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(lambda question: _applied(hapi, question), asked))

    seen: set[str] = set()
    for question, found in zip(asked, answers, strict=True):
        ours = {rule.id for rule in PATHWAY.rules if met(question.run, rule)}
        assert found == ours, f"{question.story} step {question.step}"
        seen |= found
    # What applies never, or always, compares little.
    assert 30 < len(seen) < len(PATHWAY.rules)


def _last_of_each_step(asked: Iterable[Question]) -> Iterator[Question]:
    last = {(q.story, q.step): q for q in asked if not OF_ONE & q.run.parameters.keys()}
    yield from last.values()


def _applied(hapi: httpx.Client, question: Question) -> set[str]:
    """Return the ids of the rules whose actions another engine finds applicable."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueString": f"Patient/{question.patient}"},
            {"name": "parameters", "resource": questions.given(question.run)},
            {"name": "useServerData", "valueBoolean": False},
            {"name": "data", "resource": questions.data(question)},
        ],
    }
    answer = hapi.post(f"/PlanDefinition/{PATHWAY.name}/$apply", content=reading.write(body))
    assert answer.status_code == httpx.codes.OK, answer.text
    contained = answer.json()["contained"]
    # An error in a condition reads as "not applicable" there; it is told only here.
    issues = [i for each in contained if each["resourceType"] == "OperationOutcome" for i in each["issue"]]
    assert [issue for issue in issues if NO_KIND not in issue["diagnostics"]] == []
    # An order set is a plan of its own, with a group of its own.
    (group,) = (e for e in contained if (e["resourceType"], e["id"]) == ("RequestGroup", PATHWAY.name))
    return set(_ids(group["action"])) & {rule.id for rule in PATHWAY.rules}


def _ids(actions: Iterable[Json]) -> Iterator[str]:
    for action in actions:
        yield action.get("id", "")
        yield from _ids(action.get("action", ()))
