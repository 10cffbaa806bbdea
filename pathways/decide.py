"""One evaluation: what follows for one patient at one moment.

    death · opening · checks on receipt · corrections · decisions · the person
    · each side: steps, standing work

Pure: the same pathway, record, memories and moment give the same outcome. The order is clinical-rules 2.4,
and within a side the first transition whose conditions hold fires, then the list starts again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pathways import corrections, decisions, early, person, receipt, standing, transitions
from pathways.corrections import Past
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.record import Record
from pathways.steps import Outcome
from pathways.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The question: one patient's record, what is remembered of each instance, and the moment."""

    tenant: int
    record: Record
    memories: Mapping[str, Memory]
    moment: datetime  # aware; turned into the zone of the site
    history: Mapping[str, tuple[Past, ...]]  # the transitions in force of each side, newest first
    site: Mapping[str, Any]  # every parameter of the site, resolved
    #: of several pathways one rejects the decisions about what none of them has made
    answers_strays: bool = True


def decide(pathway: Pathway, case: Case) -> Outcome:
    """Return what the pathway decides.

    Raises:
        cql.EvaluationFailed: a rule erred. Nothing is decided: a failure never reads as "no".
    """
    now = case.moment.astimezone(ZoneInfo(str(case.site["site.timeZone"])))
    inputs = pathway.gate.read(case.record, now.tzinfo or ZoneInfo("UTC"))
    turn = Turn(pathway=pathway, case=case, now=now, inputs=inputs)
    if transitions.end_for_good(turn):
        return turn.outcome()
    transitions.open_instances(turn)
    receipt.check(turn)
    corrections.replay(turn)
    decisions.apply(turn)
    early.check(turn)
    person.check(turn)
    for side in pathway.instances:
        if turn.running(side):
            transitions.settle(turn, side, hold=early.hold)
            standing.raise_due(turn, side)
    early.end(turn)
    return turn.outcome()
