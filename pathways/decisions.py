"""Decisions of clinicians: completed Tasks, applied in the order of their time, before rules look at data.

One that cannot be applied changes nothing and is answered (clinical-rules 10, fhir-contract 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fhir_profiles import canonical
from pathways import cql
from pathways.definition import Pathway, Rule
from pathways.judge import Item
from pathways.memory import Memory, Order
from pathways.raising import raise_outputs
from pathways.record import Entry, codings, pairs
from pathways.steps import PERSON, Decision, Raised
from pathways.turn import Turn


def apply(turn: Turn) -> None:
    """Apply every decision that has not been applied before."""
    new = []
    for entry in turn.case.record.received:
        decision = read(entry, turn.case.record.people)
        if decision is None or key(decision.entry) in turn.memory(PERSON).raised:
            continue
        if _addressed(turn, decision):
            new.append(decision)
    for decision in sorted(new, key=lambda d: (datetime.fromisoformat(d.at), d.entry.seq)):
        _apply(turn, decision)
        person = turn.memory(PERSON)
        read_now = replace(person, raised=(*person.raised, key(decision.entry)))
        turn.take(PERSON, "decision", "Decision read", read_now, facts=(), silent=True)


def _addressed(turn: Turn, decision: Decision) -> bool:
    """Return whether this pathway is the one to answer: it made the focus, or nobody did and it is asked."""
    made = turn.case.record.own.get(decision.focus or "")
    stated = made.body.get("instantiatesCanonical", ()) if made else ()
    makers = {url.partition("|")[0] for url in ([stated] if isinstance(stated, str) else stated)}
    return turn.pathway.url in makers if makers else turn.case.answers_strays


def read(entry: Entry, people: Mapping[str, str]) -> Decision | None:
    """Return the decision a Task makes, None where it is none, or not one yet."""
    code = next((c for s, c in pairs(entry.body.get("code")) if s == canonical.DECISIONS), None)
    if entry.type != "Task" or code is None or entry.body.get("status") != "completed":
        return None
    body = entry.body
    who = [body.get(role, {}).get("reference", "") for role in ("owner", "requester")]
    practitioner = next((r for r in who if r.partition("/")[0] == "Practitioner"), None)
    stated = body.get("owner", {}).get("display") or body.get("requester", {}).get("display")
    reason = body.get("reasonCode")
    return Decision(
        entry=entry,
        code=code,
        focus=body.get("focus", {}).get("reference", "").partition("/_history")[0] or None,
        practitioner=practitioner,
        name=people.get(practitioner or "") or stated,
        reason=_words(reason),
        stage=_stage(entry),
        at=body.get("lastModified") or entry.received.isoformat(),
    )


def key(entry: Entry) -> str:
    """Return by what it is remembered that the decision of this Task was read."""
    return f"decision:{entry.id}"


def _words(reason: object) -> str | None:
    if not isinstance(reason, dict):
        return None
    texts = (reason.get("text"), *(c.get("display") or c.get("code") for c in codings(reason)))
    return next((str(text) for text in texts if text), None)


def _stage(entry: Entry) -> str | None:
    for given in entry.body.get("input", ()):
        if (canonical.TASK_INPUTS, "target-stage") in pairs(given.get("type")):
            return next((c for _, c in pairs(given.get("valueCodeableConcept"))), None)
    return None


def _apply(turn: Turn, decision: Decision) -> None:
    instance = _instance(turn, decision)
    asked = [r for r in turn.pathway.of_kind("decision") if r.trigger == decision.code]
    if instance is None or (why := _incomplete(turn, decision, asked)):
        why = "Its focus is nothing this pathway has made for the patient" if instance is None else why
        _reject(turn, instance or PERSON, decision, why)
        return
    memory = turn.memory(instance)
    focus = decision.focus or ""
    kind, _, id = focus.partition("/")
    order = memory.order(id) if kind == "ServiceRequest" else None
    run = turn.ask(instance, Item.of(order) if order else None, decision.stage)
    rule = next((r for r in asked if _fits(r, decision, memory, turn.pathway, run)), None)
    if rule is None:
        _reject(turn, instance, decision, "It does not apply to its focus as it is now")
    elif rule.does("sign") and order is not None and _lacks(turn, run):
        _block(turn, instance, decision, order, run)
    else:
        turn.fire(rule, instance, run, decision=decision, event=rule.event)


def _incomplete(turn: Turn, decision: Decision, asked: Sequence[Rule]) -> str:
    """Return what a decision of this kind must have and this one lacks; empty when it is complete."""
    stage = turn.pathway.stages.get(decision.stage or "")
    if not asked:
        return "Its code is no decision of this pathway"
    if decision.practitioner is None:
        return "It names no Practitioner who decided"
    if decision.practitioner not in turn.case.record.people:
        return "The Practitioner who decided is not known here"
    if "lastModified" not in decision.entry.body:
        return "It does not say when it was made"
    if all(rule.reason_required for rule in asked) and not decision.reason:
        return "It needs a reason"
    if all(rule.takes_stage for rule in asked) and (stage is None or not stage.open):
        return "It needs the input target-stage with a stage that is open"
    return ""


def _instance(turn: Turn, decision: Decision) -> str | None:
    """Return the instance that the focus belongs to: its CarePlan, one of its orders, or one of its Tasks."""
    kind, _, id = (decision.focus or "").partition("/")
    for instance in (*turn.pathway.instances, PERSON):
        memory = turn.memory(instance)
        found = {
            "CarePlan": instance != PERSON and turn.known(instance) and _is_plan(turn, instance, id),
            "ServiceRequest": memory.order(id) is not None,
            "Task": memory.task(id) is not None,
        }
        if found.get(kind, False):
            return instance
    return None


def _is_plan(turn: Turn, instance: str, id: str) -> bool:
    """Return whether this is the instance's CarePlan, or one of a joined record that it replaces."""
    own = turn.plan_id(instance)
    plan = turn.case.record.own.get(f"CarePlan/{own}")
    replaced = plan.body.get("replaces", ()) if plan else ()
    return id == own or {"reference": f"CarePlan/{id}"} in replaced


def _fits(rule: Rule, decision: Decision, memory: Memory, pathway: Pathway, run: cql.Run) -> bool:
    """Return whether this rule is what the decision asks for, and applies to the instance as it is."""
    kind, _, id = (decision.focus or "").partition("/")
    order, task = memory.order(id), memory.task(id)
    about = order.kind if order else task.code if task else None
    stage = pathway.stages.get(decision.stage or "")
    return (
        rule.trigger == decision.code
        and rule.focus in {kind, "any"}
        and (not rule.stages or memory.stage in rule.stages)
        and (not rule.orders or about in rule.orders)
        and (not rule.order_states or (order is not None and order.state in rule.order_states))
        and (not rule.takes_stage or (stage is not None and stage.open))
        and (not rule.does("resolve-holds") or bool(memory.holds))
        and (not memory.closed or rule.takes_stage or rule.does("close-task"))
        and all(run[name] is True for name in rule.conditions)
    )


def _lacks(turn: Turn, run: cql.Run) -> bool:
    """Return whether a precondition of the signature is missing."""
    return turn.pathway.precondition is not None and bool(run[turn.pathway.precondition])


def _reject(
    turn: Turn,
    instance: str,
    decision: Decision,
    why: str,
    after: Memory | None = None,
    raised: tuple[Raised, ...] = (),
) -> None:
    """Answer a decision that changes nothing, with the reason in words."""
    turn.take(
        instance,
        "decision",
        why,
        after or turn.memory(instance),
        raised=raised,
        facts=(),
        decision=decision,
        event="decision-rejected",
    )


def _block(turn: Turn, instance: str, decision: Decision, order: Order, run: cql.Run) -> None:
    """Answer a signature that cannot take effect: the order stays a draft, and somebody is told why."""
    outputs = [output for rule in turn.pathway.of_kind("blocked") for output in rule.outputs]
    origin = turn.origin(instance, f"ServiceRequest/{order.id}")
    after, raised = raise_outputs(outputs, turn.memory(instance), origin, before=run, after=run)
    named = ", ".join(turn.pathway.qualifier(code)["display"] for one in raised for code in one.qualifiers)
    _reject(turn, instance, decision, f"The signature could not take effect: {named}", after, raised)
