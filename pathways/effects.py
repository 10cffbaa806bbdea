"""The closed list of effects: how a rule changes what is remembered.

Effects touch memory only. What they mean for stored resources follows from the difference between the
memory before and after (see `render`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pathways import cql, identity
from pathways.definition import Effect, Pathway
from pathways.memory import Hold, Memory, Order, Task
from pathways.steps import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an effect may look at besides the memory and the rules."""

    now: datetime
    decision: Decision | None
    known: tuple[str, ...]  # the ids of all inputs received so far


def apply(effect: Effect, memory: Memory, run: cql.Run, context: Context) -> Memory:
    """Return the memory after one effect. `load` has refused a plan with an unknown kind."""
    return EFFECTS[effect.kind](effect, memory, run, context)


def enter(memory: Memory, stage: str, *, pathway: Pathway, now: datetime) -> Memory:
    """Return the memory in another stage: a new stay begins; a stage that is not open ends all holds."""
    return replace(
        memory,
        stage=stage,
        stage_before=memory.stage,
        stage_since=now.date().isoformat(),
        stage_entered=now.isoformat(),
        stay=memory.stay + 1,
        opened=memory.opened or now.date().isoformat(),
        holds=memory.holds if pathway.stages[stage].open else (),
    )


def held(memory: Memory, codes: Iterable[str], *, now: datetime) -> Memory:
    """Return the memory under holds of these codes; one that is there already is not set again."""
    known = {hold.code for hold in memory.holds}
    new = [Hold(code=code, input=None, since=now.isoformat()) for code in codes if code not in known]
    return replace(memory, holds=(*memory.holds, *new))


def settle_tasks(memory: Memory, *, signing: frozenset[str]) -> Memory:
    """Return the memory with the Tasks ended that have nothing left to wait for (fhir-contract 6.3)."""
    holding = {f"{hold.code}:{hold.input or ''}" for hold in memory.holds}
    for task in memory.tasks:
        if task.state != "open":
            continue
        if task.code in signing and not any(o.task == task.id and o.unsigned for o in memory.orders):
            memory = memory.with_task(replace(task, state="completed"))
        elif task.about and task.about.startswith("hold:") and task.about[5:] not in holding:
            memory = memory.with_task(replace(task, state="completed"))
    return memory


def plain(value: Any) -> Any:
    """Return a CQL value as the log keeps it: text, number, boolean or list of texts."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)


def _set(effect: Effect, memory: Memory, run: cql.Run, *_: Any) -> Memory:
    assert effect.name is not None
    assert effect.value is not None
    return memory.with_value(effect.name, plain(run[effect.value]))


def _clear(effect: Effect, memory: Memory, *_: Any) -> Memory:
    assert effect.name is not None
    return memory.with_value(effect.name, None)


def _orders(memory: Memory, effect: Effect, states: set[str], **changed: Any) -> Memory:
    for order in memory.orders:
        if order.state in states and (not effect.codes or order.kind in effect.codes):
            memory = memory.with_order(replace(order, **changed))
    return memory


def _revoke_drafts(effect: Effect, memory: Memory, *_: Any) -> Memory:
    return _orders(memory, effect, {"draft", "on-hold"}, state="revoked")


def _hold_drafts(effect: Effect, memory: Memory, *_: Any) -> Memory:
    return _orders(memory, effect, {"draft"}, state="on-hold")


def _complete_orders(effect: Effect, memory: Memory, *_: Any) -> Memory:
    return _orders(memory, effect, {"draft", "active"}, state="completed")


def _upgrade_drafts(effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    for order in memory.orders:
        if order.unsigned and order.priority == "routine" and order.kind in effect.codes:
            memory = memory.with_order(replace(order, priority="urgent", since=context.now.isoformat()))
    return memory


def _release_drafts(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    """Drafts on hold come back in the stage the instance was diverted from; other drafts are revoked."""
    decision = context.decision
    back = decision is not None and decision.stage == memory.stage_before
    for order in memory.orders:
        if order.state == "on-hold":
            memory = memory.with_order(replace(order, state="draft" if back else "revoked"))
        elif order.state == "draft" and decision is not None and decision.stage != memory.stage:
            memory = memory.with_order(replace(order, state="revoked"))
    return memory


def _cancel_tasks(_effect: Effect, memory: Memory, *_: Any) -> Memory:
    for task in memory.tasks:
        if task.state == "open":
            memory = memory.with_task(replace(task, state="cancelled"))
    return memory


def _complete_tasks(effect: Effect, memory: Memory, *_: Any) -> Memory:
    for task in memory.tasks:
        if task.state == "open" and task.code in effect.codes:
            memory = memory.with_task(replace(task, state="completed"))
    return memory


def _close(_effect: Effect, memory: Memory, *_: Any) -> Memory:
    return replace(memory, closed=True)


def _hold(effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    return held(memory, effect.codes, now=context.now)


def _resolve_holds(_effect: Effect, memory: Memory, *_: Any) -> Memory:
    accepted = tuple(pair for hold in memory.holds for pair in hold.pair)
    return replace(memory, holds=(), accepted_pairs=(*memory.accepted_pairs, *accepted))


def _sign(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    order = _focus_order(memory, context)
    signed = identity.derive("signed", order.id)
    return memory.with_order(replace(order, state="active", signed=context.now.isoformat(), order=signed))


def _revoke_focus(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    return memory.with_order(replace(_focus_order(memory, context), state="revoked"))


def _acknowledge(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    focus = _focus_id(context)
    order, task = memory.order(focus), memory.task(focus)
    if order is not None:
        return memory.with_order(replace(order, acknowledged=True))
    assert task is not None
    return memory.with_task(replace(task, acknowledged=True))


def _close_task(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    task: Task | None = memory.task(_focus_id(context))
    assert task is not None
    return memory.with_task(replace(task, state="completed"))


def _mark_handled(_effect: Effect, memory: Memory, _run: cql.Run, context: Context) -> Memory:
    """Everything known is acknowledged: it was seen by the person who decided."""
    reopened = replace(memory, holds=(), closed=False)
    return reopened.with_value(
        "Acknowledged", sorted({*context.known, *memory.values.get("Acknowledged", ())})
    )


def _focus_id(context: Context) -> str:
    assert context.decision is not None
    assert context.decision.focus is not None
    return context.decision.focus.partition("/")[2]


def _focus_order(memory: Memory, context: Context) -> Order:
    order = memory.order(_focus_id(context))
    assert order is not None
    return order


EFFECTS: dict[str, Callable[[Effect, Memory, cql.Run, Context], Memory]] = {
    "set": _set,
    "clear": _clear,
    "revoke-drafts": _revoke_drafts,
    "hold-drafts": _hold_drafts,
    "release-drafts": _release_drafts,
    "complete-orders": _complete_orders,
    "upgrade-drafts": _upgrade_drafts,
    "cancel-tasks": _cancel_tasks,
    "complete-tasks": _complete_tasks,
    "mark-handled": _mark_handled,
    "close": _close,
    "hold": _hold,
    "resolve-holds": _resolve_holds,
    "sign": _sign,
    "revoke-focus": _revoke_focus,
    "acknowledge": _acknowledge,
    "close-task": _close_task,
}
