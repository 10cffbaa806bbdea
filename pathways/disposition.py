"""What became of everything that was received: one answer for each accepted version, with its reason.

    used        a step of a plan rests on it, or it decided something
    no effect   read and nothing followed, or not for us to read; the reason says which
    held        a person is asked about it
    rejected    a decision that could not be applied, answered with the reason
    waiting     nobody has dealt with it yet

Derived from the record, what is remembered and the log, so that nothing has to be kept besides. What should
have left a trace and has not is `waiting`, for ever if need be: it never reads as "no effect".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from fhir_profiles import canonical
from pathways import decisions, receipt
from pathways.definition import Pathway
from pathways.inputs import Fact
from pathways.memory import Memory
from pathways.record import Entry, Json, Record, pairs
from pathways.steps import PERSON

#: what is not an input itself and is read beside inputs: whom, where, in which report
BESIDE = frozenset({"Patient", "BodyStructure", "DiagnosticReport", "Practitioner"})


class Kind(StrEnum):
    """Where an accepted version has ended."""

    USED = "used"
    NO_EFFECT = "no-effect"
    HELD = "held"
    REJECTED = "rejected"
    WAITING = "waiting"


class Reason(StrEnum):
    """Why it has ended there; a key for texts."""

    STEP = "step"  # a condition of a step that was taken rests on it
    DECISION = "decision"  # a person's decision that was applied
    SET_ASIDE = "set-aside"  # a check on receipt failed
    EARLY = "early"  # urgent, and its status is not accepted yet
    NOT_APPLICABLE = "not-applicable"  # a decision that could not be applied
    NO_STEP = "no-step"  # it counts, and no step rests on it
    SUPERSEDED = "superseded"  # a later version has taken its place
    SETTLED = "settled"  # a person was asked about it and has ended the question
    WITHDRAWN = "withdrawn"  # its own status, or that of its report
    NOT_FINAL = "not-final"  # its own status, or that of its report
    NO_VALUE = "no-value"  # its sender says that there is none
    BESIDE = "beside"  # read with the inputs it belongs to
    NOT_READ = "not-read"  # no rule reads what it says
    NO_PLAN = "no-plan"  # nothing has opened a plan for what it is about
    ENDED = "ended"  # the plan it is about was closed for good
    UNREAD = "unread"  # it came after the last evaluation
    NO_TRACE = "no-trace"  # it was evaluated, and should have led to something


#: what an input led to that is none for the rules, by where it stands
STANDING = {"accepted": Reason.NO_VALUE, "early": Reason.NOT_FINAL, "withdrawn": Reason.WITHDRAWN}
#: what cannot be said of a version that came after the last evaluation
WITHOUT_TRACE = frozenset({Reason.NO_STEP, Reason.NO_PLAN, Reason.ENDED, Reason.NO_TRACE})

Found = tuple[Kind, Reason, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """What became of one version."""

    #: `Type/id/_history/version`
    reference: str
    kind: Kind
    reason: Reason
    #: the code of the issue, the ids of the rules, or why a decision was not applied; may be empty
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is kept about a patient besides the record."""

    #: by instance, the latest
    memories: Mapping[str, Memory]
    #: of every row of the log, of all instances
    bases: Sequence[Json]
    #: versions that were current once
    superseded: Sequence[Entry] = ()
    #: when the arrivals that are not evaluated yet began to come; None: all are evaluated
    unread_since: datetime | None = None


def dispositions(pathway: Pathway, record: Record, past: Past, *, zone: ZoneInfo) -> tuple[Disposition, ...]:
    """Return what became of every version the record has received, in the order of receipt.

    Args:
        record: everything received about the patient, not only what rules read.
        zone: of the site.
    """
    reading = _Reading(pathway, record, past, zone)
    entries = sorted((*record.received, *past.superseded), key=lambda entry: entry.seq)
    return tuple(reading.of(entry) for entry in entries)


class _Reading:
    """The record, the memories and the log, indexed once by version."""

    def __init__(self, pathway: Pathway, record: Record, past: Past, zone: ZoneInfo) -> None:
        self._pathway, self._record, self._past = pathway, record, past
        inputs = pathway.gate.read(record, zone)
        self._facts = {fact.entry.versioned: fact for fact in inputs.facts}
        self._early = {fact.entry.versioned for fact in inputs.preliminary}
        self._aside = {problem.entry.versioned: problem.issue for problem in inputs.set_aside}
        self._old = {entry.versioned for entry in past.superseded}
        self._steps: dict[str, set[str]] = {}
        self._decided: dict[str, Json] = {}
        for basis in past.bases:
            for reference in basis["used"]:
                self._steps.setdefault(reference, set()).add(str(basis["action"]))
            if basis["decision"] is not None:
                self._decided[basis["decision"]["reference"]] = basis

    def of(self, entry: Entry) -> Disposition:
        """Return what became of one version: what it did comes before what it is."""
        kind, reason, detail = self._did(entry) or self._is(entry)
        since = self._past.unread_since
        if since is not None and entry.received >= since and reason in WITHOUT_TRACE:
            kind, reason, detail = Kind.WAITING, Reason.UNREAD, ""
        return Disposition(reference=entry.versioned, kind=kind, reason=reason, detail=detail)

    def _did(self, entry: Entry) -> Found | None:
        if rules := self._steps.get(entry.versioned):
            return Kind.USED, Reason.STEP, ", ".join(sorted(rules))
        if basis := self._decided.get(entry.versioned):
            if basis["event"] == "decision-rejected":
                return Kind.REJECTED, Reason.NOT_APPLICABLE, str(basis["title"])
            return Kind.USED, Reason.DECISION, str(basis["action"])
        return (Kind.NO_EFFECT, Reason.SUPERSEDED, "") if entry.versioned in self._old else None

    def _is(self, entry: Entry) -> Found:
        if fact := self._facts.get(entry.versioned):
            return Kind.NO_EFFECT, self._counted(fact), ""
        if issue := self._aside.get(entry.versioned):
            return self._asked(Reason.SET_ASIDE, f"{receipt.RULE}:{entry.versioned}", entry.reference, issue)
        if entry.versioned in self._early:
            (rule,) = self._pathway.of_kind("early")
            return self._asked(Reason.EARLY, key := f"{rule.id}:{entry.id}", key, rule.id)
        if entry.type == "Task":
            return self._task(entry)
        standing = self._pathway.gate.standing(entry, self._record)
        if standing is None:
            return Kind.NO_EFFECT, Reason.BESIDE if entry.type in BESIDE else Reason.NOT_READ, ""
        return Kind.NO_EFFECT, STANDING[standing], ""

    def _counted(self, fact: Fact) -> Reason:
        """Return why an input that counts has led to nothing."""
        of = fact.sides or self._pathway.instances
        plans = [memory for side in of if (memory := self._memory(side)).stage is not None]
        if not plans:
            return Reason.NO_PLAN
        return Reason.ENDED if all(memory.closed for memory in plans) else Reason.NO_STEP

    def _asked(self, why: Reason, key: str, about: str, detail: str) -> Found:
        """Return that a person is asked, or was; or that nobody has been, which may not be."""
        person = self._memory(PERSON)
        if key not in person.raised:
            return self._untraced()
        is_open = any(task.state == "open" and task.about == about for task in person.tasks)
        return (Kind.HELD, why, detail) if is_open else (Kind.NO_EFFECT, Reason.SETTLED, detail)

    def _task(self, entry: Entry) -> Found:
        if canonical.DECISIONS not in {system for system, _ in pairs(entry.body.get("code"))}:
            return Kind.NO_EFFECT, Reason.NOT_READ, ""
        if decisions.read(entry, self._record.people) is None:
            return Kind.NO_EFFECT, Reason.NOT_FINAL, ""
        if decisions.key(entry) in self._memory(PERSON).raised:
            # An earlier version of it has decided, and a decision decides once.
            return Kind.NO_EFFECT, Reason.SETTLED, ""
        return self._untraced()

    def _untraced(self) -> Found:
        body = self._record.patient.body
        # After a death nothing is checked and nothing applied, not even what nobody has asked about yet.
        died = body.get("deceasedBoolean") is True or "deceasedDateTime" in body
        return (Kind.NO_EFFECT, Reason.ENDED, "") if died else (Kind.WAITING, Reason.NO_TRACE, "")

    def _memory(self, instance: str) -> Memory:
        return self._past.memories.get(instance, Memory())
