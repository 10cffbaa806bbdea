"""Urgent findings whose status is not accepted yet: a question to a person, and a hold on what they concern.

They are no input of the rules; but a person must look before anything else happens (clinical-rules 13.3).
"""

from dataclasses import replace

from pathways import effects, transitions
from pathways.definition import Rule
from pathways.inputs import Fact
from pathways.raising import raise_outputs
from pathways.steps import PERSON
from pathways.turn import Turn


def check(turn: Turn) -> None:
    """Ask about each preliminary finding once, and hold every open side that it concerns once."""
    for rule in turn.pathway.of_kind("early"):
        for fact in turn.inputs.preliminary:
            _ask(turn, rule, fact)
            for side in turn.pathway.instances:
                if turn.pathway.concerns(side, fact.sides) and not turn.known(side):
                    transitions.open_side(turn, side)
    for side in turn.pathway.instances:
        hold(turn, side)


def hold(turn: Turn, side: str) -> None:
    """Hold a side for each preliminary finding that concerns it, once: from when it is in an open stage."""
    for rule in turn.pathway.of_kind("early"):
        for fact in turn.inputs.preliminary:
            if turn.running(side) and fact.counts_for(side):
                _hold(turn, rule, fact, side)


def _ask(turn: Turn, rule: Rule, fact: Fact) -> None:
    key = f"{rule.id}:{fact.entry.id}"
    memory = turn.memory(PERSON)
    if key in memory.raised:
        return
    origin = turn.origin(PERSON, fact.entry.reference)
    run = turn.ask(PERSON, turn.finding(fact.entry.id, turn.category(fact.input)))
    after, raised = raise_outputs(rule.outputs, memory, origin, before=run, after=run)
    for one in raised:
        task = after.task(one.id)
        if task is not None:
            after = after.with_task(replace(task, about=key))
    after = replace(after, raised=(*after.raised, key))
    turn.take(PERSON, rule.code, rule.title, after, action=rule.id, raised=raised, facts=(fact,))


def _hold(turn: Turn, rule: Rule, fact: Fact, side: str) -> None:
    key = f"{rule.id}:{fact.entry.id}"
    memory = turn.memory(side)
    if key in memory.raised or not turn.pathway.stages[memory.stage or ""].open:
        return
    codes = (code for effect in rule.effects for code in effect.codes)
    after = replace(effects.held(memory, codes, now=turn.now), raised=(*memory.raised, key))
    turn.take(side, rule.code, rule.title, after, action=rule.id, facts=(fact,))


def end(turn: Turn) -> None:
    """End the questions about findings whose hold has ended on every side."""
    for rule in turn.pathway.of_kind("early"):
        _end(turn, rule)


def _end(turn: Turn, rule: Rule) -> None:
    codes = {code for effect in rule.effects for code in effect.codes}
    memory = turn.memory(PERSON)
    ended = memory
    for task in memory.tasks:
        concerned = [m for side in turn.pathway.instances if task.about in (m := turn.memory(side)).raised]
        still = any(hold.code in codes for each in concerned for hold in each.holds)
        if task.state == "open" and concerned and not still:
            ended = ended.with_task(replace(task, state="completed"))
    if ended != memory:
        turn.take(PERSON, rule.code, rule.title, ended, action=rule.id, facts=(), silent=True)
