"""What a pathway is, once it has been read: immutable values, checked by `load`.

A pathway is a PlanDefinition. Its top-level actions are the stages; their actions are rules: transitions,
decisions of a clinician, holds and standing work. A rule names CQL definitions as its conditions, outputs
as ActivityDefinitions, and effects on what is remembered.

https://hl7.org/fhir/R4/plandefinition.html
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from fhir_profiles import canonical
from pathways import cql
from pathways.inputs import Gate

Json = dict[str, Any]

RuleKind = Literal[
    "taken-back",
    "left-standing",
    "opening",
    "transition",
    "decision",
    "blocked",
    "hold",
    "check",
    "early",
    "quiet",
    "standing",
]

EVERY_STAGE = "every-stage"

#: the one instance of a pathway that has no sides
WHOLE = "whole"

#: where the code of a qualifier is looked for first
QUALIFIERS = (canonical.REASONS, canonical.TASKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A top-level action of the plan: where an instance can be."""

    code: str
    title: str
    #: an open stage is one in which the pathway works; the others are left by a person or by new data
    open: bool
    #: `CarePlan.status` while an instance is here
    plan_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One change to what is remembered of an instance, or to its orders and Tasks."""

    kind: str
    name: str | None
    value: str | None  # the CQL definition that gives the value
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """An ActivityDefinition: what an order, a Task or a message of its kind looks like."""

    id: str
    canonical: str
    shorthand: str  # "SR:MRI": resource and short name
    resource: str
    title: str
    codings: tuple[Json, ...]
    codings_by_side: Mapping[str, tuple[Json, ...]]
    categories: tuple[Json, ...]
    priority: str | None
    role: Json | None  # the coding of who is asked; None: the patient
    due: Json | None  # a FHIR Duration after the evaluation
    due_by_priority: Mapping[str, Json]
    focus: str | None
    signing_task: str | None
    severity: str | None
    task: str | None  # the Task that goes with an issue

    @property
    def name(self) -> str:
        """Return the short name: the part of the shorthand after the resource."""
        return self.shorthand.partition(":")[2]

    @property
    def code(self) -> str:
        """Return the code by which the output is known."""
        codings = self.codings or next(iter(self.codings_by_side.values()))
        return str(codings[0]["code"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One thing a rule raises when it fires, if its own condition holds."""

    activity: Activity
    when: str | None
    priority: str | None
    qualifiers: str | None
    details: str | None
    due: str | None
    once: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An action below a stage."""

    id: str
    code: str  # of the CodeSystem of rules; several rules may share one
    title: str
    kind: RuleKind
    order: int
    #: the stages it applies in; empty: wherever the instance is
    stages: tuple[str, ...]
    conditions: tuple[str, ...]
    target: str | None
    target_expression: str | None
    outputs: tuple[Output, ...]
    effects: tuple[Effect, ...]
    goals: tuple[str, ...]
    once: str | None
    for_each: str | None
    #: the CQL definition of the instant at which the condition may change, where days are too coarse
    next_instant: str | None
    despite_holds: bool
    trigger: str | None
    focus: str | None
    reason_required: bool
    orders: tuple[str, ...]
    #: the states in which the order that is decided on may be
    order_states: tuple[str, ...]
    #: the decision names the stage to enter
    takes_stage: bool
    #: the event that the decision is recorded as
    event: str
    #: asked about the person, not about a side
    of_person: bool
    #: what a correction of its inputs does: "test" it again; it "stands" on its own; it is "kept"
    correction: str
    citations: tuple[str, ...]

    def does(self, effect: str) -> bool:
        """Return whether the rule has an effect of this kind."""
        return any(each.kind == effect for each in self.effects)

    @property
    def clinical(self) -> str:
        """Return the first condition: the one that corrections test again."""
        return self.conditions[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that a site may change inside its range."""

    name: str
    type: Literal["integer", "decimal", "boolean", "choice", "zone"]
    default: object
    low: Decimal | None
    high: Decimal | None
    allowed: tuple[str, ...]
    unit: str
    source: str
    #: a mistake could miss what must not wait, or harm: two people change it
    two_people: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the instances a patient may have: what it is called, and how its body site is coded."""

    name: str
    codings: tuple[Json, ...]

    @property
    def coding(self) -> Json:
        """Return our own coding."""
        return self.codings[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A published pathway. Shared by all threads; nothing in it changes."""

    name: str
    version: str
    url: str
    title: str
    status: str
    stages: Mapping[str, Stage]
    rules: tuple[Rule, ...]  # in the order of evaluation
    activities: Mapping[str, Activity]
    goals: Mapping[str, Json]
    sides: Mapping[str, Side]
    category: Json
    condition: Json
    holds: Mapping[str, Json]  # code -> coding
    kept: Mapping[str, str]  # remembered value -> URL of the CarePlan extension that shows it
    precondition: str | None  # the CQL definition that lists what a signature lacks
    inputs: Json
    gate: Gate  # the input table, indexed once
    parameters: Mapping[str, Parameter]
    profiles: Mapping[str, Mapping[str, object]]
    default_profile: str
    library: cql.Library
    elm_hash: str
    cql_text: str
    texts: Mapping[str, Mapping[str, str]]
    evidence: Json
    displays: Mapping[tuple[str, str], str]

    @property
    def canonical(self) -> str:
        """Return the canonical URL with the version."""
        return f"{self.url}|{self.version}"

    @property
    def instances(self) -> tuple[str, ...]:
        """Return what a patient may have of this pathway: one for each side, or one where it has no sides."""
        return tuple(self.sides) or (WHOLE,)

    def concerns(self, instance: str, sides: Collection[str]) -> bool:
        """Return whether a fact of these sides is about the instance and not the person around it.

        A pathway without sides has one instance, which every fact is about.
        """
        return instance in sides or not self.sides

    def of_kind(self, *kinds: RuleKind) -> tuple[Rule, ...]:
        """Return the rules of these kinds, in the order of evaluation."""
        return tuple(rule for rule in self.rules if rule.kind in kinds)

    def rule(self, id: str) -> Rule:
        """Return the rule with this action id."""
        return next(rule for rule in self.rules if rule.id == id)

    def text(self, language: str, key: str) -> str:
        """Return a clinical text of the definition. Every key was checked when the pathway was loaded."""
        return self.texts[language][key]

    def qualifier(self, code: str) -> Json:
        """Return the coding of a qualifier, which the plan names by its code alone.

        Raises:
            StopIteration: no code system of ours has the code; `load` refuses such a plan.
        """
        systems = (*QUALIFIERS, *sorted({system for system, known in self.displays if known == code}))
        system = next(s for s in systems if (s, code) in self.displays)
        return {"system": system, "code": code, "display": self.displays[system, code]}

    def display(self, system: str, code: str) -> str:
        """Return the display of one of our codes, or the code itself where it has none."""
        return self.displays.get((system, code), code)
