"""What could happen next, and why it has not: each way out of the present stage with its conditions.

Asked on demand, of the same rules over the same record as an evaluation; nothing is remembered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pathways import cql
from pathways.definition import Pathway, Rule
from pathways.judge import Judge, explained
from pathways.memory import Memory
from pathways.record import Json, Record

#: how far ahead a change is looked for, and when on a day it is asked: the daily evaluation begins then
DAYS_AHEAD = 400
DAILY = time(0, 5)


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
    #: the CQL definition that erred: an error is neither yes nor no
    failed: str | None = None


class Situation:
    """One instance of a pathway as it stands: its record, and what is remembered of it."""

    def __init__(
        self,
        pathway: Pathway,
        record: Record,
        memory: Memory,
        side: str,
        *,
        site: Mapping[str, Any],
        other_stage: str | None,
    ) -> None:
        self.pathway = pathway
        self.memory = memory
        self.side = side
        self.zone = ZoneInfo(str(site["site.timeZone"]))
        self.site = site
        self._other_stage = other_stage
        self._asked: tuple[datetime, Judge] | None = None
        self._patient = record.patient.body
        #: what the record says, and what of it was set aside
        self.inputs = pathway.gate.read(record, self.zone)

    def judge(self, moment: datetime) -> Judge:
        """Return the rules over what counts at the moment.

        Those of the last moment are kept, for the parts of a page all ask about the same one.
        """
        if self._asked is None or self._asked[0] != moment:
            self._asked = (moment, self._judge(moment.astimezone(self.zone)))
        return self._asked[1]

    def _judge(self, local: datetime) -> Judge:
        return Judge(
            self.pathway,
            self.inputs.of(self.side, until=local),
            self._patient,
            moment=local,
            site=self.site,
            other_stage=self._other_stage,
        )

    def ways_out(self, judge: Judge, *, deepest: int | None = None) -> tuple[WayOut, ...]:
        """Return the ways out of the stage the instance is in, in the order of evaluation.

        Args:
            judge: as `judge` returns it, of the moment that is asked about.
            deepest: of the conditions of a condition those further down are left out; None: none are.
        """
        run = judge.ask(self.memory)
        return tuple(_way(judge, run, rule, deepest) for rule in self._leading())

    def changes(self, moment: datetime) -> dict[str, date]:
        """Return from which day the record alone, with nothing new, would answer a way otherwise.

        By action id; a way that does not depend on time, or changes later than `DAYS_AHEAD`, is not in it.
        A way that errs has no answer to change.
        """
        rules = [rule for rule in self._leading() if rule.kind != "decision"]
        now = self._answers(moment, rules)
        found: dict[str, date] = {}
        for ahead in range(1, DAYS_AHEAD + 1):
            day = moment.astimezone(self.zone).date() + timedelta(days=ahead)
            waiting = [rule for rule in rules if rule.id in now and rule.id not in found]
            if not waiting:
                break
            then = self._answers(datetime.combine(day, DAILY, self.zone), waiting)
            found |= {id: day for id, answer in then.items() if answer is not now[id]}
        return found

    def _answers(self, moment: datetime, rules: list[Rule]) -> dict[str, bool | None]:
        run = self.judge(moment).ask(self.memory)
        answers = {}
        for rule in rules:
            try:
                answers[rule.id] = _all([_truth(run[name]) for name in rule.conditions])
            except cql.EvaluationFailed:
                continue
        return answers

    def _leading(self) -> Iterator[Rule]:
        """Yield the rules that may lead out of the stage."""
        stage = self.memory.stage
        for rule in self.pathway.of_kind("transition", "decision"):
            leads = rule.target or rule.target_expression
            if leads and rule.target != stage and (not rule.stages or stage in rule.stages):
                yield rule


def _way(judge: Judge, run: cql.Run, rule: Rule, deepest: int | None) -> WayOut:
    by_person = rule.kind == "decision"
    conditions: tuple[Json, ...] = ()
    failed = None
    if not by_person:
        try:
            conditions = tuple(explained(judge, run, rule.conditions, deepest=deepest))
        except cql.EvaluationFailed as fault:
            failed = fault.definition
    unanswered = by_person or failed is not None
    return WayOut(
        rule=rule.id,
        code=rule.code,
        title=rule.title,
        target=rule.target,
        result=None if unanswered else _all([condition["result"] for condition in conditions]),
        decided_by_person=by_person,
        conditions=conditions,
        failed=failed,
    )


def _all(answers: list[bool | None]) -> bool | None:
    """Return the three-valued "and"."""
    if any(answer is False for answer in answers):
        return False
    return True if all(answers) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
