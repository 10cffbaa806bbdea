"""What an evaluation decided: steps, each one row of the log, with what it raised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pathways.definition import Activity
from pathways.inputs import Fact
from pathways.memory import Memory
from pathways.record import Entry, Json

PERSON = ""  # the instance of what is about the person, not a side


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A resource to be made. `focus` is a reference, `orders` the proposals a signing Task lists."""

    id: str
    activity: Activity
    priority: str
    qualifiers: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    due: datetime | None = None
    focus: str | None = None
    orders: tuple[str, ...] = ()
    #: references to the versions that are at fault
    implicated: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Return the literal reference to the resource."""
        return f"{self.activity.resource}/{self.id}"

    @property
    def shorthand(self) -> str:
        """Return the output as stories write it, without the side: `SR:MRI(routine)`."""
        if self.activity.resource == "ServiceRequest":
            detail = ";".join(part for part in (self.priority, "+".join(self.details)) if part)
        elif self.activity.resource == "Task":
            detail = ",".join(self.qualifiers)
        else:
            detail = ""
        return f"{self.activity.shorthand}({detail})" if detail else self.activity.shorthand


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A clinician's decision, read from its Task."""

    entry: Entry
    code: str
    focus: str | None
    practitioner: str | None
    name: str | None
    reason: str | None
    stage: str | None
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule applied to one instance."""

    instance: str
    number: int
    rule: str  # code of the CodeSystem of rules
    action: str | None  # the id of the rule in the plan
    title: str
    before: Memory
    after: Memory
    facts: tuple[Fact, ...] = ()
    conditions: tuple[Json, ...] = ()
    raised: tuple[Raised, ...] = ()
    goals: tuple[str, ...] = ()
    event: str | None = None  # code of the AuditEvent, where a person or a registry decided
    decision: Decision | None = None
    silent: bool = False  # kept in the log, without a Provenance of its own

    @property
    def moved(self) -> bool:
        """Return whether the stage was left, or entered anew."""
        return self.after.stay != self.before.stay and self.before.stage is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All steps of one evaluation, and what is remembered afterwards."""

    at: datetime
    steps: tuple[Step, ...]
    memories: Mapping[str, Memory]
    next_due: datetime | None = None
