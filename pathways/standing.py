"""Standing work: what a stage owes while an instance is in it, raised once per what the plan says.

Timers have the same form. They are conditions on the present; an instant at which one may change is noted,
so that the patient is looked at again then.
"""

from collections.abc import Iterator
from datetime import datetime

from pathways.definition import Rule
from pathways.judge import Item, met
from pathways.memory import Memory
from pathways.transitions import applies
from pathways.turn import Turn


def raise_due(turn: Turn, side: str) -> None:
    """Raise the standing work of the stage the instance is now in."""
    for rule in turn.pathway.of_kind("standing"):
        if not applies(rule, turn.memory(side)):
            continue
        if rule.for_each is None:
            _raise(turn, side, rule, None, None)
        else:
            for item, reference in list(_items(rule.for_each, turn.memory(side), turn.signing)):
                _raise(turn, side, rule, item, reference)


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
                item = Item(
                    id=order.id,
                    kind=order.kind,
                    state=order.state,
                    priority=order.priority,
                    made=order.made,
                    since=order.since,
                    signed=order.signed,
                    acknowledged=order.acknowledged,
                )
                yield item, f"ServiceRequest/{order.order or order.id}"
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
                priority="",
                made=task.made,
                since=task.made,
                acknowledged=task.acknowledged,
                category=task.qualifiers[0] if task.qualifiers else None,
            )
            yield item, f"Task/{task.id}"
