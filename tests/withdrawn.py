"""What a proposal rests on, and whether it would have been made without one of its inputs."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from playing import Play, told

from pathways import basis, parameters
from pathways.judge import Judge
from pathways.memory import Order
from pathways.steps import Outcome, Step

Json = dict[str, Any]


def version(game: Play, reference: str, status: str = "entered-in-error") -> Json:
    """Return the next version of a resource, with another status."""
    return {**deepcopy(game.entries[reference].body), "status": status}


#: what is tested again when an input is withdrawn (clinical-rules 12): not decisions, refusals and diversions
CORRECTED = frozenset(f"T{number:02}" for number in (*range(3, 8), 9, 10, 11, 13, 14, 16, 18))


def silently_kept(game: Play, gone: str, outcome: Outcome) -> Iterator[tuple[str, Order]]:
    """Yield with its side each unsigned proposal that lost its basis without anybody being told.

    An older step under one that still stands, or one of whose proposals was signed, is left with all it made:
    a person is asked to look at it (12, number 5).

    Args:
        gone: the reference of a finding that was withdrawn.
        outcome: of the evaluation that saw the withdrawal.
    """
    for side, order, step in outliving(game, gone):
        asked = f"{side[:1].upper()}:TK:basis-withdrawn-review(left-standing)" in told(outcome)
        if step.action in CORRECTED and not asked:
            yield side, order


def outliving(game: Play, gone: str) -> Iterator[tuple[str, Order, Step]]:
    """Yield side, proposal and the step that made it, where an unsigned one does not stand without `gone`."""
    for side, memory in game.memories.items():
        for order in memory.orders:
            if order.state == "draft":
                step = next(step for step in reversed(game.steps) if made(step, order))
                if unfounded(game, side, step, gone):
                    yield side, order, step


def unfounded(game: Play, side: str, step: Step, gone: str) -> bool:
    """Return whether the step rests on what is gone, and its clinical condition is not true without it."""
    rests = gone in {fact.entry.reference for fact in basis.used(step)}
    return rests and not _still_true(game, side, step, gone)


def made(step: Step, order: Order) -> bool:
    return order.id in {each.id for each in step.after.orders} - {each.id for each in step.before.orders}


def _still_true(game: Play, side: str, step: Step, gone: str) -> bool:
    """Return whether the step's clinical condition is true of what was known then, without what is gone."""
    judge = Judge(
        game.pathway,
        [fact for fact in step.facts if fact.entry.reference != gone],
        game.patient.body,
        moment=game.at[side, step.number],
        site=parameters.resolve(game.pathway, game.chosen),
        other_stage=None,
    )
    run = judge.ask(step.before)
    return all(run[name] is True for name in game.pathway.rule(step.action or "").conditions[:1])
