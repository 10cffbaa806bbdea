"""The stories with one thing changed at a time, at each of their steps (SP-17, 18, 24 and 25).

A story says what must happen; these say what must not, when a side is missing, an input was never there, is
withdrawn, or a red flag comes. Each test branches off at a step and leaves the story as it is.
"""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from branching import LOCAL, STORIES, Point, finding, points, ways_out
from msgspec import structs
from playing import Play, moves, number, told
from withdrawn import CORRECTED, made, silently_kept, unfounded, version

from pathways import basis
from pathways.inputs import Fact
from pathways.steps import PERSON, Outcome, Step

SNOMED = "http://snomed.info/sct"
OTHER = {"left": "right", "right": "left"}
#: how many inputs are withdrawn after each step, drawn from a seed of the step
WITHDRAWN = 3

Json = dict[str, Any]
every_story = pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)


def facts(game: Play, at: datetime) -> tuple[Fact, ...]:
    """Return what counts, with its sides."""
    case = game.case(at)
    return game.pathway.gate.read(case.record, at.tzinfo).facts


def changed(bundle: Json, references: set[str], change: Any) -> Json:
    """Return the Bundle with these resources changed."""
    copy = deepcopy(bundle)
    for entry in copy["entry"]:
        resource = entry["resource"]
        if f"{resource['resourceType']}/{resource['id']}" in references:
            change(resource)
    return copy


def without_a_side(resource: Json) -> None:
    resource.pop("bodySite", None)
    resource["extension"] = []


def sided(code: str, *, says: str | None = None) -> Any:
    """Return what gives a resource this side, and by an extension perhaps another."""
    site: Json = {"coding": [{"system": LOCAL, "code": f"hip-{code}"}]}
    if says:
        url = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
        qualifier = {"coding": [{"system": SNOMED, "code": {"left": "7771000", "right": "24028007"}[says]}]}
        site["extension"] = [{"url": url, "valueCodeableConcept": qualifier}]

    def change(resource: Json) -> None:
        without_a_side(resource)
        resource["bodySite"] = [site] if resource["resourceType"] == "Procedure" else site

    return change


def withdrawn(resource: Json) -> None:
    resource["status"] = "entered-in-error"


@every_story
def test_evidence_without_a_side_or_of_another_moves_a_hip_no_further_than_none(path: Path) -> None:
    for point in points(path):
        if not point.bundle:
            continue
        brought = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in point.bundle["entry"]}
        for side, other in OTHER.items():
            # A red flag needs no side: without one it concerns the person (3.3).
            evidence = {
                fact.entry.reference
                for fact in facts(point.after, point.evaluated)
                if fact.sides == {side} and fact.entry.reference in brought
            }
            if not evidence:
                continue
            plain = changed(point.bundle, {e for e in evidence if _red_flag(point, e)}, withdrawn)
            rest = {e for e in evidence if not _red_flag(point, e)}
            none, _ = point.again(changed(plain, rest, withdrawn))
            for name, change in (
                ("no side", without_a_side),
                ("the other side", sided(other)),
                ("both sides named", sided(side, says=other)),
            ):
                game, outcome = point.again(changed(plain, rest, change))
                assert _place(game, side) == _place(none, side), (name, point.at)
                _every_output_has_its_side(outcome)


def _red_flag(point: Point, reference: str) -> bool:
    return "red-flag-" in json.dumps(point.after.entries[reference].body["code"], default=number)


def _place(game: Play, side: str) -> Any:
    """Return the stage of a hip and the orders that are made for it."""
    memory = game.memories.get(side)
    return memory and (memory.stage, sorted((order.kind, order.state) for order in memory.orders))


def _every_output_has_its_side(outcome: Outcome) -> None:
    for step in outcome.steps:
        for one in step.raised:
            if one.activity.resource == "ServiceRequest":
                assert step.instance in OTHER


@every_story
def test_without_an_input_it_rests_on_a_step_is_not_taken_or_says_what_is_missing(path: Path) -> None:
    for point in points(path):
        for step in point.outcome.steps:
            if step.instance not in OTHER or not _transition(point.after, step):
                continue
            for title in sorted({fact.title for fact in basis.used(step)}):
                _without(point, step, title)


def _transition(game: Play, step: Step) -> bool:
    """Return whether the step is a transition of the plan out of a stage, not a correction or a decision."""
    known = step.action in {rule.id for rule in game.pathway.of_kind("transition")}
    return known and step.moved and bool(step.conditions) and step.before.stage is not None


def _without(point: Point, step: Step, title: str) -> None:
    """Check the step where no input of this kind was ever there."""
    gone = {fact.entry.reference for fact in step.facts if fact.title == title}
    before = point.before.branch()
    for reference in gone & set(before.entries):
        before.entries[reference] = structs.replace(
            before.entries[reference], body=version(before, reference)
        )
    game, outcome = point.again(point.bundle and changed(point.bundle, gone, withdrawn), before)
    again = [s for s in outcome.steps if s.instance == step.instance and s.action == step.action and s.moved]
    for taken in again:
        # It was taken for other reasons, each of which is true.
        assert [condition["result"] for condition in taken.conditions] == [True] * len(taken.conditions)
        assert not gone & {fact.entry.reference for fact in basis.used(taken)}
    memory = game.memories.get(step.instance)
    if again or memory is None or memory.stage != step.before.stage:
        return
    way = next(way for way in ways_out(game, step.instance, point.evaluated) if way.rule == step.action)
    assert way.result is not True
    if way.result is None:
        assert any("none" in text for text in _values(way.conditions)), (title, way.conditions)


def _values(nodes: Any) -> Iterator[str]:
    for node in nodes:
        yield str(node.get("value", ""))
        yield from _values(node["because"])


@every_story
def test_what_is_withdrawn_takes_its_proposals_along_and_is_told_where_an_order_was_signed(
    path: Path,
) -> None:
    for place, point in enumerate(points(path)):
        accepted = sorted({fact.entry.reference for fact in facts(point.after, point.evaluated)})
        rng = random.Random(f"{path.stem} {place}")
        for gone in rng.sample(accepted, min(WITHDRAWN, len(accepted))):
            game = point.after.branch()
            signed = _signed(game)
            game.receive({"entry": [{"resource": version(game, gone)}]}, point.evaluated)
            outcome, _ = game.evaluate(point.evaluated)

            assert list(silently_kept(game, gone, outcome)) == [], gone
            # What a clinician has signed stays; that its basis is gone is asked of a person.
            assert _signed(game).items() >= signed.items() or _completed_otherwise(outcome), gone
            for side in _left_without_basis(point, gone):
                assert f"{side[0].upper()}:TK:basis-withdrawn-review(left-standing)" in told(outcome), gone


def _signed(game: Play) -> dict[str, str]:
    """Return the state of each order that a clinician has signed."""
    return {o.id: o.state for m in game.memories.values() for o in m.orders if o.signed}


def _completed_otherwise(outcome: Outcome) -> bool:
    """Return whether the same evaluation took a step or took one back, which changes what orders wait for."""
    return any(step.moved or "basis-withdrawn" in str(step.rule) for step in outcome.steps)


def _left_without_basis(point: Point, gone: str) -> Iterator[str]:
    """Yield each hip whose newest transition made an order that is signed, and is not true without `gone`."""
    game = point.after
    for side, memory in game.memories.items():
        steps = {step.number: step for step in game.steps if step.instance == side}
        newest = steps[memory.path[-1]] if memory.path else None
        if newest is None or newest.action not in CORRECTED:
            continue
        orders = [order for order in memory.orders if made(newest, order)]
        if any(order.signed for order in orders) and unfounded(game, side, newest, gone):
            yield side


FLAGS = ("red-flag-fracture", "red-flag-cauda-equina", "red-flag-tumour")


@every_story
def test_a_red_flag_comes_first_in_every_state(path: Path) -> None:
    for place, point in enumerate(points(path)):
        for side, memory in point.after.memories.items():
            if side == PERSON or memory.stage is None:
                continue
            game = point.after.branch()
            flag = finding(game, side, FLAGS[place % len(FLAGS)], point.evaluated)
            game.receive({"entry": [{"resource": flag}]}, point.evaluated)
            outcome, _ = game.evaluate(point.evaluated)
            mine = [step for step in outcome.steps if step.instance == side]

            if _closed(game, side):
                assert not mine
                continue
            assert game.memories[side].stage == "diverted"
            moved = [move for move in moves(outcome) if move[0] == side[0].upper()]
            assert moved == [f"{side[0].upper()}:T01"]
            raised = [one for step in mine for one in step.raised]
            assert "ServiceRequest" not in {one.activity.resource for one in raised}
            assert any(one.shorthand.startswith("TK:divert(") for one in raised)
            assert {order.state for order in game.memories[side].orders} <= _at_rest(memory)


def _at_rest(memory: Any) -> set[str]:
    """Return the states that orders may have once a flag has come: none waits for a signature."""
    return {order.state for order in memory.orders if order.state != "draft"} | {"on-hold"}


def _closed(game: Play, side: str) -> bool:
    return game.memories[side].closed
