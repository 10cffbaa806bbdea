"""What the rules say about now: other ways out of the stage, and what a signature would lack.

Asked when the page is read, of the same rules over the same record as an evaluation;
nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fhir_profiles import canonical
from pathways import cql, judge
from pathways.definition import Pathway
from pathways.memory import Order
from pathways.outlook import Situation, WayOut
from service.web import basis
from service.web.basis import Condition
from service.web.words import Words

#: the conditions of a way and what each rests on, not more
DEEPEST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One way out of the stage. `result`: met, not, unknown, or person: it is a person's to take."""

    rule: str
    title: str
    target: str
    result: str
    #: what is not met or not known; all conditions when there is nothing missing
    missing: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What could happen next. `failed`: a rule erred, and an error never reads as no."""

    steps: tuple[Step, ...] = ()
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failed: bool = False


def ask(situation: Situation | None, now: datetime, words: Words) -> Outlook:
    """Return the outlook of one instance; empty where nothing is known of it."""
    if situation is None:
        return Outlook()
    asked = situation.judge(now)
    ways = situation.ways_out(asked, deepest=DEEPEST)
    if any(way.failed for way in ways):
        return Outlook(failed=True)
    try:
        lacking = {
            f"ServiceRequest/{order.id}": _lacking(situation, asked, order, words)
            for order in situation.memory.orders
            if order.state == "draft"
        }
    except cql.EvaluationFailed:
        return Outlook(failed=True)
    return Outlook(steps=_steps(ways, words.pathway(situation.pathway), words), lacking=lacking)


def _lacking(situation: Situation, asked: judge.Judge, order: Order, words: Words) -> tuple[str, ...]:
    """Return what a signature of the order would lack now, in words."""
    pathway = words.pathway(situation.pathway)
    if pathway.precondition is None:
        return ()
    found = asked.ask(situation.memory, judge.Item.of(order))[pathway.precondition] or ()
    return tuple(pathway.display(canonical.REASONS, str(code)) for code in found)


def _steps(ways: Sequence[WayOut], pathway: Pathway, words: Words) -> tuple[Step, ...]:
    found = []
    for way in ways:
        parts = [part for c in way.conditions for part in basis.conditions(c, words)]
        open_parts = [p for p in parts if p.result != "met" and p.depth <= DEEPEST]
        stage = pathway.stages.get(way.target or "")
        found.append(
            Step(
                rule=way.code,
                title=words.said(way.title),
                target=stage.title if stage else "",
                result="person" if way.decided_by_person else basis.result(way.result),
                missing=tuple(open_parts or [p for p in parts if p.depth == 0]),
            )
        )
    # what the record decides first; what a person may decide stands at the end
    return tuple(sorted(found, key=lambda step: step.result == "person"))
