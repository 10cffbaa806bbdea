"""The plans of two records that are one: which goes on, what of the other goes with it, and the hold on it.

The log of a plan that goes on for the other record is carried over, so that its corrections find the steps
they are about; nothing of the first log is changed. Everything happens in the caller's transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pathways import identity, joining, naming, narrative, parameters
from pathways.basis import basis
from pathways.definition import Pathway
from pathways.edition import ENGINE
from pathways.memory import Memory, Task
from pathways.raising import due
from pathways.record import Json
from pathways.render import render
from pathways.sheet import Sheet
from pathways.steps import PERSON, Outcome, Raised, Step
from service.store import decisions, resources
from service.store.decisions import Row
from service.store.site import Site

#: of what the engine made, what a joining may change
TYPES = ("CarePlan", "Condition", "Flag", "Goal", "ServiceRequest", "Task")

#: as the code system of rules has them, so that pages say them in every language
TITLES = {
    joining.JOINED: "Records joined",
    joining.PARTED: "Records parted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What holds for all plans of one joining, or parting."""

    tx: Connection
    tenant: int
    run: UUID
    #: service clock
    at: datetime
    site: Site
    #: the ids of the Patients
    source: str
    target: str
    #: what is named otherwise now, by reference
    names: Mapping[str, str] = field(default_factory=dict)
    #: ids of facts that stand for others, by those
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """How one plan was joined; kept, so that it can be undone."""

    pathway: str
    instance: str
    #: taken, folded or held, see `pathways.joining`
    how: str
    #: by how much the steps of the log are counted from another number
    offset: int
    #: of the step in the log of the record that stays
    number: int


@dataclass(slots=True)
class Written:
    """What is to be stored."""

    rows: list[Row] = field(default_factory=list)
    resources: dict[str, Json] = field(default_factory=dict)
    joined: list[Joined] = field(default_factory=list)


def plan_id(of: Setting, patient: str, pathway: Pathway, instance: str, kind: str = "CarePlan") -> str:
    """Return the id that the CarePlan, or the Condition, of an instance has for a patient."""
    return identity.derive(of.tenant, patient, pathway.name, instance, kind)


def names(of: Setting, pathways: Sequence[Pathway]) -> dict[str, str]:
    """Return as what each plan of the record that goes is known in the one that stays, by reference."""
    found = {}
    for pathway in pathways:
        for instance, memory in memories(of, of.source, pathway).items():
            if memory.stage is not None:
                for kind in ("CarePlan", "Condition"):
                    old, new = (plan_id(of, who, pathway, instance, kind) for who in (of.source, of.target))
                    found[f"{kind}/{old}"] = f"{kind}/{new}"
    return found


def memories(of: Setting, patient: str, pathway: Pathway) -> dict[str, Memory]:
    """Return what is remembered of a patient's instances of a pathway."""
    latest = decisions.latest(of.tx, patient, tenant=of.tenant)
    return {
        instance: Memory.from_json(row.after)
        for (name, instance), row in latest.items()
        if name == pathway.name
    }


def join(of: Setting, pathways: Sequence[Pathway]) -> Written:
    """Return what becomes of the plans, after everything else of the record was moved."""
    written = Written()
    for pathway in pathways:
        goes, stays = memories(of, of.source, pathway), memories(of, of.target, pathway)
        steps = []
        for instance in (*pathway.instances, PERSON):
            one = joining.named(goes[instance], of.names, of.ids) if instance in goes else None
            joined = _join(of, pathway, instance, one, stays.get(instance, Memory()))
            if joined is None:
                continue
            how, offset, step = joined
            written.joined.append(
                Joined(pathway=pathway.name, instance=instance, how=how, offset=offset, number=step.number)
            )
            if how == "taken":
                written.rows += carried(of, pathway, instance, of.source, of.target, offset)
            steps.append(step)
        written.rows += logged(of, pathway, of.target, steps)
        found = rendered(of, pathway, of.target, steps)
        for instance in {step.instance for step in steps} & set(goes) - {PERSON}:
            _replacing(of, pathway, instance, found)
        written.resources |= found
    return written


def carried(
    of: Setting, pathway: Pathway, instance: str, one: str, other: str, offset: int, after: int = 0
) -> list[Row]:
    """Return the log of an instance as that of another record.

    Args:
        offset: by how much its steps are counted from another number.
        after: only the steps behind this one.
    """
    log = decisions.of_instance(of.tx, one, pathway.name, instance, tenant=of.tenant)
    return [
        replace(
            row,
            patient=other,
            number=row.number + offset,
            run=of.run,
            before=_memory(of, row.before, offset),
            after=_memory(of, row.after, offset),
            basis={**naming.renamed(row.basis, of.names), "carried": one},
        )
        for row in reversed(log)
        if row.number > after
    ]


def logged(of: Setting, pathway: Pathway, patient: str, steps: Sequence[Step]) -> list[Row]:
    """Return the rows of the log for the steps."""
    chosen = parameters.concerning(pathway, of.site.parameters)
    site = parameters.resolve(pathway, chosen)
    return [
        Row(
            tenant=of.tenant,
            patient=patient,
            pathway=pathway.name,
            instance=step.instance,
            number=step.number,
            at=of.at,
            run=of.run,
            rule=step.rule,
            before=step.before.to_json(),
            after=step.after.to_json(),
            basis=basis(
                pathway,
                step,
                engine=ENGINE,
                # No day is counted here.
                zones="",
                profile=_profile(pathway, chosen),
                changed=parameters.changed(pathway, site),
            ),
        )
        for step in steps
    ]


def rendered(of: Setting, pathway: Pathway, patient: str, steps: Sequence[Step]) -> dict[str, Json]:
    """Return the resources that the steps make or change, by reference."""
    chosen = parameters.concerning(pathway, of.site.parameters)
    site = parameters.resolve(pathway, chosen)
    stored = resources.of_patient(of.tx, patient, types=TYPES, owned=True, tenant=of.tenant)
    who = resources.current(of.tx, "Patient", patient, tenant=of.tenant)
    assert who is not None
    sheet = Sheet(
        pathway=pathway,
        tenant=of.tenant,
        patient=patient,
        profile=_profile(pathway, chosen),
        changed=parameters.changed(pathway, site),
        stored={one.reference: one.resource for one in stored},
        engine=ENGINE,
        language=narrative.language(pathway, who.resource),
    )
    zone = ZoneInfo(str(site["site.timeZone"]))
    remembered = {step.instance: step.after for step in steps}
    render(sheet, Outcome(at=of.at.astimezone(zone), steps=tuple(steps), memories=remembered))
    return sheet.written


def step(
    of: Setting, pathway: Pathway, patient: str, instance: str, rule: str, before: Memory, after: Memory
) -> Step:
    """Return the step from one memory to the other, with a person asked about a plan that is open then."""
    number = before.steps + 1
    after = replace(after, steps=number)
    raised: tuple[Raised, ...] = ()
    if instance != PERSON and joining.is_open(pathway, after):
        asked = _asked(of, pathway, patient, instance, number)
        task = Task(
            id=asked.id,
            code=joining.CONFIRM.code,
            state="open",
            made=of.at.isoformat(),
            step=number,
            about=joining.asks(rule),
        )
        after, raised = joining.held(after, rule, of.at.isoformat(), task), (asked,)
    return Step(
        instance=instance,
        number=number,
        rule=rule,
        action=None,
        title=TITLES[rule],
        before=before,
        after=joining.settled(pathway, after),
        raised=raised,
        silent=instance == PERSON,
    )


def _join(
    of: Setting, pathway: Pathway, instance: str, one: Memory | None, other: Memory
) -> tuple[str, int, Step] | None:
    """Return how an instance is joined, from which number its steps count, and the step."""
    if instance == PERSON:
        if one is None:
            return None
        how, offset, before, after = "folded", 0, joining.united(other, one), joining.folded(other, one)
    elif one is not None and one.stage is not None and _goes_on(pathway, one, other):
        how, offset = "taken", other.steps
        moved = joining.shifted(one, offset)
        before, after = joining.united(moved, other), joining.folded(moved, other)
    elif one is not None and one.stage is not None:
        how, offset, before, after = "folded", 0, joining.united(other, one), joining.folded(other, one)
    elif joining.is_open(pathway, other):
        how, offset, before, after = "held", 0, other, other
    else:
        return None
    return how, offset, step(of, pathway, of.target, instance, joining.JOINED, before, after)


def _goes_on(pathway: Pathway, one: Memory, other: Memory) -> bool:
    """Return whether the plan of the record that goes is the one that goes on."""
    if other.stage is None:
        return True
    if not joining.is_alive(pathway, one):
        return False
    # What stands apart does so for a reason that must not be lost in a plan that goes on by itself.
    apart = not joining.is_open(pathway, one) and joining.is_open(pathway, other)
    return apart or not joining.is_alive(pathway, other)


def _replacing(of: Setting, pathway: Pathway, instance: str, found: dict[str, Json]) -> None:
    """Have the plan that goes on say which one it replaces, and that one that it has ended."""
    old, new = (f"CarePlan/{plan_id(of, who, pathway, instance)}" for who in (of.source, of.target))
    ended = resources.current(of.tx, *old.split("/"), tenant=of.tenant)
    if new not in found or ended is None:
        return
    plan, body = found[new], ended.resource
    replaces = {"reference": old}
    goals = [goal for goal in body.get("goal", ()) if goal not in plan.get("goal", ())]
    if goals:
        plan["goal"] = [*plan.get("goal", ()), *goals]
    plan["replaces"] = [*(r for r in plan.get("replaces", ()) if r != replaces), replaces]
    found[old] = {**body, "status": "revoked"}
    condition = f"Condition/{plan_id(of, of.source, pathway, instance, 'Condition')}"
    problem = resources.current(of.tx, *condition.split("/"), tenant=of.tenant)
    if problem is not None:
        status = problem.resource["clinicalStatus"]["coding"][0]
        ends = {**status, "code": "inactive", "display": "Inactive"}
        found[condition] = {**problem.resource, "clinicalStatus": {"coding": [ends]}}


def _asked(of: Setting, pathway: Pathway, patient: str, instance: str, number: int) -> Raised:
    activity = joining.CONFIRM
    return Raised(
        id=identity.derive(of.tenant, patient, pathway.name, instance, activity.shorthand, number, 0),
        activity=activity,
        priority=str(activity.priority),
        due=due(activity, str(activity.priority), of.at),
        focus=f"CarePlan/{plan_id(of, patient, pathway, instance)}",
    )


def _memory(of: Setting, kept: Mapping[str, Any], offset: int) -> dict[str, Any]:
    memory = joining.named(Memory.from_json(kept), of.names, of.ids)
    return joining.shifted(memory, offset).to_json()


def _profile(pathway: Pathway, chosen: Mapping[str, Any]) -> str:
    return str(chosen.get(parameters.PROFILE, pathway.default_profile))


def each(kept: Sequence[Mapping[str, Any]]) -> Iterator[Joined]:
    """Yield how the plans were joined, as it was kept."""
    for one in kept:
        yield Joined(**one)
