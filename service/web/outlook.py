"""What the rules say about now: other ways out of the stage, and what a signature would lack.

Asked when the page is read, of the same rules over the same record as an evaluation;
nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pathways import catalogue, cql, inputs, judge, outlook, parameters
from pathways.definition import Pathway
from pathways.memory import Memory, Order
from pathways.outlook import WayOut
from pathways.record import Record as Facts
from service.record import entry
from service.store import parameters as site_parameters
from service.store import resources
from service.web import basis
from service.web.basis import Condition
from service.web.elements import CODES

#: what rules read
TYPES = ("Observation", "Procedure", "DiagnosticReport", "BodyStructure", "Patient")


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


def ask(
    tx: Connection,
    pathway: Pathway,
    instance: tuple[str, str, str],
    memories: Mapping[str, Mapping[str, Any]],
    now: datetime,
    *,
    tenant: int,
) -> Outlook:
    """Return the outlook of one instance.

    Args:
        memories: what is remembered, by side word.
    """
    patient, _, side = instance
    facts = _facts(tx, patient, tenant=tenant)
    if facts is None or side not in memories:
        return Outlook()
    site = parameters.resolve(pathway, site_parameters.current(tx))
    memory = Memory.from_json(memories[side])
    others = (Memory.from_json(m).stage for s, m in memories.items() if s not in (side, ""))
    other_stage = next(others, None)
    try:
        ways = outlook.ways_out(pathway, facts, memory, side, moment=now, site=site, other_stage=other_stage)
        asked = _judge(pathway, facts, side, now, site, other_stage)
        lacking = {
            f"ServiceRequest/{order.id}": _lacking(pathway, asked, memory, order)
            for order in memory.orders
            if order.state == "draft"
        }
    except cql.EvaluationFailed:
        return Outlook(failed=True)
    return Outlook(steps=_steps(ways, pathway), lacking=lacking)


def _judge(
    pathway: Pathway,
    facts: Facts,
    side: str,
    now: datetime,
    site: Mapping[str, Any],
    other_stage: str | None,
) -> judge.Judge:
    local = now.astimezone(ZoneInfo(str(site["site.timeZone"])))
    read = inputs.Gate(pathway.inputs).read(facts, ZoneInfo(str(site["site.timeZone"])))
    return judge.Judge(
        pathway,
        read.of(side, until=local),
        facts.patient.body,
        moment=local,
        site=site,
        other_stage=other_stage,
    )


def _lacking(pathway: Pathway, asked: judge.Judge, memory: Memory, order: Order) -> tuple[str, ...]:
    """Return what a signature of the order would lack now, in words."""
    if pathway.precondition is None:
        return ()
    item = judge.Item(
        id=order.id,
        kind=order.kind,
        state=order.state,
        priority=order.priority,
        made=order.made,
        since=order.since,
        signed=order.signed,
    )
    found = asked.ask(memory, item)[pathway.precondition] or ()
    return tuple(pathway.display(CODES + "pathway-reason", str(code)) for code in found)


def _steps(ways: Sequence[WayOut], pathway: Pathway) -> tuple[Step, ...]:
    found = []
    for way in ways:
        parts = [part for c in way.conditions for part in basis.conditions(c)]
        open_parts = [p for p in parts if p.result != "met" and p.depth <= 1]
        stage = pathway.stages.get(way.target or "")
        found.append(
            Step(
                rule=way.code,
                title=way.title,
                target=stage.title if stage else "",
                result="person" if way.decided_by_person else basis.result(way.result),
                missing=tuple(open_parts or [p for p in parts if p.depth == 0]),
            )
        )
    # what the record decides first; what a person may decide stands at the end
    return tuple(sorted(found, key=lambda step: step.result == "person"))


def _facts(tx: Connection, patient: str, *, tenant: int) -> Facts | None:
    found = resources.of_patient(
        tx, patient, types=TYPES, codes=catalogue.codes(), owned=False, tenant=tenant
    )
    entries = tuple(entry(stored) for stored in found)
    person = next((e for e in entries if e.type == "Patient" and e.id == patient), None)
    return Facts(patient=person, received=entries, own={}, people={}) if person else None
