"""Libraries and values made to hang, to fill the memory or to crash: a named refusal, within a second.

What is measured here is only that nothing hangs; the bound is generous.
"""

import copy
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathways import cql
from pathways.cql import units

ROOT = Path(__file__).parents[3]
MOMENT = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
PROMPT_S = 5.0
SYSTEM = "{urn:hl7-org:elm-types:r1}"

Node = dict[str, Any]


def integer(value: int) -> Node:
    return {"type": "Literal", "valueType": f"{SYSTEM}Integer", "value": str(value)}


def string(value: str) -> Node:
    return {"type": "Literal", "valueType": f"{SYSTEM}String", "value": value}


def library(expression: Any, *others: Node) -> Node:
    value = {"name": "value", "context": "Patient", "expression": expression}
    return {"library": {"identifier": {"id": "Hostile"}, "statements": {"def": [value, *others]}}}


def points(low: int, high: int | Node) -> Node:
    end = integer(high) if isinstance(high, int) else high
    interval = {"type": "Interval", "low": integer(low), "high": end}
    return {"type": "Expand", "operand": [interval, {"type": "Null"}]}


def rows(expression: Node, alias: str) -> Node:
    return {"alias": alias, "expression": expression}


@contextmanager
def promptly() -> Iterator[None]:
    begun = time.process_time()
    yield
    assert time.process_time() - begun < PROMPT_S


def failure(expression: Node) -> str:
    with promptly(), pytest.raises(cql.EvaluationFailed) as failed:
        cql.load(library(expression)).at(MOMENT, [])["value"]
    assert failed.value.definition == "value"
    return failed.value.reason


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    nested: Node = {"type": "Literal", "valueType": f"{SYSTEM}Boolean", "value": "true"}
    for _ in range(depth):
        nested = {"type": "Not", "operand": nested}

    with promptly(), pytest.raises(cql.Refused, match="nested too deeply"):
        cql.load(library(nested))


def test_a_deeply_nested_type_is_refused() -> None:
    specifier: Node = {"type": "NamedTypeSpecifier", "name": f"{SYSTEM}Integer"}
    for _ in range(100_000):
        specifier = {"type": "ListTypeSpecifier", "elementType": specifier}

    with promptly(), pytest.raises(cql.Refused, match="nested too deeply"):
        cql.load(library({"type": "Is", "operand": integer(1), "isTypeSpecifier": specifier}))


def test_a_long_chain_of_definitions_fails_by_name() -> None:
    chain = [
        {
            "name": f"D{at}",
            "context": "Patient",
            "expression": {"type": "ExpressionRef", "name": f"D{at + 1}"} if at < 20_000 else integer(1),
        }
        for at in range(20_001)
    ]

    with promptly():
        run = cql.load(library({"type": "ExpressionRef", "name": "D0"}, *chain)).at(MOMENT, [])
        assert run["D19999"] == 1
        with pytest.raises(cql.EvaluationFailed):
            run["value"]


@pytest.mark.parametrize("digits", ["9" * 100_000, "-" + "9" * 4000, "1" * 5000 + "L"])
def test_a_giant_number_is_refused(digits: str) -> None:
    for type_ in ("Integer", "Long", "Decimal"):
        literal = {"type": "Literal", "valueType": SYSTEM + type_, "value": digits}
        with promptly(), pytest.raises(cql.Refused):
            cql.load(library(literal))


def test_a_giant_text_is_only_a_text() -> None:
    with promptly():
        assert len(cql.load(library(string("a" * 10_000_000))).at(MOMENT, [])["value"]) == 10_000_000


def test_a_huge_list_is_only_a_list() -> None:
    with promptly():
        run = cql.load(library({"type": "Distinct", "operand": points(1, 50_000)})).at(MOMENT, [])
        assert len(run["value"]) == 50_000


def test_an_interval_of_too_many_points_is_not_expanded() -> None:
    assert failure(points(1, 1_000_000_000)) == "expand gives too many points"


def test_a_product_of_long_lists_is_not_begun() -> None:
    query = {
        "type": "Query",
        "source": [rows(points(1, 3000), "X"), rows(points(1, 3000), "Y")],
        "return": {"distinct": False, "expression": {"type": "AliasRef", "name": "X"}},
    }

    assert failure(query) == "more steps than an evaluation may take"


def test_lists_within_lists_are_bounded_together() -> None:
    query = {
        "type": "Query",
        "source": [rows(points(1, 5000), "X")],
        "return": {"distinct": False, "expression": points(1, {"type": "AliasRef", "name": "X"})},
    }

    assert failure(query) == "more steps than an evaluation may take"


def test_one_list_within_another_many_times_is_not_made_one() -> None:
    query = {
        "type": "Query",
        "source": [rows(points(1, 5000), "X")],
        "return": {"distinct": False, "expression": points(1, 5000)},
    }

    assert failure({"type": "Flatten", "operand": query}) == "lists too long to make one of them"


def test_values_that_must_all_be_compared_are_bounded() -> None:
    quantities = [{"type": "Quantity", "value": at, "unit": "g"} for at in range(2000)]

    reason = failure({"type": "Distinct", "operand": {"type": "List", "element": quantities}})

    assert reason == "lists too long to compare each element with each"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a?){40}a{40}", "((ab)*c?)*", r"(a*)(\1)*b"])
def test_a_pattern_that_may_never_end_is_not_tried(pattern: str) -> None:
    matches = {"type": "Matches", "operand": [string("a" * 40 + "!"), string(pattern)]}

    assert failure(matches) in (
        "a pattern with a choice or a repetition inside a repetition",
        "a pattern that may take too long for its text",
    )


@pytest.mark.parametrize("pattern", ["a*a*a*a*a*b", "a?" * 40 + "a" * 40, ".*x.*y.*z.*"])
def test_a_pattern_is_tried_on_short_texts_only_if_it_is_slow(pattern: str) -> None:
    def on(text: str) -> Node:
        return {"type": "Matches", "operand": [string(text), string(pattern)]}

    assert failure(on("a" * 1000)) == "a pattern that may take too long for its text"
    if "?" not in pattern:
        with promptly():
            assert cql.load(library(on("aaaaab"))).at(MOMENT, [])["value"] in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        (r"[0-9]{3}-[0-9]{4}", "555-0100", True),
        (r"(\d{2}){3}", "123456", True),
        (r"(?:left|right) hip", "left hip", True),
        (r"[(a+)+]*", "(+)a", True),
        (r"\(a\+\)\+", "(a+)+", True),
        (r"\w+@\w+\.org", "someone@example.com", False),
    ],
)
def test_usual_patterns_are_tried(pattern: str, text: str, whole: bool) -> None:
    matches = {"type": "Matches", "operand": [string(text), string(pattern)]}

    assert cql.load(library(matches)).at(MOMENT, [])["value"] is whole


@pytest.mark.parametrize(
    ("kind", "operands"),
    [
        ("Power", [integer(2), integer(1_000_000)]),
        ("Power", [integer(-2), integer(2_000_000_000)]),
        ("Multiply", [integer(2_000_000_000), integer(2_000_000_000)]),
    ],
)
def test_a_number_out_of_range_is_null(kind: str, operands: list[Node]) -> None:
    with promptly():
        assert cql.load(library({"type": kind, "operand": operands})).at(MOMENT, [])["value"] is None


EXAMPLES = [
    json.loads(path.read_text())
    for path in (
        Path(__file__).with_name("example.elm.json"),
        ROOT / "pathways" / "gluteus_medius_tear" / "rules.elm.json",
    )
]
JUNK = [None, True, 0, -1, 1.5, "", "x", [], {}, [None], {"type": "Null"}, {"type": "x"}, [[]]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, len(EXAMPLES) - 1), st.integers(0, 2**32))
def test_mutilated_elm_is_refused_or_still_answers_by_name(which: int, seed: int) -> None:
    elm = copy.deepcopy(EXAMPLES[which])
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        mutilate(elm["library"], chance)

    with promptly():
        try:
            loaded = cql.load(elm)
            run = loaded.at(MOMENT, [])
        except (cql.Refused, cql.EvaluationFailed):
            return
        for name in loaded.definitions:
            with suppress(cql.EvaluationFailed):
                run[name]


def mutilate(library: Node, chance: random.Random) -> None:
    """Take away, replace or add something at a random place of the library."""
    places = [place for place in containers(library) if place]
    place = chance.choice(places)
    key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
    match chance.randrange(4):
        case 0:
            del place[key]
        case 1:
            place[key] = copy.deepcopy(chance.choice(JUNK))
        case 2:
            place[key] = copy.deepcopy(chance.choice(places))
        case 3 if isinstance(place, dict):
            place["surprise"] = True
        case _:
            place.append(copy.deepcopy(chance.choice(JUNK)))


def containers(node: Any) -> Iterator[Any]:
    if isinstance(node, (dict, list)):
        yield node
        for part in node.values() if isinstance(node, dict) else node:
            yield from containers(part)


@pytest.mark.parametrize(
    "unit", ["10*999999999", "m-999999999", "(" * 10_000 + "m" + ")" * 10_000, "m." * 5000 + "m"]
)
def test_a_unit_from_a_record_that_would_take_all_memory_does_not_convert(unit: str) -> None:
    with promptly():
        assert units.converted(Decimal(1), unit, "g") is None
        assert units.known(unit) is (len(unit) < 20_000 and unit.startswith("m."))
