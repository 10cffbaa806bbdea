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
from playing import read

from fhir_profiles import reading
from hapi import applying, questions
from hapi.questions import Question
from pathways import catalogue
from pathways.judge import met

pytestmark = pytest.mark.requires("hapi")

PATHWAY = catalogue.pathways()[0]
STORIES = Path(__file__).parents[1] / "stories"
#: together they are in most stages, and half of the rules apply somewhere in them
CHOSEN = ("V08", "V29", "V79", "V82")
CONNECTIONS = 2


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
    last = {(q.story, q.step): q for q in asked if q.whole}
    yield from last.values()


def _applied(hapi: httpx.Client, question: Question) -> set[str]:
    answer = hapi.post(
        f"/PlanDefinition/{PATHWAY.name}/$apply", content=reading.write(questions.body(question))
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return applying.applicable(answer.json(), PATHWAY)
