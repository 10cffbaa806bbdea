"""What holds of every history, whatever a hospital sends and a clinician decides (SP-13, 14, 21 and 26).

The histories are random (see `histories`); each failure names the seed that makes it again.
"""

import json
from collections import Counter
from copy import deepcopy
from typing import Any

from histories import PATIENT, Answer, history, live
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import Play, moves, told
from withdrawn import outliving, version

seeds = st.integers(0, 2**32)
many = settings(max_examples=150, deadline=None, derandomize=True)
Json = dict[str, Any]


def summary(answer: Answer) -> tuple[Any, ...]:
    """Return what an evaluation did, without the order in which entries happened to arrive."""
    memories = answer.outcome.memories
    return (
        {side: memory.stage for side, memory in memories.items()},
        {side: sorted(hold.code for hold in memory.holds) for side, memory in memories.items()},
        moves(answer.outcome),
        told(answer.outcome),
    )


def bodies(answers: list[Answer]) -> list[str]:
    return [json.dumps(body, sort_keys=True, default=str) for answer in answers for body in answer.written]


@many
@given(seeds)
def test_entries_of_a_visit_arrive_in_any_order(seed: int) -> None:
    visits = history(seed)
    plain = [summary(answer) for answer in live(visits)]
    shuffled = [summary(answer) for answer in live(visits, shuffled=seed)]

    assert shuffled == plain


@many
@given(seeds)
def test_the_same_log_of_arrivals_gives_the_same_to_the_last_letter(seed: int) -> None:
    visits = history(seed)

    assert bodies(list(live(visits))) == bodies(list(live(visits)))


@many
@given(seeds)
def test_nothing_new_means_nothing_done_and_a_visit_sent_again_is_nothing_new(seed: int) -> None:
    visits, game = history(seed), Play()
    for visit, _ in zip(visits, live(visits, game=game), strict=True):
        game.receive({"entry": [{"resource": deepcopy(each)} for each in visit.resources]}, visit.at)
        outcome, written = game.evaluate(visit.evaluated)

        assert (outcome.steps, written) == ((), [])


@many
@given(seeds)
def test_what_is_written_is_about_the_patient_and_one_side(seed: int) -> None:
    for answer in live(history(seed)):
        for body in answer.written:
            text = json.dumps(body, default=str)
            sides = {
                side for side in ("left", "right") if f'"hip-{side}"' in json.dumps(body.get("extension", []))
            }

            assert set(_patients(text)) <= {f"Patient/{PATIENT}"}
            assert len(sides) <= 1
            if body["resourceType"] in ("ServiceRequest", "CarePlan", "Goal", "Condition"):
                assert len(sides) == 1
                other = ({"left", "right"} - sides).pop()
                assert f'"hip-{other}"' not in text


@many
@given(seeds)
def test_a_step_is_taken_on_conditions_that_are_true_and_an_order_on_a_signature(seed: int) -> None:
    game = Play()
    signed: set[str] = set()
    for answer in live(history(seed), game=game):
        signed |= {
            entry.body["focus"]["reference"]
            for entry in game.entries.values()
            if entry.type == "Task" and entry.body["code"]["coding"][0]["code"] == "sign"
        }
        for step in answer.outcome.steps:
            if step.moved and step.action and game.pathway.rule(step.action).kind == "transition":
                assert [c["result"] for c in step.conditions] == [True] * len(step.conditions)
        for body in answer.written:
            if body["resourceType"] == "ServiceRequest" and body["intent"] == "order":
                assert signed & {each["reference"] for each in body["basedOn"]}


@many
@given(seeds)
def test_there_is_one_open_proposal_or_order_of_a_kind_for_a_hip(seed: int) -> None:
    for answer in live(history(seed)):
        for memory in answer.outcome.memories.values():
            waiting = Counter(order.kind for order in memory.orders if order.state == "draft")
            assert all(count == 1 for count in waiting.values()), waiting


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds, st.integers(0, 10**6))
def test_no_unsigned_proposal_outlives_what_it_rests_on(seed: int, choice: int) -> None:
    visits, game = history(seed), Play()
    for _ in live(visits, game=game):
        pass
    inputs = sorted(
        reference
        for reference, entry in game.entries.items()
        if entry.type in ("Observation", "Procedure") and entry.body.get("status") in ("final", "completed")
    )
    gone = inputs[choice % len(inputs)]
    moment = visits[-1].evaluated
    game.receive({"entry": [{"resource": version(game, gone)}]}, moment)
    game.evaluate(moment)

    # Had it never been there, what is proposed now would have been proposed on the rest.
    assert list(outliving(game, gone)) == []


def _patients(text: str) -> list[str]:
    return [word for word in text.split('"') if word.startswith("Patient/")]
