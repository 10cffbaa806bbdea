"""What is remembered of a plan when two records of one person become one, and when they are parted again.

    taken    only one record has the plan, or only its plan is open: it goes on for the record that stays
    folded   both have it: the one of the record that stays goes on, with the open work of the other
    held     only the record that stays has it: findings of the other are new to it

Whatever is open then waits: nothing is done by itself until a person has looked. Proposals of the plan that
was folded are revoked, which is safe; what was signed stands.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fhir_profiles import canonical
from pathways import effects, naming
from pathways.definition import Activity, Pathway
from pathways.memory import Hold, Memory, Task

#: the rules of the steps, and the holds that they set
JOINED = "records-joined"
PARTED = "records-parted"

#: what is asked of a person when a plan is held because of it
CONFIRM = Activity(
    id="confirm-record",
    canonical="",
    shorthand="TK:confirm-record",
    resource="Task",
    title="Confirm the plan of a joined or parted record",
    codings=(
        {
            "system": canonical.TASKS,
            "code": "confirm-record",
            "display": "Confirm the plan of a joined or parted record",
        },
    ),
    codings_by_side={},
    categories=(),
    priority="urgent",
    role={
        "system": canonical.ROLES,
        "code": "responsible-clinician",
        "display": "Responsible clinician",
    },
    due={"value": 1, "code": "d"},
    due_by_priority={},
    focus=None,
    signing_task=None,
    severity=None,
    task=None,
)


def is_open(pathway: Pathway, memory: Memory) -> bool:
    """Return whether the plan is in a stage in which the pathway works, and was not closed."""
    stage = pathway.stages.get(memory.stage or "")
    return stage is not None and stage.open and not memory.closed


def is_alive(pathway: Pathway, memory: Memory) -> bool:
    """Return whether somebody has still to do with the plan: it is not closed, and in no final stage."""
    stage = pathway.stages.get(memory.stage or "")
    return stage is not None and stage.plan_status != "completed" and not memory.closed


def named(memory: Memory, names: Mapping[str, str], ids: Mapping[str, str]) -> Memory:
    """Return the memory with other names for what is kept under another id.

    Args:
        names: by reference, as `naming.renamed` takes them.
        ids: of facts, by the id they had.
    """
    kept = naming.renamed(memory.to_json(), names)
    if ids:
        for part in ("values", "acceptedPairs", "raised", "holds"):
            kept[part] = naming.with_ids(kept[part], ids)
    return Memory.from_json(kept)


def shifted(memory: Memory, by: int) -> Memory:
    """Return the memory with the steps of its log counted from another number."""
    if not by:
        return memory
    standing = "left-standing:"
    return replace(
        memory,
        steps=memory.steps + by,
        orders=tuple(replace(order, step=order.step + by) for order in memory.orders),
        tasks=tuple(replace(task, step=task.step + by) for task in memory.tasks),
        path=tuple(number + by for number in memory.path),
        raised=tuple(
            f"{standing}{int(key.removeprefix(standing)) + by}" if key.startswith(standing) else key
            for key in memory.raised
        ),
    )


def united(one: Memory, other: Memory) -> Memory:
    """Return the first memory with the work of the other beside its own, nothing changed yet."""
    orders, tasks = {order.id for order in one.orders}, {task.id for task in one.tasks}
    return replace(
        one,
        # The log of the other is another one: a correction of this plan takes back none of its work.
        orders=(*one.orders, *(replace(o, step=0) for o in other.orders if o.id not in orders)),
        tasks=(*one.tasks, *(replace(t, step=0) for t in other.tasks if t.id not in tasks)),
    )


def folded(one: Memory, other: Memory) -> Memory:
    """Return the first memory with the other's work joined to it.

    A Task that both have open is kept once; what the other had proposed is revoked. What has been said of
    either is not said again.
    """
    both = united(one, other)
    asked = {_asks(task) for task in one.tasks if task.state == "open"}
    theirs = {task.id for task in other.tasks} - {task.id for task in one.tasks}
    for task in both.tasks:
        if task.id in theirs and task.state == "open" and _asks(task) in asked:
            both = both.with_task(replace(task, state="cancelled"))
    for order in other.orders:
        if one.order(order.id) is None and order.unsigned:
            both = both.with_order(replace(order, step=0, state="revoked"))
    known = {_reason(hold) for hold in one.holds}
    return replace(
        both,
        holds=(*one.holds, *(hold for hold in other.holds if _reason(hold) not in known)),
        values=_values(one.values, other.values),
        accepted_pairs=_all(one.accepted_pairs, other.accepted_pairs),
        raised=_all(one.raised, other.raised),
        opened=min(filter(None, (one.opened, other.opened)), default=None),
    )


def unfolded(now: Memory, then: Memory, one: Memory, other: Memory) -> tuple[Memory, Memory]:
    """Return what was folded apart again: what stays, and what goes back, with what became of it since.

    What stays remembers nothing that only the other had brought: a day that was another patient's would
    be counted from, and what was said of another patient not be said of this one.

    Args:
        now: of the plan that goes on.
        then: the same, right after the other was folded into it.
        one: the same, before.
        other: the other as it was before.
    """
    orders, tasks = {order.id for order in other.orders}, {task.id for task in other.tasks}
    back = other
    for order in other.orders:
        was, is_ = then.order(order.id), now.order(order.id)
        if (
            was
            and is_
            and (was.state, was.acknowledged, was.order) != (is_.state, is_.acknowledged, is_.order)
        ):
            back = back.with_order(replace(is_, step=order.step))
    for task in other.tasks:
        seen, became = then.task(task.id), now.task(task.id)
        if seen and became and (seen.state, seen.acknowledged) != (became.state, became.acknowledged):
            back = back.with_task(replace(became, step=task.step))
    stays = replace(
        now,
        orders=tuple(order for order in now.orders if order.id not in orders),
        tasks=tuple(task for task in now.tasks if task.id not in tasks),
        holds=tuple(hold for hold in now.holds if _reason(hold) not in _brought(then.holds, one.holds)),
        values=_own_values(now.values, then.values, one.values),
        accepted_pairs=_own(now.accepted_pairs, then.accepted_pairs, one.accepted_pairs),
        raised=_own(now.raised, then.raised, one.raised),
        opened=one.opened if now.opened == then.opened else now.opened,
    )
    return stays, back


def held(memory: Memory, code: str, since: str, task: Task) -> Memory:
    """Return the memory under this hold alone of the two, with the Task that asks a person about it."""
    others = tuple(hold for hold in memory.holds if hold.code not in (JOINED, PARTED))
    return replace(memory, holds=(*others, Hold(code=code, input=None, since=since))).with_task(task)


def asks(code: str) -> str:
    """Return what a Task that asks about the hold is about: it ends with the hold."""
    return f"hold:{code}:"


def settled(pathway: Pathway, memory: Memory) -> Memory:
    """Return the memory with the Tasks ended that have nothing left to wait for."""
    signing = frozenset(a.signing_task for a in pathway.activities.values() if a.signing_task is not None)
    return effects.settle_tasks(memory, signing=signing)


def _asks(task: Task) -> tuple[object, ...]:
    return task.code, task.qualifiers, task.about


def _values(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is remembered of both: a list is everything of both, of the rest the first one's holds."""
    found = {**other, **one}
    for name in set(one) & set(other):
        if isinstance(one[name], list) and isinstance(other[name], list):
            found[name] = sorted({*one[name], *other[name]})
    return found


def _all(one: Collection[str], other: Iterable[str]) -> tuple[str, ...]:
    return (*one, *(key for key in other if key not in one))


def _reason(hold: Hold) -> tuple[str, str | None]:
    return hold.code, hold.input


def _brought(then: Iterable[Hold], one: Iterable[Hold]) -> set[tuple[str, str | None]]:
    return {_reason(hold) for hold in then} - {_reason(hold) for hold in one}


def _own_values(now: Mapping[str, Any], then: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is remembered now, without what the other had brought and nobody has changed since."""
    since = {name: value for name, value in now.items() if name not in then or then[name] != value}
    before = {name: value for name, value in one.items() if name in now and name not in since}
    for name, value in since.items():
        if isinstance(value, list) and isinstance(brought := then.get(name), list):
            since[name] = list(_own(value, brought, one.get(name, ())))
    return {**before, **since}


def _own(now: Iterable[str], then: Iterable[str], one: Collection[str]) -> tuple[str, ...]:
    brought = {key for key in then if key not in one}
    return tuple(key for key in now if key not in brought)
