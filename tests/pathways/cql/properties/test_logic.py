"""Three-valued logic: an unknown is either, and an answer is known when it is so for both."""

from itertools import product
from typing import Any

import pytest

from pathways import cql
from pathways.cql.comparison import both, equal, less, opposite

TRUTHS = (True, False, None)
SYSTEM = "{urn:hl7-org:elm-types:r1}"
MODELS = {
    "And": lambda left, right: left and right,
    "Or": lambda left, right: left or right,
    "Xor": lambda left, right: left is not right,
    "Implies": lambda left, right: not left or right,
}


def either(truth: bool | None) -> tuple[bool, ...]:
    return (True, False) if truth is None else (truth,)


def literal(truth: bool | None) -> dict[str, Any]:
    if truth is None:
        return {"type": "As", "operand": {"type": "Null"}, "asType": f"{SYSTEM}Boolean"}
    return {"type": "Literal", "valueType": f"{SYSTEM}Boolean", "value": str(truth).lower()}


def value(expression: dict[str, Any], moment: Any) -> Any:
    statement = {"name": "value", "context": "Patient", "expression": expression}
    return cql.load({"library": {"statements": {"def": [statement]}}}).at(moment, [])["value"]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("left", "right"), [*product(TRUTHS, TRUTHS)])
def test_an_operator_answers_what_is_so_whatever_the_unknown(
    kind: str, left: bool | None, right: bool | None, moment: Any
) -> None:
    possible = {bool(MODELS[kind](one, other)) for one in either(left) for other in either(right)}
    expected = possible.pop() if len(possible) == 1 else None

    assert value({"type": kind, "operand": [literal(left), literal(right)]}, moment) is expected


@pytest.mark.parametrize(("left", "right"), [*product(TRUTHS, TRUTHS)])
def test_negation_turns_and_into_or(left: bool | None, right: bool | None, moment: Any) -> None:
    def not_(expression: dict[str, Any]) -> dict[str, Any]:
        return {"type": "Not", "operand": expression}

    ours = {"type": "And", "operand": [literal(left), literal(right)]}
    theirs = {"type": "Or", "operand": [not_(literal(left)), not_(literal(right))]}

    assert value(not_(ours), moment) is value(theirs, moment)


@pytest.mark.parametrize("truth", TRUTHS)
def test_tests_of_truth_are_never_unknown(truth: bool | None, moment: Any) -> None:
    asked = {"IsTrue": truth is True, "IsFalse": truth is False, "IsNull": truth is None}

    for kind, expected in asked.items():
        assert value({"type": kind, "operand": literal(truth)}, moment) is expected
    assert value({"type": "Not", "operand": literal(truth)}, moment) is opposite(truth)


@pytest.mark.parametrize("answers", [list(answers) for answers in product(TRUTHS, repeat=3)])
def test_a_conjunction_of_many_is_false_before_it_is_unknown(answers: list[bool | None]) -> None:
    assert both(answers) is (False if False in answers else None if None in answers else True)


@pytest.mark.parametrize("known", [1, "a", True, cql.Date(2024), cql.Quantity(None), [1]])
def test_nothing_compares_with_null(known: Any) -> None:
    assert equal(known, None) is equal(None, known) is None
    assert less(known, None) is less(None, known) is None
