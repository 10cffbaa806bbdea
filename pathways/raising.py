"""What a rule raises: its outputs, with ids, priorities, due dates and the links between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from pathways import cql, identity
from pathways.definition import Activity, Output, Pathway
from pathways.memory import Memory, Order, Task
from pathways.steps import Raised

UNITS = {"min": "minutes", "h": "hours", "d": "days", "wk": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an output comes from: everything its id is derived from, and what it may point to."""

    pathway: Pathway
    tenant: int
    patient: str
    instance: str
    step: int
    now: datetime
    plan: str | None  # reference to the CarePlan; None for the person
    item: str | None = None  # reference to what the rule was asked about

    def derive(self, activity: Activity, key: object) -> str:
        """Return the id of this output."""
        return identity.derive(
            self.tenant, self.patient, self.pathway.name, self.instance, activity.shorthand, self.step, key
        )


def raise_outputs(
    outputs: Sequence[Output], memory: Memory, origin: Origin, *, before: cql.Run, after: cql.Run
) -> tuple[Memory, tuple[Raised, ...]]:
    """Return the memory with the new orders and Tasks, and what was raised, in the order of the plan.

    Conditions and qualifiers are asked as the instance was before the step; due dates as it is after it.
    """
    raised: list[Raised] = []
    spoken: list[str] = []
    for output in outputs:
        if output.when is not None and before[output.when] is not True:
            continue
        if output.once is not None:
            key = f"{output.activity.id}:{before[output.once]}"
            if key in memory.raised or key in spoken:
                continue
            spoken.append(key)
        raised.append(_raise(output, origin, before, after, number=len(raised)))
    linked = tuple(_link(one, raised, origin) for one in raised)
    memory = replace(memory, raised=(*memory.raised, *spoken))
    return _remember(memory, linked, origin), linked


def due(activity: Activity, priority: str, now: datetime) -> datetime | None:
    """Return when something of this kind is due: by its priority, or after a fixed time."""
    within = activity.due_by_priority.get(priority) or activity.due
    return now + timedelta(**{UNITS[within["code"]]: int(within["value"])}) if within else None


def _raise(output: Output, origin: Origin, before: cql.Run, after: cql.Run, *, number: int) -> Raised:
    activity = output.activity
    priority = activity.priority or _text(before, output.priority) or "routine"
    on = after[output.due] if output.due else None
    return Raised(
        id=origin.derive(activity, number),
        activity=activity,
        priority=priority,
        qualifiers=(*output.reasons, *_texts(before, output.qualifiers)),
        details=_texts(before, output.details),
        due=_at(on, origin.now) if on is not None else due(activity, priority, origin.now),
        focus=origin.plan,
    )


def _link(one: Raised, together: Sequence[Raised], origin: Origin) -> Raised:
    """Return the output with its focus: a signing Task points to the proposals raised with it."""
    if one.activity.focus == "order":
        orders = tuple(o.reference for o in together if o.activity.signing_task == one.activity.code)
        return replace(one, focus=orders[-1] if orders else origin.plan, orders=orders)
    if one.activity.focus == "issue":
        issue = next((o for o in together if o.activity.resource == "DetectedIssue"), None)
        return replace(one, focus=issue.reference if issue else one.focus)
    if one.activity.focus in {"item", "input"} and origin.item:
        return replace(one, focus=origin.item)
    return one


def _remember(memory: Memory, raised: Sequence[Raised], origin: Origin) -> Memory:
    now = origin.now.isoformat()
    for one in raised:
        if one.activity.resource == "Task":
            task = Task(
                id=one.id,
                code=one.activity.code,
                state="open",
                made=now,
                step=origin.step,
                qualifiers=one.qualifiers,
            )
            memory = memory.with_task(task)
        elif one.activity.resource == "ServiceRequest":
            signing = (t for t in raised if one.reference in t.orders)
            order = Order(
                id=one.id,
                kind=one.activity.name,
                state="draft",
                priority=one.priority,
                made=now,
                since=now,
                step=origin.step,
                task=next((t.id for t in signing), None),
            )
            memory = memory.with_order(order)
    return memory


def _text(run: cql.Run, name: str | None) -> str | None:
    value = run[name] if name else None
    return None if value is None else str(value)


def _texts(run: cql.Run, name: str | None) -> tuple[str, ...]:
    value: Any = run[name] if name else None
    return tuple(str(item) for item in value or ())


def _at(day: Any, now: datetime) -> datetime:
    """Return the instant of a due day: the time of day of the evaluation, in the zone of the site."""
    return datetime.combine(date.fromisoformat(str(day)), time(now.hour, now.minute, now.second), now.tzinfo)
