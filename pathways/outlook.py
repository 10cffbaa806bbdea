"""What could happen next, and why it has not: each way out of the present stage with its conditions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pathways.definition import Pathway, Rule
from pathways.judge import Judge, explained
from pathways.memory import Memory
from pathways.record import Json, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """A step that is possible from here. `result` is None while it is unknown, or a person's to take."""

    rule: str
    code: str
    title: str
    target: str | None
    result: bool | None
    decided_by_person: bool
    conditions: tuple[Json, ...]


def ways_out(
    pathway: Pathway,
    record: Record,
    memory: Memory,
    side: str,
    *,
    moment: datetime,
    site: dict[str, Any],
    other_stage: str | None,
) -> tuple[WayOut, ...]:
    """Return the ways out of the stage the instance is in, in the order of evaluation."""
    now = moment.astimezone(ZoneInfo(str(site["site.timeZone"])))
    inputs = pathway.gate.read(record, now.tzinfo or ZoneInfo("UTC"))
    judge = Judge(
        pathway,
        inputs.of(side, until=now),
        record.patient.body,
        moment=now,
        site=site,
        other_stage=other_stage,
    )
    run = judge.ask(memory)
    found = []
    for rule in pathway.of_kind("transition", "decision"):
        leads = rule.target or rule.target_expression
        if not leads or rule.target == memory.stage or (rule.stages and memory.stage not in rule.stages):
            continue
        by_person = rule.kind == "decision"
        conditions = () if by_person else tuple(explained(judge, run, rule.conditions))
        found.append(
            WayOut(
                rule=rule.id,
                code=rule.code,
                title=rule.title,
                target=rule.target,
                result=None if by_person else _all(rule, conditions),
                decided_by_person=by_person,
                conditions=conditions,
            )
        )
    return tuple(found)


def _all(rule: Rule, conditions: tuple[Json, ...]) -> bool | None:
    """Return the three-valued "and" of the conditions."""
    results = [condition["result"] for condition in conditions]
    if any(result is False for result in results):
        return False
    return True if len(results) == len(rule.conditions) and all(results) else None
