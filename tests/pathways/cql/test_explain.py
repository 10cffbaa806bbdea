"""Why a definition has its value, as a tree a clinician can read."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pathways import cql
from pathways.cql import rendering

Observation = Callable[..., dict[str, Any]]
PLACE = {"Place": "here"}


def beats(value: int) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "code": "/min", "system": "http://unitsofmeasure.org"}}


def texts(tree: dict[str, Any]) -> list[str]:
    return [tree["text"], *(text for reason in tree["because"] for text in texts(reason))]


def found(tree: dict[str, Any], text: str) -> dict[str, Any]:
    if tree["text"] == text:
        return tree
    return next((hit for reason in tree["because"] if (hit := found(reason, text))), {})


def test_a_true_choice_is_told_by_what_made_it_true(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    run = example.at(moment, [observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120))], PLACE)

    tree = run.explain("Either")

    assert tree["result"] is True
    assert [reason["text"] for reason in tree["because"]] == ["The pulse is fast"]
    assert tree["sources"] == ["Observation/one/_history/3"]


def test_a_false_conjunction_is_told_by_what_made_it_false(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120)),
        observation("two", "dizzy", "2026-03-14T08:00:00Z", valueBoolean=False),
    ]

    tree = example.at(moment, records, PLACE).explain("Unwell")

    assert tree["result"] is False
    assert [reason["text"] for reason in tree["because"]] == ["The patient feels dizzy"]
    assert tree["sources"] == ["Observation/two/_history/3"]


def test_an_unknown_answer_says_what_was_looked_for_and_not_stored(
    example: cql.Library, moment: datetime
) -> None:
    tree = example.at(moment, [], PLACE).explain("Fast")

    assert tree["result"] is None
    assert found(tree, "Observation pulse")["value"] == "none stored"
    assert tree["sources"] == []


def test_what_is_stored_and_does_not_count_is_told_apart_from_nothing(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    old = observation("one", "pulse", "2025-01-01T08:00:00Z", **beats(120))

    tree = example.at(moment, [old], PLACE).explain("Fast")

    assert found(tree, "Observation pulse")["value"] == "1 stored, none valid for this side and time"
    assert tree["sources"] == []


def test_a_comparison_shows_the_value_and_the_limit(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    run = example.at(moment, [observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120))], PLACE)

    tree = run.explain("Fast")

    assert tree["text"] == "The pulse is fast"
    assert found(tree, "fast")["value"] == 100
    assert found(tree, "Pulse amount")["value"] == "120"


def test_a_definition_is_opened_once(example: cql.Library, moment: datetime) -> None:
    tree = example.at(moment, [], PLACE).explain("Known to be well")

    assert texts(tree).count("Observation pulse") == 1


def test_every_definition_can_be_explained_in_plain_json(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        {"resourceType": "Patient", "id": "p", "birthDate": "2000-01-01"},
        observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120)),
        observation("two", "dizzy", "2026-03-14T08:00:00Z", valueBoolean=True),
    ]
    run = example.at(moment, records, {**PLACE, "Since": "2026-01-01"})

    for name in example.definitions:
        json.dumps(run.explain(name))


def test_a_tree_is_told_as_a_sentence_and_as_lists_and_loses_no_source(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120)),
        observation("two", "dizzy", "2026-03-14T08:00:00Z", valueBoolean=True),
    ]

    tree = example.at(moment, records, PLACE).explain("Unwell")

    assert rendering.sentence(tree) == (
        "Unwell: true, because The pulse is fast: true; The patient feels dizzy: true "
        "(from Observation/one/_history/3, Observation/two/_history/3)."
    )
    outline = rendering.outline(tree)
    assert outline.splitlines()[0] == "- Unwell: true"
    assert "\n  - The pulse is fast: true\n" in outline
    assert all(outline.count(f"[{source}]") >= 1 for source in tree["sources"])


def test_what_is_not_known_is_told_with_what_was_looked_for(example: cql.Library, moment: datetime) -> None:
    tree = example.at(moment, [], PLACE).explain("Fast")

    assert rendering.sentence(tree).startswith("The pulse is fast: unknown, because ")
    assert "none stored" in rendering.outline(tree)


def test_the_same_input_has_the_same_tree_whatever_the_order_of_its_elements(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        observation("one", "pulse", "2026-03-14T08:00:00Z", **beats(120)),
        observation("two", "dizzy", "2026-03-13T08:00:00Z", valueBoolean=True),
    ]
    turned = [dict(reversed(record.items())) for record in records]
    trees = [
        {name: run.explain(name) for name in example.definitions}
        for run in (example.at(moment, each, PLACE) for each in (records, records, turned))
    ]

    assert trees[0] == trees[1] == trees[2]
    assert json.loads(json.dumps(trees[0])) == trees[0]
