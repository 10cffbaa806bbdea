"""Standing work: what a stage owes while an instance is in it, raised once per what the plan says.

Timers have the same form. They are conditions on the present; an instant at which one may change is noted,
so that the patient is looked at again then.
"""

from collections.abc import Iterator
from datetime import datetime

from pathways.definition import Rule
from pathways.judge import Item, met
from pathways.memory import Memory
from pathways.steps import PERSON
from pathways.turn import Turn

#: a rule is asked about each finding that a CQL definition lists
EACH = "each:"


def raise_due(turn: Turn, side: str) -> None:
    """Raise the standing work of the stage the instance is now in."""
    for rule in turn.pathway.of_kind("standing"):
        if rule.of_person == (side == PERSON) and applies(rule, turn.memory(side)):
            consider(turn, side, rule)


def applies(rule: Rule, memory: Memory) -> bool:
    """Return whether the rule is looked at in this stage and under these holds."""
    in_stage = not rule.stages or memory.stage in rule.stages
    return in_stage and (rule.despite_holds or rule.kind == "hold" or not memory.holds)


def consider(turn: Turn, side: str, rule: Rule) -> None:
    """Ask the rule once, or once for each thing it is about, and raise what is due."""
    if rule.for_each is None:
        _raise(turn, side, rule, None, None)
    elif rule.for_each.startswith(EACH):
        for found in turn.ask(side)[rule.for_each.removeprefix(EACH)] or ():
            _raise(turn, side, rule, *_finding(turn, str(found)))
    else:
        for item, reference in list(_items(rule.for_each, turn.memory(side), turn.signing)):
            _raise(turn, side, rule, item, reference)


def _finding(turn: Turn, found: str) -> tuple[Item, str | None]:
    """Return a finding that the rules have listed as `class|...|id`, with its reference."""
    category, *_, id = found.split("|")
    references = (f.entry.reference for f in turn.inputs.facts if f.entry.id == id)
    return turn.finding(id, category), next(references, None)


def _raise(turn: Turn, side: str, rule: Rule, item: Item | None, reference: str | None) -> None:
    run = turn.ask(side, item)
    if rule.next_instant is not None and (instant := run[rule.next_instant]) is not None:
        turn.look_again(datetime.fromisoformat(str(instant)))
    if not met(run, rule):
        return
    spoken = []
    if rule.once is not None:
        spoken = [f"{rule.id}:{run[rule.once]}"]
    elif item is not None:
        spoken = [f"{rule.id}:{item.id}"]
    if any(key in turn.memory(side).raised for key in spoken):
        return
    turn.fire(rule, side, run, item=reference, spoken=spoken)


def _items(what: str, memory: Memory, signing: frozenset[str]) -> Iterator[tuple[Item, str]]:
    """Return the orders, signing Tasks or Tasks of one code that the rule is asked about, with references."""
    if what == "order":
        for order in memory.orders:
            if order.state == "active":
                yield Item.of(order), f"ServiceRequest/{order.order or order.id}"
        return
    for task in memory.tasks:
        if task.state != "open":
            continue
        if what == "signing-task" and task.code in signing:
            drafts = [o for o in memory.orders if o.task == task.id and o.state == "draft"]
            if drafts:
                urgent = [o for o in drafts if o.priority == "urgent"]
                first = min(urgent or drafts, key=lambda o: o.since)
                item = Item(
                    id=task.id,
                    kind=task.code,
                    state="draft",
                    priority=first.priority,
                    made=task.made,
                    since=first.since,
                )
                oldest = min(drafts, key=lambda o: o.made)
                yield item, f"ServiceRequest/{oldest.id}"
        elif what == f"task:{task.code}":
            item = Item(
                id=task.id,
                kind=task.code,
                state=task.state,
                made=task.made,
                since=task.made,
                acknowledged=task.acknowledged,
                category=task.qualifiers[0] if task.qualifiers else None,
            )
            yield item, f"Task/{task.id}"
