"""Each arrow of the plan is taken, each state leads on, and an end can be reached from it (SP-29).

Arrows are followed with their conditions: a story, or a story in which something else comes, takes them.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from branching import LOCAL, STORIES, Point, finding, points, ways_out
from playing import Play

from pathways import catalogue
from pathways.steps import PERSON, Outcome

PATHWAY = catalogue.pathways()[0]
END = "discharged"

Json = dict[str, Any]
#: from, rule, to
Arrow = tuple[str, str, str]


def person(game: Play, **elements: Any) -> Json:
    return deepcopy(game.patient.body) | elements


def arthritis(game: Play, side: str, at: datetime) -> list[Json]:
    concept = {"coding": [{"system": LOCAL, "code": "radiograph-osteoarthritis-kl3"}]}
    return [
        finding(game, side, "hip-radiograph-conclusion", at, valueCodeableConcept=concept),
        finding(game, side, "groin-dominant-pain", at),
    ]


#: what may come at any time, and ends or diverts a plan
COMES: dict[str, Callable[[Play, str, datetime], list[Json]]] = {
    "red flag": lambda game, side, at: [finding(game, side, "red-flag-infection", at)],
    "replacement": lambda game, side, at: [finding(game, side, "hip-arthroplasty-in-situ", at)],
    "nerve root": lambda game, side, at: [finding(game, side, "l5-deficit", at)],
    "arthritis": arthritis,
    "a child": lambda game, side, at: [person(game, birthDate=f"{at.year - 10}-01-01")],
    "death": lambda game, side, at: [person(game, deceasedBoolean=True)],
}


def taken(outcome: Outcome) -> Iterator[Arrow]:
    for step in outcome.steps:
        if step.moved and step.action and step.before.stage and step.after.stage:
            yield step.before.stage, step.action, step.after.stage


@cache
def arrows() -> frozenset[Arrow]:
    """Return every arrow that a story takes, or would take if something else came after a step."""
    found: set[Arrow] = set()
    # One branch for each cause in each stage is enough.
    tried: set[tuple[str, str]] = set()
    for path in STORIES:
        for point in points(path):
            found |= set(taken(point.outcome))
            for side, memory in point.after.memories.items():
                for name, come in COMES.items():
                    if (
                        side == PERSON
                        or memory.stage is None
                        or memory.closed
                        or (name, memory.stage) in tried
                    ):
                        continue
                    made = set(taken(after(point, side, come)))
                    if any(start == memory.stage for start, _, _ in made):
                        tried.add((name, memory.stage))
                    found |= made
    return frozenset(found)


def after(point: Point, side: str, come: Callable[[Play, str, datetime], list[Json]]) -> Outcome:
    game = point.after.branch()
    resources = come(game, side, point.evaluated)
    game.receive({"entry": [{"resource": each} for each in resources]}, point.evaluated)
    outcome, _ = game.evaluate(point.evaluated)
    return outcome


def test_every_arrow_of_the_plan_is_taken():
    took = {(start, rule) for start, rule, _ in arrows()}
    drawn = {
        (stage, rule.id)
        for rule in PATHWAY.of_kind("transition")
        for stage in rule.stages
        # In the stage it leads to, a rule says what is new and stays; from an end, death leads nowhere.
        if stage != rule.target
    }

    assert drawn - took == set()


def test_an_end_can_be_reached_from_every_stage_by_arrows_that_were_taken():
    leads_on: dict[str, set[str]] = {}
    for start, _, to in arrows():
        leads_on.setdefault(start, set()).add(to)

    for stage in PATHWAY.stages:
        reached, new = {stage}, {stage}
        while new:
            new = {to for start in new for to in leads_on.get(start, set())} - reached
            reached |= new
        assert END in reached, stage
        # And an end is left again: a relapse, or a clinician who takes the patient back.
        assert len(leads_on[stage]) > 0


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_in_every_state_a_person_can_act_and_something_is_looked_at_again(path: Path):
    for point in points(path):
        game = point.after
        for side, memory in game.memories.items():
            if side == PERSON or memory.stage is None:
                continue
            ways = ways_out(game, side, point.evaluated)
            assert any(way.decided_by_person for way in ways), (point.at, side)
            if not memory.closed:
                assert any(not way.decided_by_person for way in ways), (point.at, side)
