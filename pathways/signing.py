"""What speaks against signing an order now: what is lacking, a hold, what has become of the proposal.

The same rules are asked as when a decision to sign arrives (`pathways.decisions`); here they are asked before
somebody signs, also about orders that the pathway has not proposed itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pathways.definition import Activity, Pathway
from pathways.judge import Item
from pathways.memory import Memory, Order
from pathways.outlook import Situation
from pathways.reconstruction import Standing
from pathways.record import Entry, Json, pairs

Kind = Literal["no-side", "lacking", "held", "superseded", "signed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One reason not to sign an order now."""

    kind: Kind
    instance: str
    activity: Activity
    #: displays of what is lacking, or of the holds
    named: tuple[str, ...] = ()
    #: what the pathway remembers of such an order
    order: Order | None = None


def objections(standing: Standing, order: Entry) -> tuple[Objection, ...]:
    """Return what speaks against signing the order; nothing where the pathway knows no such order.

    Args:
        order: a ServiceRequest that nobody has signed yet.

    Raises:
        cql.EvaluationFailed: a rule erred.
    """
    found = _activity(standing.pathway, order.body)
    if found is None:
        return ()
    activity, of_code = found
    instances = _instances(standing, order, of_code)
    if not instances:
        return (Objection(kind="no-side", instance="", activity=activity),)
    return tuple(
        objection
        for instance in instances
        if standing.memories.get(instance, Memory()).stage is not None
        for objection in _of_instance(standing, instance, activity, order)
    )


def _activity(pathway: Pathway, body: Json) -> tuple[Activity, frozenset[str]] | None:
    """Return what kind of order of the pathway it is, and the sides that its code names."""
    stated = set(pairs(body.get("code")))
    for activity in pathway.activities.values():
        if activity.resource != "ServiceRequest":
            continue
        sides = frozenset(
            side for side, codings in activity.codings_by_side.items() if stated & _codes(codings)
        )
        if sides or stated & _codes(activity.codings):
            # A code that stands for several sides names none of them.
            return activity, sides if len(sides) == 1 else frozenset()
    return None


def _codes(codings: tuple[Json, ...]) -> set[tuple[str, str]]:
    return {(coding["system"], coding["code"]) for coding in codings}


def _instances(standing: Standing, order: Entry, of_code: frozenset[str]) -> list[str]:
    pathway = standing.pathway
    if not pathway.sides:
        return list(pathway.instances)
    structures = {e.reference: e.body for e in standing.case.record.received if e.type == "BodyStructure"}
    sides = pathway.gate.sides_of(order, structures) or of_code
    return [instance for instance in pathway.instances if instance in sides]


def _of_instance(standing: Standing, instance: str, activity: Activity, order: Entry) -> Iterator[Objection]:
    memory = standing.memories[instance]
    known = _remembered(memory, activity, order)
    if known is not None and known.state == "active":
        yield Objection(kind="signed", instance=instance, activity=activity, order=known)
    elif known is not None and not known.unsigned:
        yield Objection(kind="superseded", instance=instance, activity=activity, order=known)
    elif memory.holds:
        holds = tuple(str(standing.pathway.holds[hold.code]["display"]) for hold in memory.holds)
        yield Objection(kind="held", instance=instance, activity=activity, named=holds, order=known)
    lacking = tuple(_lacking(standing, instance, activity, order, known))
    if lacking:
        yield Objection(kind="lacking", instance=instance, activity=activity, named=lacking, order=known)


def _remembered(memory: Memory, activity: Activity, order: Entry) -> Order | None:
    """Return the order itself where it is the pathway's, else the newest of its kind: an open one first."""
    itself = memory.order(order.id)
    of_kind = [each for each in memory.orders if each.kind == activity.name]
    unsigned = [each for each in of_kind if each.unsigned]
    return itself or next(reversed(unsigned or of_kind), None)


def _lacking(
    standing: Standing, instance: str, activity: Activity, order: Entry, known: Order | None
) -> Iterator[str]:
    pathway = standing.pathway
    if pathway.precondition is None:
        return
    at = standing.moment.isoformat()
    item = (
        Item.of(known)
        if known is not None and known.unsigned
        else Item(
            id=order.id,
            kind=activity.name,
            state="draft",
            priority=str(order.body.get("priority", "routine")),
            made=at,
            since=at,
        )
    )
    others = (m.stage for side, m in standing.memories.items() if side not in (instance, "") and m.stage)
    situation = Situation(
        pathway,
        standing.case.record,
        standing.memories[instance],
        instance,
        site=standing.case.site,
        other_stage=next(others, None),
    )
    run = situation.judge(standing.moment).ask(situation.memory, item)
    for code in _listed(run[pathway.precondition]):
        yield str(pathway.qualifier(code)["display"])


def _listed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
