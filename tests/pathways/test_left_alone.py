"""Who has to do what until when, what time alone ends, and what ends everything (SP-07, SP-08 and SP-34).

The histories are random (see `histories`); after each evaluation time passes without anything new.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from branching import STORIES, points
from histories import CLINICIAN, history, live, task
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import Play

from pathways.memory import Memory, Order
from pathways.steps import Outcome

Json = dict[str, Any]
Ends = Callable[[Play, datetime], list[Json]]
seeds = st.integers(0, 2**32)
many = settings(max_examples=100, deadline=None, derandomize=True)
fewer = settings(max_examples=40, deadline=None, derandomize=True)

#: days after the last visit: beyond each limit of the site, and at last beyond every look-back
LATER = (1, 3, 8, 15, 31, 46, 61, 91, 121, 181, 271, 400)
#: the Task about findings that contradict one another: when they are too old to count, there is nothing left
AGED = "resolve-contradiction"
#: of these nobody is told when nothing comes of them; the plan is watched by its own clocks
WITHOUT_A_CLOCK = ("PT",)
DISCHARGED = "discharged"
#: the states of an order for which somebody waits
WAITING = ("draft", "on-hold", "active")


def states(seed: int) -> Iterator[tuple[Play, datetime]]:
    """Yield the patient after each evaluation of a history, and when that was."""
    game = Play()
    visits = history(seed)
    for visit, _ in zip(visits, live(visits, game=game), strict=True):
        yield game, visit.evaluated


def alone(game: Play, at: datetime) -> Iterator[tuple[dict[str, Memory], Play, Outcome]]:
    """Yield what was remembered, the patient and what was decided, as time passes and nothing comes."""
    later = game.branch()
    for days in LATER:
        before = dict(later.memories)
        outcome, _ = later.evaluate(at + timedelta(days=days))
        yield before, later, outcome


def open_tasks(game: Play) -> Iterator[Json]:
    for reference, entry in game.own.items():
        if reference.startswith("Task/") and entry.body["status"] == "requested":
            yield entry.body


def has_owner_and_due_date(task: Json) -> bool:
    due = task.get("restriction", {}).get("period", {}).get("end")
    roles = [coding["code"] for role in task.get("performerType", ()) for coding in role["coding"]]
    return bool(due) and bool(roles)


def died(game: Play, at: datetime) -> list[Json]:
    return [{**game.patient.body, "deceasedBoolean": True}]


def withdrawn(game: Play, at: datetime) -> list[Json]:
    """Return a clinician, and the decision about each plan that is open."""
    plans = [
        entry
        for entry in game.own.values()
        if entry.type == "CarePlan" and entry.body["status"] not in ("completed", "revoked")
    ]
    decisions = [
        task(
            f"withdrawn-{number}",
            "withdraw",
            plan.reference,
            at=at - timedelta(seconds=1),
            patient=game.patient.reference,
            by=f"Practitioner/{CLINICIAN['id']}",
        )
        for number, plan in enumerate(plans)
    ]
    return [CLINICIAN, *decisions]


@many
@given(seeds)
def test_whoever_has_to_do_something_is_named_with_a_day(seed: int) -> None:
    for game, _ in states(seed):
        for each in open_tasks(game):
            assert has_owner_and_due_date(each), each["code"]


@many
@given(seeds)
def test_what_waits_for_a_signature_stands_in_an_open_task(seed: int) -> None:
    for game, _ in states(seed):
        for memory in game.memories.values():
            for order in memory.orders:
                if order.unsigned:
                    signing = game.own[f"Task/{order.task}"].body
                    asked = [each["valueReference"]["reference"] for each in signing["input"]]

                    assert signing["status"] == "requested"
                    assert f"ServiceRequest/{order.id}" in asked


@fewer
@given(seeds)
def test_when_nothing_comes_of_a_signed_order_somebody_is_asked_to_look(seed: int) -> None:
    for game, at in states(seed):
        waiting = [
            (side, order)
            for side, memory in game.memories.items()
            if memory.stage != DISCHARGED
            for order in memory.orders
            if order.state == "active" and order.kind not in WITHOUT_A_CLOCK
        ]
        if waiting:
            *_, (_, later, _) = alone(game, at)
            for side, order in waiting:
                still = later.memories[side].order(order.id)

                assert still
                assert still.state == "active"
                assert list(_about(later, order)), (side, order.kind)


def _about(game: Play, order: Order) -> Iterator[Json]:
    """Yield the open Tasks about an order that was signed, which say whose they are and until when."""
    for each in open_tasks(game):
        if each["focus"]["reference"] == f"ServiceRequest/{order.order}" and has_owner_and_due_date(each):
            yield each


@fewer
@given(seeds)
def test_time_alone_ends_no_plan_no_order_and_no_task(seed: int) -> None:
    for game, at in states(seed):
        for before, later, outcome in alone(game, at):
            for side, memory in before.items():
                now = later.memories[side]

                assert now.closed == memory.closed
                assert (now.stage == DISCHARGED) == (memory.stage == DISCHARGED)
                if set(ended(memory, now)) - {AGED}:
                    # A step that a contradiction had held until its findings were too old to count.
                    assert len(now.holds) < len(memory.holds)
                    assert any(step.moved for step in outcome.steps if step.instance == side)


def ended(memory: Memory, now: Memory) -> list[str]:
    """Return what was open or waited for somebody, and does no longer: codes of Tasks, kinds of orders."""
    tasks = {task.id: task.state for task in now.tasks}
    orders = {order.id: order.state for order in now.orders}
    return [
        *(t.code for t in memory.tasks if t.state == "open" and tasks.get(t.id) != "open"),
        *(o.kind for o in memory.orders if o.state in WAITING and orders.get(o.id) not in WAITING),
    ]


@many
@given(seeds)
def test_a_plan_ends_by_the_decision_of_a_person_or_by_a_death(seed: int) -> None:
    game = Play()
    for answer in live(history(seed), game=game):
        for step in answer.outcome.steps:
            ends = step.after.closed or step.after.stage == DISCHARGED
            if ends and step.before.stage not in (None, DISCHARGED):
                assert step.action
                rule = game.pathway.rule(step.action)
                assert rule.kind == "decision" or rule.id == "T20-death"


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
@pytest.mark.parametrize("ends", [pytest.param(died, id="death"), pytest.param(withdrawn, id="withdrawn")])
def test_after_a_death_or_a_withdrawal_nothing_is_due_asked_or_sent(path: Path, ends: Ends) -> None:
    for point in points(path):
        game = point.after.branch()
        running = [side for side, memory in game.memories.items() if memory.stage not in (None, DISCHARGED)]
        if not running:
            continue
        signed = {o.id: o.state for m in game.memories.values() for o in m.orders if o.state == "active"}
        game.receive({"entry": [{"resource": each} for each in ends(game, point.evaluated)]}, point.evaluated)
        outcome, written = game.evaluate(point.evaluated)

        assert outcome.next_due is None
        assert {body["resourceType"] for body in written} & {"CommunicationRequest", "Flag"} == set()
        for side in running:
            memory = game.memories[side]
            assert memory.closed
            assert not [task for task in memory.tasks if task.state == "open"]
            # What nobody has signed is revoked; what somebody has is theirs, and stays in sight as it is.
            assert {order.state for order in memory.orders} <= {"active", "completed", "revoked"}
            assert {o.id: o.state for o in memory.orders if o.id in signed}.items() <= signed.items()
        for _, _, later in alone(game, point.evaluated):
            assert later.steps == ()
            assert later.next_due is None
