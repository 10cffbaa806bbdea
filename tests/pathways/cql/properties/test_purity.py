"""Evaluation changes nothing it is given, gives the same again, and may be done by many threads at once."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cql_execution
import pytest
from cql_execution import Question

from pathways import cql

STORIES = [cql_execution.STORIES / f"{name}.json" for name in ("V02", "V10", "V24", "V57", "V72")]


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    return list(cql_execution.questions(path for path in STORIES if path.exists()))


def everything(run: cql.Run) -> dict[str, Any]:
    """Return the value of each definition, and why, over records indexed anew."""
    fresh = run.over(cql.Records(run.records.all))
    return {name: (repr(fresh[name]), fresh.explain(name)) for name in fresh.library.definitions}


def test_the_stories_ask_enough(asked: list[Question]) -> None:
    assert len(asked) > 30
    assert len({name for question in asked for name in question.run.library.definitions}) > 200


def test_nothing_that_is_read_is_changed(asked: list[Question]) -> None:
    before = copy.deepcopy([question.run.records.all for question in asked])
    parameters = repr([question.run.parameters for question in asked])

    for question in asked:
        everything(question.run)

    assert [question.run.records.all for question in asked] == before
    assert repr([question.run.parameters for question in asked]) == parameters


def test_loading_does_not_change_the_elm() -> None:
    path = Path(__file__).parents[1] / "example.elm.json"
    elm = json.loads(path.read_text())
    cql.load(elm)

    assert elm == json.loads(path.read_text())


def test_the_same_question_has_the_same_answer(asked: list[Question]) -> None:
    for question in asked[::4]:
        assert everything(question.run) == everything(question.run)


def test_an_explanation_does_not_depend_on_what_was_explained_before(asked: list[Question]) -> None:
    for question in asked[::8]:
        run = question.run.over(cql.Records(question.run.records.all))
        together = [run.explain(name) for name in run.library.definitions]
        backwards = question.run.over(cql.Records(question.run.records.all))
        turned = [backwards.explain(name) for name in reversed(run.library.definitions)]
        alone = [run.over(run.records).explain(name) for name in run.library.definitions]

        assert together == alone
        assert turned[::-1] == alone


def test_many_threads_share_a_library(asked: list[Question]) -> None:
    alone = [everything(question.run) for question in asked]

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda question: everything(question.run), asked * 3))

    assert together == alone * 3


def test_many_threads_share_the_records(asked: list[Question]) -> None:
    run = asked[-1].run
    expected = everything(run)
    shared = cql.Records(run.records.all)

    def evaluated(_: int) -> dict[str, Any]:
        own = run.over(shared)
        return {name: (repr(own[name]), own.explain(name)) for name in own.library.definitions}

    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(evaluated, range(24)))
