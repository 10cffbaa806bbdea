"""The way a patient has taken through the stages, read from the log of decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.store.decisions import Row
from service.web.words import Words

#: the rule of the machine that takes a step back whose basis was withdrawn
TAKEN_BACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move from a stage to another."""

    source: str
    target: str
    rule: str
    title: str
    at: datetime
    number: int
    #: the step was undone later, or is itself the undoing
    taken_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A time in a stage."""

    stage: str
    since: datetime
    until: datetime | None
    #: the rule that led here; empty for the first stage
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Every step and every stay, oldest first."""

    steps: tuple[Step, ...]
    stays: tuple[Stay, ...]

    @property
    def now(self) -> Stay | None:
        """Return the stay that goes on."""
        return self.stays[-1] if self.stays else None


def read(rows: Sequence[Row], words: Words) -> Way:
    """Return the way that these rows tell, whatever their order."""
    steps: list[Step] = []
    stays: list[Stay] = []
    for row in sorted(rows, key=lambda r: r.number):
        source, target = row.before.get("stage") or "", row.after.get("stage") or ""
        if not target or source == target:
            continue
        if source and not stays:
            stays.append(Stay(stage=source, since=_entered(row.before) or row.at, until=None, rule=""))
        if stays:
            stays[-1] = Stay(stage=stays[-1].stage, since=stays[-1].since, until=row.at, rule=stays[-1].rule)
        stays.append(Stay(stage=target, since=row.at, until=None, rule=row.rule if source else ""))
        if source:
            steps.append(
                Step(
                    source=source,
                    target=target,
                    rule=row.rule,
                    title=words.said(str(row.basis["title"])) if row.basis.get("title") else row.rule,
                    at=row.at,
                    number=row.number,
                    taken_back=row.rule == TAKEN_BACK,
                )
            )
    return Way(steps=tuple(_undone(steps)), stays=tuple(stays))


def _undone(steps: Sequence[Step]) -> list[Step]:
    """Mark the step that each taking back undid: the latest one into the stage it leaves."""
    marked = list(steps)
    for place, step in enumerate(steps):
        if not step.taken_back:
            continue
        for earlier in range(place - 1, -1, -1):
            candidate = marked[earlier]
            if candidate.target == step.source and not candidate.taken_back:
                fields = {name: getattr(candidate, name) for name in Step.__dataclass_fields__}
                marked[earlier] = Step(**{**fields, "taken_back": True})
                break
    return marked


def _entered(memory: Mapping[str, Any]) -> datetime | None:
    text = memory.get("stageEntered")
    return datetime.fromisoformat(str(text)) if text else None
