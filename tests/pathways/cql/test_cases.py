"""Every operator as the CQL reference has it, in cases of our own (see `cql_cases`)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import cql_cases
import pytest
from cql_cases import Case, alike

from pathways import cql
from pathways.cql.compiler import NODES
from pathways.cql.translate import translate_texts
from pathways.cql.values import Vocabulary

MOMENT = datetime(2026, 3, 14, 9, 26, 53, 589_000, tzinfo=UTC)
HERE = Path(__file__).parent

SYSTEM = "{urn:hl7-org:elm-types:r1}"


def integer(value: int) -> dict[str, Any]:
    return {"type": "Literal", "valueType": f"{SYSTEM}Integer", "value": str(value)}


def each(kind: str, part: str, expression: dict[str, Any]) -> dict[str, Any]:
    numbers = {"type": "List", "element": [integer(5), integer(7)]}
    return {"type": kind, "source": numbers, part: expression, "scope": "$this"}


THIS = {"type": "Current", "scope": "$this"}
CODE = {
    "type": "Instance",
    "classType": f"{SYSTEM}Code",
    "element": [{"name": "code", "value": {"type": "Literal", "valueType": f"{SYSTEM}String", "value": "a"}}],
}

#: nodes that the translator never writes: an expression, and what it is
BY_HAND: dict[str, tuple[dict[str, Any], Any]] = {
    "NotEqual": ({"type": "NotEqual", "operand": [integer(1), integer(2)]}, True),
    "Convert": ({"type": "Convert", "operand": integer(1), "toType": f"{SYSTEM}Decimal"}, Decimal(1)),
    "CanConvert": ({"type": "CanConvert", "operand": integer(1), "toType": f"{SYSTEM}Decimal"}, True),
    "ConvertsToConcept": ({"type": "ConvertsToConcept", "operand": CODE}, True),
    "ForEach": (each("ForEach", "element", {"type": "Negate", "operand": THIS}), [-5, -7]),
    "Current": (each("ForEach", "element", THIS), [5, 7]),
    "Iteration": (each("ForEach", "element", {"type": "Iteration"}), [0, 1]),
    "Filter": (each("Filter", "condition", {"type": "Greater", "operand": [THIS, integer(5)]}), [7]),
    "Total": (
        {
            "type": "Query",
            "source": [{"alias": "X", "expression": {"type": "List", "element": [integer(2), integer(3)]}}],
            "aggregate": {
                "identifier": "$total",
                "starting": integer(10),
                "expression": {
                    "type": "Add",
                    "operand": [{"type": "Total"}, {"type": "AliasRef", "name": "X"}],
                },
            },
        },
        15,
    ),
    "CodeSystemRef": (
        {"type": "CodeSystemRef", "name": "Colours"},
        Vocabulary("CodeSystem", "https://example.org/colours", None),
    ),
}


@pytest.fixture(scope="module")
def runs() -> dict[str, cql.Run]:
    return {section: cql_cases.library(section).at(MOMENT, []) for section in cql_cases.sections()}


CASES = [case for section in cql_cases.sections() for case in cql_cases.cases(section)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.line}")
def test_an_expression_is_what_the_reference_says(case: Case, runs: dict[str, cql.Run]) -> None:
    run = runs[case.section]
    if case.error is not None:
        with pytest.raises(cql.EvaluationFailed) as failed:
            run[case.name]
        assert failed.value.reason == (case.error or failed.value.reason)
        return
    value, expected = run[case.name], run[f"{case.name} is"]

    assert alike(value, expected), f"{case.expression} is {value!r}, not {expected!r}"


@pytest.mark.parametrize("section", cql_cases.sections())
def test_the_cases_are_the_translation_of_their_lines(section: str) -> None:
    assert cql.matches(cql_cases.elm(section), cql_cases.text(section))


@pytest.mark.requires("node")
def test_the_cases_translate_as_they_lie_here() -> None:
    texts = [cql_cases.text(section) for section in cql_cases.sections()]

    for section, answer in zip(cql_cases.sections(), translate_texts(texts), strict=True):
        assert answer["elm"]["library"] == cql_cases.elm(section)["library"], section


def test_every_node_is_in_a_case_or_tried_by_hand() -> None:
    tried = {kind for path in HERE.glob("**/*.elm.json") for kind in _kinds(json.loads(path.read_text()))}

    assert NODES.keys() - tried == BY_HAND.keys()


@pytest.mark.parametrize(("expression", "value"), BY_HAND.values(), ids=BY_HAND)
def test_what_the_translator_never_writes_is_evaluated_too(expression: dict[str, Any], value: Any) -> None:
    elm = {
        "library": {
            "codeSystems": {"def": [{"name": "Colours", "id": "https://example.org/colours"}]},
            "statements": {"def": [{"name": "value", "context": "Patient", "expression": expression}]},
        }
    }

    assert cql.load(elm).at(MOMENT, [])["value"] == value


def _kinds(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _kinds(part)
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node["type"]
        for part in node.values():
            yield from _kinds(part)
