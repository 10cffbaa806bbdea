"""Where an instance goes: opening, the loop of transitions, and the end for good.

A hold stops every rule that is not allowed despite holds (clinical-rules 2.4, 7).
"""

from collections.abc import Callable
from dataclasses import replace

from pathways import cql, standing
from pathways.definition import Rule
from pathways.judge import explained, met
from pathways.memory import Hold
from pathways.raising import raise_outputs
from pathways.steps import Raised
from pathways.turn import Turn

#: A stage leads on at most this often in one evaluation; a correct plan never needs it.
PASSES = 5


def open_instances(turn: Turn) -> None:
    """Open each side that the record now says has a problem."""
    for rule in turn.pathway.of_kind("opening"):
        for side in turn.pathway.instances:
            if not turn.known(side) and turn.facts(side):
                run = turn.ask(side)
                if met(run, rule):
                    turn.fire(rule, side, run)


def open_side(turn: Turn, side: str) -> None:
    """Open a side on the word of a finding that is not accepted yet, but must not wait."""
    for rule in turn.pathway.of_kind("opening"):
        turn.fire(rule, side, turn.ask(side))


def end_for_good(turn: Turn) -> bool:
    """End every instance whose rules of order 0 hold. Returns whether they do: then nothing else applies."""
    final = [rule for rule in turn.pathway.of_kind("transition") if rule.order == 0]
    ended = False
    for rule in final:
        for side in turn.pathway.instances:
            run = turn.ask(side)
            if met(run, rule):
                ended = True
                if turn.running(side):
                    quietly = _ended(turn, side)
                    event = None if quietly else "registry-event"
                    turn.fire(rule, side, run, event=event, silent=quietly)
    return ended


def settle(turn: Turn, side: str, *, hold: Callable[[Turn, str], None]) -> None:
    """Fire transitions until none is met, at most `PASSES` times.

    Args:
        hold: sets the holds that a transition makes due, as into a stage that can be held.
    """
    for _ in range(PASSES):
        if not _one_pass(turn, side):
            return
        hold(turn, side)


def _one_pass(turn: Turn, side: str) -> bool:
    """Go through the rules in their order; returns whether a transition fired."""
    for rule in turn.pathway.of_kind("transition", "hold", "check", "quiet"):
        memory = turn.memory(side)
        if rule.order == 0 or rule.of_person or not standing.applies(rule, memory):
            continue
        run = turn.ask(side)
        if rule.kind == "hold":
            _hold(turn, side, rule, run)
        elif rule.kind == "check":
            standing.consider(turn, side, rule)
        elif met(run, rule):
            step = turn.fire(rule, side, run, silent=rule.kind == "quiet")
            if step is not None and rule.kind == "transition":
                return True
    return False


def _hold(turn: Turn, side: str, rule: Rule, run: cql.Run) -> None:
    """Set and clear the holds that pairs of findings ask for, written `code|id|id` by the rule.

    A pair that a clinician has accepted sets no hold. Each newly held input speaks once.
    """
    memory = turn.memory(side)
    pairs = [str(p) for name in rule.conditions for p in run[name] or ()]
    open_pairs = [p for p in pairs if p not in memory.accepted_pairs]
    wanted: dict[str, list[str]] = {}
    for pair in open_pairs:
        wanted.setdefault(pair.partition("|")[0], []).append(pair)
    code = next(o.activity.code for o in rule.outputs if o.activity.resource == "DetectedIssue")
    kept = [h for h in memory.holds if h.code != code or h.input in wanted]
    held = {h.input for h in kept if h.code == code}
    for concerned in sorted(set(wanted) - held):
        found_together = tuple(wanted[concerned])
        kept.append(Hold(code=code, input=concerned, since=turn.now.isoformat(), pair=found_together))
    if tuple(kept) == memory.holds:
        return
    raised: tuple[Raised, ...] = ()
    after = replace(memory, holds=tuple(kept))
    for concerned in sorted(set(wanted) - held):
        after, new = raise_outputs(rule.outputs, after, turn.origin(side), before=run, after=run)
        found = {part for pair in wanted[concerned] for part in pair.split("|")[1:]}
        implicated = tuple(f.entry.versioned for f in turn.facts(side) if f.entry.id in found)
        numbered = tuple(replace(one, implicated=implicated) for one in new)
        for one in numbered:
            task = after.task(one.id)
            if task is not None:
                after = after.with_task(replace(task, about=f"hold:{code}:{concerned}"))
        raised = (*raised, *numbered)
    turn.take(
        side,
        rule.code,
        rule.title,
        after,
        action=rule.id,
        conditions=explained(turn.judge(side), run, rule.conditions),
        raised=raised,
        silent=not raised,
    )


def _ended(turn: Turn, side: str) -> bool:
    stage = turn.memory(side).stage
    return stage is not None and turn.pathway.stages[stage].plan_status == "completed"
