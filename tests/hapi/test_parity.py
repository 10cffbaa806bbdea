"""Another CQL engine, given the same inputs, instant and parameters, has the same answers.

Every question that the rules are asked while the stories are played is asked of both engines: of ours, and
by `Library/$evaluate` of the reference implementation, which translates the same CQL by itself. All
definitions are compared, not only the conditions of the plan.

https://hl7.org/fhir/uv/cql/OperationDefinition-cql-library-evaluate.html
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from playing import read

from fhir_profiles import reading
from hapi import answers, questions
from hapi.questions import Question
from pathways import catalogue

pytestmark = pytest.mark.requires("hapi")

PATHWAY = catalogue.pathways()[0]
LIBRARY = PATHWAY.library
TYPES = {name: LIBRARY.result_type(name) for name in LIBRARY.definitions}
STORIES = sorted((Path(__file__).parents[1] / "stories").glob("V*.json"))
CONNECTIONS = 3

#: each question of that many is asked about all definitions
WHOLE = 10

#: Where these are known they hold parts of an Observation, which no Parameters resource can carry; what
#: follows from them is compared.
PARTLY = frozenset(
    {
        *("Last MRI", "MRI that counts", "Last ultrasound", "Ultrasound that counts"),
        *("Parts of the image", "Onset finding"),
    }
)


def test_every_definition_has_the_same_value_in_every_step_of_every_story(hapi: httpx.Client):
    asked = list(questions.new(questions.asked(map(read, STORIES)).values(), TYPES, whole=WHOLE))
    assert {question.story for question, _ in asked} == {path.stem for path in STORIES}
    known = [(q, [name for name in names if answers.travels(q.run[name])]) for q, names in asked]
    compared: Counter[str] = Counter()
    differ: dict[str, str] = {}

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for (question, names), answer in zip(
            known, pool.map(lambda k: _answer(hapi, *k), known), strict=True
        ):
            told = answers.theirs(answer, TYPES)
            assert told.keys() == set(names)
            for name, there in told.items():
                here = answers.ours(question.run[name])
                compared[name] += 1
                if (type(here), here) != (type(there), there):
                    where = f"{name}, {question.story} step {question.step}"
                    differ.setdefault(name, f"{where}: {here!r} here, {there!r} there")

    assert list(differ.values()) == []
    # Each definition was asked about, and in many circumstances.
    assert compared.keys() == TYPES.keys()
    assert compared.total() > 80 * len(known)
    assert {n for q, names in asked for n in names if not answers.travels(q.run[n])} == PARTLY


def test_no_condition_of_the_plan_is_held_back():
    conditions = {name for rule in PATHWAY.rules for name in rule.conditions}

    assert conditions
    assert not conditions & PARTLY


def _answer(hapi: httpx.Client, question: Question, names: list[str]) -> dict[str, Any]:
    asked = reading.write(questions.body(question, names))
    answer = hapi.post(f"/Library/{LIBRARY.name}/$evaluate", content=asked)
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return told
