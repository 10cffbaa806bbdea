"""Corrections: a step whose basis is withdrawn is tested again, and taken back or left standing.

The transitions in force are gone through from the newest to the oldest, each with the inputs it had, in
their present versions, at the time it had. A person's decision stops the search: it stands on its own
(clinical-rules 12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pathways import cql, effects
from pathways.definition import Rule
from pathways.inputs import Fact
from pathways.judge import Judge, explained
from pathways.memory import Memory
from pathways.raising import raise_outputs
from pathways.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A transition in force, as the log keeps it. `quiet_before` is the memory before its evaluation."""

    number: int
    action: str
    at: datetime
    before: Memory
    after: Memory
    inputs: tuple[str, ...]  # versioned references
    site: Mapping[str, Any]
    quiet_before: Memory | None = None


def replay(turn: Turn) -> None:
    """Test again every transition in force whose inputs have changed since."""
    for side in turn.pathway.instances:
        if turn.running(side):
            _replay(turn, side)


def _replay(turn: Turn, side: str) -> None:
    present = {fact.entry.versioned for fact in turn.inputs.facts}
    newest = True
    for past in turn.case.history.get(side, ()):
        rule = turn.pathway.rule(past.action)
        if rule.correction == "stands":
            return
        if set(past.inputs) <= present:
            newest = False
            continue
        judge, run = _again(turn, side, past)
        if run[rule.clinical] is True:
            newest = False
        elif rule.correction == "kept":
            if turn.memory(side).stage == rule.target:
                _leave_standing(turn, side, past, rule, judge, run)
            newest = False
        elif newest and not _signed(turn.memory(side), past):
            _take_back(turn, side, past, rule, judge, run)
        else:
            _leave_standing(turn, side, past, rule, judge, run)
            newest = False


def _again(turn: Turn, side: str, past: Past) -> tuple[Judge, cql.Run]:
    """Return the rules as they were asked then, over the same inputs in their present versions."""
    then = {reference.partition("/_history")[0] for reference in past.inputs}
    facts: Sequence[Fact] = [
        fact for fact in turn.inputs.facts if fact.entry.reference in then and fact.counts_for(side)
    ]
    judge = Judge(
        turn.pathway,
        facts,
        turn.case.record.patient.body,
        moment=past.at.astimezone(turn.now.tzinfo),
        site=past.site,
        other_stage=turn.other_stage(side),
    )
    return judge, judge.ask(past.before)


def _signed(memory: Memory, past: Past) -> bool:
    """Return whether a proposal that the transition made has been signed."""
    return any(order.step == past.number and order.signed is not None for order in memory.orders)


def _take_back(turn: Turn, side: str, past: Past, rule: Rule, judge: Judge, run: cql.Run) -> None:
    """Return to the stage before: proposals revoked, Tasks cancelled, what was set restored."""
    memory = turn.memory(side)
    after = replace(memory, path=tuple(number for number in memory.path if number != past.number))
    for order in after.orders:
        if order.step == past.number and order.unsigned:
            after = after.with_order(replace(order, state="revoked"))
        was = past.before.order(order.id)
        became = past.after.order(order.id)
        if (
            was is not None
            and became is not None
            and was.state != became.state
            and order.state == became.state
        ):
            after = after.with_order(replace(order, state=was.state))
    for task in after.tasks:
        if task.step == past.number and task.state == "open":
            after = after.with_task(replace(task, state="cancelled"))
    for name, value in _restored(turn, past, rule).items():
        after = after.with_value(name, value)
    assert past.before.stage is not None
    stage_before = past.before.stage_before
    after = effects.enter(after, past.before.stage, pathway=turn.pathway, now=turn.now)
    after = replace(after, stage_before=stage_before, closed=past.before.closed)
    _tell(turn, side, "taken-back", after, rule, judge, run)


def _leave_standing(turn: Turn, side: str, past: Past, rule: Rule, judge: Judge, run: cql.Run) -> None:
    """Change nothing and ask a person, once for each transition."""
    key = f"left-standing:{past.number}"
    memory = turn.memory(side)
    if key not in memory.raised:
        after = replace(memory, raised=(*memory.raised, key))
        _tell(turn, side, "left-standing", after, rule, judge, run)


def _tell(turn: Turn, side: str, kind: str, after: Memory, rule: Rule, judge: Judge, run: cql.Run) -> None:
    telling = next(r for r in turn.pathway.rules if r.kind == kind)
    after, raised = raise_outputs(telling.outputs, after, turn.origin(side), before=run, after=run)
    turn.take(
        side,
        telling.code,
        f"{telling.title}: {rule.title}",
        after,
        action=telling.id,
        conditions=explained(judge, run, (rule.clinical,)),
        raised=raised,
        facts=judge.facts,
    )


def _restored(turn: Turn, past: Past, rule: Rule) -> dict[str, Any]:
    """Return the named values as they were before the transition and the quiet rules of its evaluation."""
    names = {effect.name for effect in rule.effects if effect.kind in {"set", "clear"}}
    restored = {name: past.before.values.get(name) for name in names if name}
    if past.quiet_before is not None:
        quiet = {e.name for r in turn.pathway.of_kind("quiet") for e in r.effects if e.kind == "set"}
        restored |= {name: past.quiet_before.values.get(name) for name in quiet if name}
    return restored
