"""What the engine writes: valid by the gate and by the models of fhir.resources, or refused."""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from playing import Play, lived, read
from pydantic import ValidationError

from service import outputs

STORIES = Path(__file__).parents[1] / "stories"

#: stands in place of a text; some of them are wrong wherever they stand, others as a time, an id or a code
TEXTS = (
    *("", " ", " led", "x y", "\n", "a\x00b", "i" * 70, "not/valid$", "http://a b", "24:00:00"),
    *("2026-1", "2026-02-30", "2026-13-01T00:00:00Z", "2026-02-30T10:00:00Z", "2026-01-01T10:00:00"),
)
NUMBERS = (-1, 0, 2**40)

#: what the stories played here write
TYPES = (
    *("AuditEvent", "CarePlan", "CommunicationRequest", "Condition", "Device", "Goal", "Provenance"),
    *("ServiceRequest", "Task"),
)

Json = dict[str, Any]
Place = tuple[str | int, ...]


@cache
def written() -> tuple[Json, ...]:
    """Return the longest output of each type in some of the stories."""
    found: dict[str, Json] = {}
    for story in ("V01", "V05", "V10"):
        for _, _, bodies in lived(read(STORIES / f"{story}.json"), Play()):
            for body in bodies:
                found[body["resourceType"]] = max(body, found.get(body["resourceType"], {}), key=len)
    return tuple(found.values())


def leaves(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for step, value in pairs:
        if isinstance(value, dict | list):
            yield from leaves(value, (*place, step))
        else:
            yield (*place, step), value


def with_other(resource: Json, place: Place, value: Any) -> Json:
    changed = copy.deepcopy(resource)
    node: Any = changed
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    return changed


def valid_by_model(resource: Json) -> bool:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError:
        return False
    return True


def refused(resource: Json) -> bool:
    try:
        outputs.check(resource)
    except outputs.NotRenderable:
        return True
    return False


def one(type_: str) -> Json:
    return copy.deepcopy(next(body for body in written() if body["resourceType"] == type_))


def test_the_outputs_of_the_stories_are_valid():
    assert sorted(resource["resourceType"] for resource in written()) == sorted(TYPES)
    for resource in written():
        outputs.check(resource)


@pytest.mark.parametrize("type_", TYPES)
def test_no_value_that_the_model_refuses_passes_because_its_shape_is_known(type_):
    resource = one(type_)
    outputs.check(resource)
    tried = refusals = 0
    for place, value in leaves(resource):
        if place == ("resourceType",) or isinstance(value, bool):
            continue
        for other in TEXTS if isinstance(value, str) else NUMBERS:
            spoilt = with_other(resource, place, other)
            tried += 1
            if not valid_by_model(spoilt):
                refusals += 1
                assert refused(spoilt), (place, other)
    assert tried > refusals > 10


def test_a_known_shape_with_one_element_less_is_judged_anew():
    task = one("Task")
    outputs.check(task)
    del task["intent"]
    assert refused(task)


def test_a_known_shape_with_two_values_of_a_choice_is_judged_anew():
    request = one("ServiceRequest")
    request["occurrenceDateTime"] = "2026-01-01"
    outputs.check(request)
    request["occurrencePeriod"] = {"start": "2026-01-01"}
    assert refused(request)


def test_a_value_of_another_kind_is_judged_anew():
    task = one("Task")
    outputs.check(task)
    task["description"] = 7
    assert refused(task)


def test_an_inner_resource_of_another_type_is_judged_anew():
    task = one("Task")
    task["contained"] = [{"resourceType": "Patient", "id": "p", "active": True}]
    outputs.check(task)
    task["contained"] = [{"resourceType": "Observation", "id": "p", "active": True}]
    assert refused(task)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Return the types whose models have been asked since, nothing being known before."""
    types: list[str] = []

    def noted(type_: str) -> Any:
        types.append(type_)
        return get_fhir_model_class(type_)

    monkeypatch.setattr(outputs, "get_fhir_model_class", noted)
    monkeypatch.setattr(outputs, "_valid", set())
    return types


def test_the_model_is_asked_once_for_a_shape(asked):
    task = one("Task")
    outputs.check(task)
    outputs.check({**task, "id": "another", "authoredOn": "2030-01-01"})
    assert asked == ["Task"]


@pytest.mark.parametrize(
    "change",
    [
        {"groupIdentifier": {"value": "x"}},
        {"restriction": {"repetitions": 1}},
        {"input": [{"type": {"text": "x"}, "valueDecimal": 1.5}]},
        {"contained": [{"resourceType": "Patient", "id": "p"}]},
    ],
)
def test_the_model_is_asked_again_for_another_shape(asked, change):
    task = one("Task")
    outputs.check(task)
    outputs.check({**task, **change})
    outputs.check({**task, **change})
    assert asked == ["Task", "Task"]


def test_the_model_is_asked_again_for_an_inner_resource_of_another_type(asked):
    for type_ in ("Patient", "Person"):
        outputs.check({**one("Task"), "contained": [{"resourceType": type_, "id": "p"}]})
    assert asked == ["Task", "Task"]


def test_the_model_is_asked_each_time_about_what_is_no_json(asked):
    for _ in range(2):
        outputs.check({**one("Task"), "note": ({"text": "x"},)})
    assert asked == ["Task", "Task"]


def test_the_model_is_asked_again_for_a_number_of_another_sign(asked):
    for count in (1, 2, -1):
        outputs.check({**one("Task"), "input": [{"type": {"text": "x"}, "valueInteger": count}]})
    assert asked == ["Task", "Task"]


def test_a_shape_that_was_forgotten_is_judged_anew(monkeypatch):
    monkeypatch.setattr(outputs, "_MOST_SHAPES", 1)
    for resource in written() * 2:
        outputs.check(resource)
        assert refused({**resource, "unknown": "x"})


def test_a_refusal_names_the_output_and_the_places_but_no_value():
    task = one("Task")
    task["authoredOn"] = "the day of the fall"
    with pytest.raises(outputs.NotRenderable) as refusal:
        outputs.check(task)
    assert str(refusal.value).startswith(f"Task/{task['id']}: ")
    assert "authoredOn" in str(refusal.value)
    assert "fall" not in str(refusal.value)
