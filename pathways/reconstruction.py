"""A patient's record lived through again: where they stand, from what others have kept of them.

Rules remember: when a therapy began, what was proposed, what a person decided about it. A record that was
kept elsewhere does not say so, but it has dates. It is therefore told again in the order of its clinical
times, a visit at a time, from an empty memory, with one evaluation after each visit and one now:

    visit · evaluation · visit · evaluation · ... · now · evaluation

What comes out is what this service would have proposed, had it been told then. Nothing is stored.

http://hl7.org/fhir/R4/plandefinition-operation-apply.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import structs

from pathways import narrative, parameters
from pathways.basis import basis
from pathways.corrections import Past
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.edition import ENGINE
from pathways.memory import Memory
from pathways.record import Entry, Json, Record
from pathways.render import render
from pathways.sheet import Sheet
from pathways.steps import Outcome, Step

#: what was noted within this time is one visit, as long as nobody decided anything in between
VISIT = timedelta(minutes=60)
#: How many visits are told one by one; of a longer life the first ones are told together. An evaluation
#: takes some 10 ms, and whoever asks waits for half a second.
MOST_VISITS = 24
#: the time zone data by which it was reckoned matters to a replay, and what is not stored is not replayed
NOT_KEPT = ""
#: of a person's decisions each is told on its own: what they are about must be there before
DECISIONS = ("Task",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a patient stands on a pathway after an evaluation that was not stored."""

    pathway: Pathway
    case: Case
    outcome: Outcome
    #: what the pathway has written for the patient, by reference, as it is now
    own: Mapping[str, Json]
    #: the basis of each step that was taken, by instance and number
    why: Mapping[tuple[str, int], Json]

    @property
    def memories(self) -> Mapping[str, Memory]:
        """Return what is remembered of each instance afterwards."""
        return self.outcome.memories

    @property
    def moment(self) -> datetime:
        """Return when it was asked."""
        return self.outcome.at


def reconstruct(
    pathway: Pathway,
    record: Record,
    chosen: Mapping[str, Any],
    *,
    tenant: int,
    moment: datetime,
) -> Standing:
    """Return where a patient of whom nothing is remembered stands at the moment.

    Args:
        record: what is known of the patient now; when it was received says nothing and is set anew.
        chosen: what the site has changed.

    Raises:
        cql.EvaluationFailed: a rule erred.
    """
    life = _Life(pathway, parameters.concerning(pathway, chosen))
    told = _told(record.received, moment, ZoneInfo(str(life.site["site.timeZone"])))
    record = replace(record, received=told, own={})
    standing = None
    for at in _moments(told, moment):
        heard = tuple(entry for entry in told if entry.received <= at)
        case = Case(
            tenant=tenant,
            record=replace(record, received=heard, own=life.own(at)),
            memories=life.memories,
            moment=at,
            history=life.history(),
            site=life.site,
        )
        standing = life.evaluate(case)
    assert standing is not None  # there is always now
    return standing


def resume(
    pathway: Pathway,
    case: Case,
    chosen: Mapping[str, Any],
    why: Mapping[tuple[str, int], Json],
) -> Standing:
    """Return where a patient stands after one evaluation more, from what is remembered of them.

    Args:
        case: with the patient's own resources and memories, as an evaluation that is stored reads them.
        why: the bases that are known of earlier steps.

    Raises:
        cql.EvaluationFailed: a rule erred.
    """
    life = _Life(pathway, parameters.concerning(pathway, chosen))
    life.written = {reference: entry.body for reference, entry in case.record.own.items()}
    life.why = dict(why)
    return life.evaluate(case)


class _Life:
    """What has become of the patient so far."""

    def __init__(self, pathway: Pathway, chosen: Mapping[str, Any]) -> None:
        self.pathway = pathway
        self.site = parameters.resolve(pathway, chosen)
        self.memories: Mapping[str, Memory] = {}
        self.written: dict[str, Json] = {}
        self.why: dict[tuple[str, int], Json] = {}
        self._profile = str(chosen.get(parameters.PROFILE, pathway.default_profile))
        self._changed = parameters.changed(pathway, self.site)
        self._steps: dict[tuple[str, int], tuple[Step, datetime]] = {}

    def own(self, at: datetime) -> dict[str, Entry]:
        """Return what was written so far as entries of a record."""
        return {
            reference: Entry(
                type=body["resourceType"], id=body["id"], version=1, seq=0, received=at, body=body
            )
            for reference, body in self.written.items()
        }

    def evaluate(self, case: Case) -> Standing:
        """Decide, write and remember."""
        outcome = decide(self.pathway, case)
        sheet = Sheet(
            pathway=self.pathway,
            tenant=case.tenant,
            patient=case.record.patient.id,
            profile=self._profile,
            changed=self._changed,
            stored=self.written,
            engine=ENGINE,
            language=narrative.language(self.pathway, case.record.patient.body),
        )
        for resource in render(sheet, outcome):
            self.written[f"{resource['resourceType']}/{resource['id']}"] = resource
        for step in outcome.steps:
            self._steps[step.instance, step.number] = step, outcome.at
            self.why[step.instance, step.number] = {"at": outcome.at.isoformat(), **self._basis(step)}
        self.memories = outcome.memories
        return Standing(
            pathway=self.pathway, case=case, outcome=outcome, own=dict(self.written), why=dict(self.why)
        )

    def history(self) -> dict[str, tuple[Past, ...]]:
        """Return the transitions in force of each instance, newest first."""
        return {
            instance: tuple(self._past(instance, number) for number in reversed(memory.path))
            for instance, memory in self.memories.items()
        }

    def _basis(self, step: Step) -> Json:
        return basis(
            self.pathway,
            step,
            engine=ENGINE,
            zones=NOT_KEPT,
            profile=self._profile,
            changed=self._changed,
        )

    def _past(self, instance: str, number: int) -> Past:
        step, at = self._steps[instance, number]
        quiet = self._steps.get((instance, number - 1))
        same_run = quiet is not None and quiet[1] == at
        return Past(
            number=number,
            action=step.action or "",
            at=at,
            before=step.before,
            after=step.after,
            inputs=tuple(fact.entry.versioned for fact in step.facts),
            site=self.site,
            quiet_before=quiet[0].before if quiet is not None and same_run else None,
        )


def _told(entries: Sequence[Entry], moment: datetime, zone: ZoneInfo) -> tuple[Entry, ...]:
    """Return the entries in the order in which they are told, each received when it is."""
    dated = [(_clinical_time(entry.body, zone), entry) for entry in entries]
    # What is dated after now is told now: the gate says what is wrong with it.
    timed = sorted(
        ((min(at, moment), entry) for at, entry in dated if at is not None),
        key=lambda pair: (pair[0], pair[1].type in DECISIONS, pair[1].seq),
    )
    visits = _visits(timed)
    earliest = visits[0][0] if visits else moment
    told = [(at, entry) for at, visit in visits for entry in visit]
    # A person, a body structure and the like have no time of their own; they are there from the beginning.
    always = [(earliest, entry) for at, entry in dated if at is None and not _needs_a_time(entry)]
    never = [(moment, entry) for at, entry in dated if at is None and _needs_a_time(entry)]
    return tuple(
        structs.replace(entry, received=at, seq=number)
        for number, (at, entry) in enumerate([*always, *told, *never], start=1)
    )


def _visits(timed: Sequence[tuple[datetime, Entry]]) -> list[tuple[datetime, list[Entry]]]:
    """Return the visits in their order, each with the last time in it."""
    visits: list[tuple[datetime, list[Entry]]] = []
    began: datetime | None = None
    decides = False
    for at, entry in timed:
        same = began is not None and at - began <= VISIT and decides == (entry.type in DECISIONS)
        if same:
            visits[-1] = (at, [*visits[-1][1], entry])
        else:
            visits.append((at, [entry]))
            began, decides = at, entry.type in DECISIONS
    early = visits[: max(0, len(visits) - MOST_VISITS + 1)]
    if len(early) > 1:
        together = (early[-1][0], [entry for _, visit in early for entry in visit])
        visits = [together, *visits[len(early) :]]
    return visits


def _moments(told: Sequence[Entry], moment: datetime) -> Iterator[datetime]:
    """Yield when an evaluation is made: after each visit, and now."""
    yield from sorted({entry.received for entry in told if entry.received < moment})
    yield moment


def _needs_a_time(entry: Entry) -> bool:
    return entry.type in {"Observation", "Procedure", "DiagnosticReport", *DECISIONS}


def _clinical_time(body: Json, zone: ZoneInfo) -> datetime | None:
    """Return when what a resource says was so; None where it does not say, or not to the day."""
    for name in ("effective", "performed"):
        period = body.get(f"{name}Period", {})
        text = body.get(f"{name}DateTime") or body.get(f"{name}Instant")
        if text := text or period.get("end") or period.get("start"):
            return _instant(str(text), zone)
    return _instant(str(body.get("lastModified", "")), zone)


def _instant(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        stated = datetime.fromisoformat(text)
        return stated.astimezone(zone) if stated.tzinfo else stated.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        return None
