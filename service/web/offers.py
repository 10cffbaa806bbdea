"""Which decisions a person can make here. The pathway's definition says which there are.

Each is the same form: a decision on a resource, with a reason where the definition
requires one, and a stage to enter where the definition leaves it to the person.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathways.definition import Pathway, Rule
from service.web.elements import CODES
from service.web.pathway_map import StageBox

SIGN = "sign"
DECLINE = "decline"

#: the reasons a person chooses from; none is chosen for them
REASONS = ("patient-wish", "not-fitting", "wrong-value", "elsewhere", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One decision that can be made on one resource."""

    decision: str
    title: str
    focus: str
    focus_name: str
    reason_required: bool
    #: the stages to choose from; empty: the decision names none
    targets: tuple[StageBox, ...]
    #: where the decision leads, in words; empty: it does not move the plan
    leads_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """All decisions that can be made on one plan, by what they are about."""

    by_focus: Mapping[str, tuple[Offer, ...]]

    def of(self, focus: str) -> tuple[Offer, ...]:
        """Return the decisions about that resource."""
        return self.by_focus.get(focus, ())

    def find(self, focus: str, decision: str) -> Offer | None:
        """Return one decision, None if it cannot be made here and now."""
        return next((offer for offer in self.of(focus) if offer.decision == decision), None)


def stages(pathway: Pathway) -> tuple[StageBox, ...]:
    """Return the stages of a pathway in their order."""
    return tuple(StageBox(code=s.code, title=s.title, open=s.open) for s in pathway.stages.values())


def make(
    pathway: Pathway,
    memory: Mapping[str, Any],
    plan: str,
    plan_name: str,
    names: Mapping[str, str],
    personal: Sequence[Mapping[str, Any]] = (),
) -> Offers:
    """Return what can be decided where the plan stands.

    Args:
        memory: what is remembered of the instance.
        plan: reference to the CarePlan.
        names: how each order and Task is called, by reference.
        personal: the Tasks that are remembered of the person, not of a side.
    """
    here = str(memory.get("stage") or "")
    rules = [r for r in pathway.of_kind("decision") if r.trigger and (not r.stages or here in r.stages)]
    named: list[tuple[Rule, str, str]] = []
    for rule in rules:
        if rule.focus == "CarePlan" and _useful(rule, memory):
            named.append((rule, plan, plan_name))
        for order in memory.get("orders") or ():
            named += ((rule, focus, names.get(focus, focus)) for focus in _order_focus(rule, order))
    named += _of_tasks(pathway, rules, (*(memory.get("tasks") or ()), *personal), names)
    return _gathered(pathway, named)


def personal(pathway: Pathway, remembered: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Offers:
    """Return what can be decided about Tasks of the person, where no plan is looked at.

    Args:
        remembered: the Tasks that are remembered of the person.
        names: how each Task is called, by reference; others are not offered.
    """
    anywhere = [rule for rule in pathway.of_kind("decision") if rule.trigger and not rule.stages]
    return _gathered(pathway, _of_tasks(pathway, anywhere, remembered, names))


def _of_tasks(
    pathway: Pathway, rules: Sequence[Rule], tasks: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[tuple[Rule, str, str]]:
    """Yield each rule with the Tasks it can decide about, and how they are called."""
    for rule in rules:
        for task in tasks:
            focus = f"Task/{task['id']}"
            if focus in names and _fits_task(pathway, rule, task):
                yield rule, focus, names[focus]


def _gathered(pathway: Pathway, named: Iterable[tuple[Rule, str, str]]) -> Offers:
    """Return the offers by what they are about; of rules for one decision about it, the first one's."""
    found: dict[str, dict[str | None, Offer]] = {}
    for rule, focus, name in named:
        offers = found.setdefault(focus, {})
        if rule.trigger not in offers:
            offers[rule.trigger] = _offer(pathway, rule, focus, name)
    return Offers(by_focus={focus: tuple(offers.values()) for focus, offers in found.items()})


def _order_focus(rule: Rule, order: Mapping[str, Any]) -> Sequence[str]:
    """Return the references to an order a decision can be about: the proposal, or what was signed."""
    named = order.get("kind") in rule.orders
    if rule.focus not in ("ServiceRequest", "any") or (not named and (rule.orders or rule.focus == "any")):
        return ()
    if order.get("state") == "draft" and rule.focus == "ServiceRequest":
        return (f"ServiceRequest/{order['id']}",)
    if order.get("state") == "active" and order.get("order") and rule.trigger not in (SIGN, DECLINE):
        answered = rule.focus == "any" and order.get("acknowledged")
        return () if answered else (f"ServiceRequest/{order['order']}",)
    return ()


def _fits_task(pathway: Pathway, rule: Rule, task: Mapping[str, Any]) -> bool:
    if task.get("state") != "open":
        return False
    if rule.focus == "Task":
        # a signing Task ends by its signatures, not by being closed
        return not any(a.signing_task == task.get("code") for a in pathway.activities.values())
    return rule.focus == "any" and not task.get("acknowledged") and task.get("code") in rule.orders


def _useful(rule: Rule, memory: Mapping[str, Any]) -> bool:
    if any(effect.kind == "resolve-holds" for effect in rule.effects):
        return bool(memory.get("holds"))
    return True


def _offer(pathway: Pathway, rule: Rule, focus: str, name: str) -> Offer:
    decision = str(rule.trigger)
    title = pathway.display(CODES + "clinician-decision", decision)
    chosen = rule.target_expression is not None and rule.focus == "CarePlan"
    target = pathway.stages.get(rule.target) if rule.target else None
    return Offer(
        decision=decision,
        title=rule.title if title == decision else title,
        focus=focus,
        focus_name=name,
        reason_required=rule.reason_required,
        targets=tuple(s for s in stages(pathway) if s.open) if chosen else (),
        leads_to=target.title if target else "",
    )
