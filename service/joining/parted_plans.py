"""The plans of two records that are parted again: which goes back, as what, and the hold on each.

taken    the plan goes back with everything that became of it; the other record has what it had before
folded   the plan that went on stays, without the work of the other, which is a plan of its own again
held     the plan stays; the findings of the other are gone from it
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pathways import joining as remembered
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.record import Json
from pathways.sheet import present
from pathways.steps import PERSON, Step
from service.joining import facts, plans
from service.joining.facts import Held
from service.joining.plans import Joined, Setting
from service.store import decisions, resources
from service.store.decisions import Row
from service.store.joinings import Joining, Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One plan that was joined: how, and what is remembered of it."""

    joined: Joined
    pathway: Pathway
    #: of the plan that goes on: now, right after it was joined, and before
    now: Memory
    then: Memory
    #: of the record that stays, before
    stayed: Memory
    #: of the record that went, before
    went: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is read before anything is moved back."""

    cases: Sequence[Case]
    #: as what the plans are known in the record that went, by reference
    names: Mapping[str, str]


@dataclass(slots=True)
class Written:
    """What is to be stored: rows of both logs, and resources by patient and reference."""

    rows: list[Row] = field(default_factory=list)
    resources: dict[str, dict[str, Json]] = field(default_factory=dict)
    #: the id of each plan, and whether it `goes` or `stays`
    plans: list[tuple[str, str]] = field(default_factory=list)


def remember(of: Setting, kept: Sequence[Joined], pathways: Sequence[Pathway]) -> Before:
    """Return what is remembered of the plans that were joined."""
    cases, names = [], {}
    for one in kept:
        pathway = next((p for p in pathways if p.name == one.pathway), None)
        if pathway is None:
            # It is not installed any more: nothing is done for it, and its resources go back as they are.
            continue
        log = decisions.of_instance(of.tx, of.target, one.pathway, one.instance, tenant=of.tenant)
        theirs = plans.memories(of, of.source, pathway).get(one.instance, Memory())
        by_number = {row.number: row for row in log}
        then = by_number[one.number]
        stayed = by_number.get(one.offset if one.how == "taken" else one.number - 1)
        cases.append(
            Case(
                joined=one,
                pathway=pathway,
                now=Memory.from_json(log[0].after),
                then=Memory.from_json(then.after),
                stayed=Memory.from_json(stayed.after) if stayed else Memory(),
                went=theirs,
            )
        )
        if one.how == "taken":
            for kind in ("CarePlan", "Condition"):
                old, new = (
                    plans.plan_id(of, who, pathway, one.instance, kind) for who in (of.source, of.target)
                )
                names[f"{kind}/{new}"] = f"{kind}/{old}"
    return Before(cases=cases, names=names)


def made_since(of: Setting, joining: Joining, moved: Sequence[Moved], before: Before) -> list[Held]:
    """Return what the engine made since of plans that go back."""
    taken = [case for case in before.cases if case.joined.how == "taken"]
    if not taken:
        return []
    own = {reference.partition("/")[2] for reference in before.names} | {
        plans.plan_id(of, of.target, case.pathway, case.joined.instance) for case in taken
    }
    identities = {one.identity for one in moved}
    named = [f"CarePlan/{plans.plan_id(of, of.target, c.pathway, c.joined.instance)}" for c in taken]
    sides = [c.pathway.sides[c.joined.instance].coding for c in taken if c.pathway.sides]
    return [
        held
        for held in facts.since(of.tx, of.target, joining.mark, identities, tenant=of.tenant)
        if held.stored.owned
        and held.stored.id not in own
        and _belongs(held.stored.resource, held.stored.body, named, sides)
    ]


def part(
    of: Setting,
    before: Before,
    names: Mapping[str, str],
    pathways: Sequence[Pathway],
    read: Collection[str],
) -> Written:
    """Return what becomes of the plans, after everything else was moved back.

    Args:
        names: what is named otherwise in the record that went, by reference.
        read: by what it is remembered that the decisions that go back were read.
    """
    written = Written()
    back = replace(of, names=names)
    for pathway in pathways:
        goes: list[Step] = []
        stays: list[Step] = []
        ended: dict[str, Json] = {}
        for case in (case for case in before.cases if case.pathway is pathway):
            if case.joined.how == "taken":
                _taken(back, case, written, goes, stays, ended)
            elif case.joined.how == "folded":
                _folded(back, case, goes, stays)
            else:
                stays.append(_step(of, case, of.target, case.now, case.now))
        _read(of, pathway, read, goes)
        for patient, steps in ((of.source, goes), (of.target, stays)):
            written.rows += plans.logged(of, pathway, patient, steps)
            shown = [step for step in steps if step.after.stage or step.instance == PERSON]
            found = plans.rendered(of, pathway, patient, shown)
            written.resources.setdefault(patient, {}).update(found)
            written.plans += [
                (plans.plan_id(of, patient, pathway, step.instance), "goes" if steps is goes else "stays")
                for step in steps
                if step.instance != PERSON and step.after.stage
            ]
        for step in goes:
            _no_longer_replaced(of, pathway, step.instance, written.resources)
        for reference, body in ended.items():
            written.resources[of.target].setdefault(reference, body)
    return written


def _taken(
    of: Setting, case: Case, written: Written, goes: list[Step], stays: list[Step], ended: dict[str, Json]
) -> None:
    joined, pathway = case.joined, case.pathway
    offset = joined.offset
    # The numbers behind the joining are free in the first log: nothing was written there since.
    written.rows += plans.carried(
        of, pathway, joined.instance, of.target, of.source, -offset, after=joined.number - 1
    )
    now, then = (
        remembered.shifted(remembered.named(each, of.names, of.ids), -offset)
        for each in (case.now, case.then)
    )
    alone, _ = remembered.unfolded(now, then, case.went, case.stayed)
    goes.append(_step(of, case, of.source, now, alone))
    _, stayed = remembered.unfolded(case.now, case.then, case.went, case.stayed)
    shown = replace(_as_shown(case.stayed, case.now), steps=case.now.steps)
    stays.append(_step(of, case, of.target, shown, stayed))
    if case.stayed.stage is None:
        plan = plans.plan_id(of, of.target, pathway, joined.instance)
        stored = resources.current(of.tx, "CarePlan", plan, tenant=of.tenant)
        if stored is not None:
            # Its work and its goals are the other record's again.
            body = {k: v for k, v in stored.resource.items() if k not in ("replaces", "activity", "goal")}
            ended[stored.reference] = {**body, "status": "revoked"}


def _folded(of: Setting, case: Case, goes: list[Step], stays: list[Step]) -> None:
    alone, theirs = remembered.unfolded(case.now, case.then, case.stayed, case.went)
    stays.append(_step(of, case, of.target, case.now, alone))
    if case.went.stage is not None or case.joined.instance == PERSON:
        back = remembered.named(theirs, of.names, of.ids)
        # What became of it is shown by comparing with how it was shown while it was folded.
        shown = remembered.named(_as_shown(case.went, case.now), of.names, of.ids)
        goes.append(_step(of, case, of.source, shown, back))


def _read(of: Setting, pathway: Pathway, read: Collection[str], goes: list[Step]) -> None:
    """Have the decisions that go back remembered as read there: what was decided is not decided once more."""
    here = plans.memories(of, of.target, pathway).get(PERSON, Memory())
    keys = [key for key in here.raised if key in read]
    step = next((step for step in goes if step.instance == PERSON), None)
    if step is not None:
        goes.remove(step)
        after = replace(step.after, raised=(*step.after.raised, *keys))
        goes.append(replace(step, after=after))
    elif keys:
        memory = plans.memories(of, of.source, pathway).get(PERSON, Memory())
        after = replace(memory, raised=(*memory.raised, *keys))
        goes.append(plans.step(of, pathway, of.source, PERSON, remembered.PARTED, memory, after))


def _as_shown(then: Memory, now: Memory) -> Memory:
    """Return what was folded with the state in which its work is shown now."""
    shown = then
    for order in then.orders:
        if is_ := now.order(order.id):
            shown = shown.with_order(replace(order, state=is_.state, order=is_.order))
    for task in then.tasks:
        if became := now.task(task.id):
            shown = shown.with_task(replace(task, state=became.state))
    return shown


def _step(of: Setting, case: Case, patient: str, before: Memory, after: Memory) -> Step:
    return plans.step(of, case.pathway, patient, case.joined.instance, remembered.PARTED, before, after)


def _no_longer_replaced(
    of: Setting, pathway: Pathway, instance: str, written: dict[str, dict[str, Json]]
) -> None:
    """Have the plan that stays no longer say that it replaces the one that went back, nor have its goals."""
    old, new = (plans.plan_id(of, who, pathway, instance) for who in (of.source, of.target))
    theirs = written.get(of.target, {})
    reference = f"CarePlan/{new}"
    if instance == PERSON or reference not in theirs:
        return
    kept = [r for r in theirs[reference].get("replaces", ()) if r != {"reference": f"CarePlan/{old}"}]
    plan = theirs[reference]
    own = [goal for goal in plan.get("goal", ()) if _is_of(of, goal["reference"], of.target)]
    body = {k: v for k, v in plan.items() if k not in ("replaces", "goal")}
    theirs[reference] = present({**body, "replaces": kept, "goal": own})


def _is_of(of: Setting, reference: str, patient: str) -> bool:
    type_, _, id_ = reference.partition("/")
    stored = resources.current(of.tx, type_, id_, tenant=of.tenant)
    return stored is not None and stored.patient == patient


def _belongs(resource: Json, body: str, plans_: Sequence[str], sides: Sequence[Json]) -> bool:
    """Return whether what the engine made is of one of these plans: it names it, or is of its side."""
    extensions = resource.get("extension", ())
    return any(f'"{plan}"' in body for plan in plans_) or any(
        extension.get("valueCoding") in sides for extension in extensions
    )
