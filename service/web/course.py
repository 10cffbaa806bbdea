"""The course of a programme on one line: how long it has lasted, its checkpoints, and what was counted in it.

What is counted, from when, and how much is enough, the pathway says (`charts.course` in its input table); the
weeks and the number are asked of its rules, so that the page never counts otherwise than they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pathways import cql
from pathways.inputs import Fact
from pathways.outlook import Situation
from service.web import moments
from service.web.moments import Moments
from service.web.words import Words

#: the drawing: a line of this length, which ends a little behind the last checkpoint or the present
LEFT, RIGHT = 10.0, 930.0
BEYOND = 1.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A checkpoint of the programme."""

    x: float
    week: int
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What is counted in the programme."""

    title: str
    #: as it was stated, with its day; empty: nothing is recorded
    value: str
    day: str
    needed: str
    #: met, not or unknown
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement of what is counted."""

    day: str
    value: str
    by: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The programme of one side. `attested` and `note` are sentences of the definition, or empty."""

    title: str
    note: str
    weeks: int
    since: str
    #: where the present stands
    x: float
    marks: tuple[Mark, ...]
    counted: Counted
    attested: str
    #: the newest first
    rows: tuple[Row, ...]


def build(situation: Situation | None, when: Moments, words: Words) -> Course | None:
    """Return the course; None where no programme has begun, the pathway has none, or a rule of it erred."""
    if situation is None:
        return None
    charts: Mapping[str, Any] = situation.pathway.inputs.get("charts", {})
    start = moments.read(str(situation.memory.values.get(charts.get("weeksFrom", "")) or ""))
    if "course" not in charts or start is None:
        return None
    pathway = words.pathway(situation.pathway)
    table: Mapping[str, Any] = pathway.inputs["charts"]["course"]
    run = situation.judge(when.now).ask(situation.memory)
    try:
        weeks = run[table["weeks"]]
        number = run[table["counted"]["value"]]
    except cql.EvaluationFailed:
        return None
    if not isinstance(weeks, int) or weeks < 0:
        return None
    every = int(situation.site[table["marks"]["every"]])
    checkpoints = [every * times for times in table["marks"]["times"]]
    whole = max(checkpoints[-1], weeks) * BEYOND
    facts = [f for f in situation.inputs.of(situation.side, until=when.now) if _counts(f, table, start)]
    facts.sort(key=lambda fact: (fact.at, fact.entry.seq))
    titles = {row["id"]: str(row["title"]) for row in pathway.inputs["inputs"]}
    enough = situation.site[table["counted"]["enough"]]
    attested = bool(situation.memory.values.get(table["attested"]["remembered"]))
    return Course(
        title=table["title"],
        note=table["note"],
        weeks=weeks,
        since=when.plain(start.date()),
        x=_x(weeks, whole),
        marks=tuple(Mark(x=_x(week, whole), week=week, passed=week <= weeks) for week in checkpoints),
        counted=_counted(titles[table["counted"]["input"]], number, facts, enough, when, words),
        attested=table["attested"]["text"] if attested else "",
        rows=tuple(_row(fact, when, words) for fact in reversed(facts)),
    )


def _counts(fact: Fact, table: Mapping[str, Any], start: datetime) -> bool:
    return bool(fact.input == table["counted"]["input"] and fact.at.date() >= start.date())


def _x(week: float, whole: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * week / whole, 1)


def _counted(
    title: str, number: Any, facts: Sequence[Fact], enough: Any, when: Moments, words: Words
) -> Counted:
    """Return what was counted, as the rules count it; the value and its day are empty where nothing was."""
    return Counted(
        title=title,
        value=words.value(facts[-1].words) if facts else "",
        day=when.plain(facts[-1].at) if facts else "",
        needed=words.number(float(enough)),
        result="unknown" if number is None else "met" if number >= enough else "not",
    )


def _row(fact: Fact, when: Moments, words: Words) -> Row:
    return Row(
        day=when.plain(fact.at),
        value=words.value(fact.words),
        by=fact.by or "",
        link=f"/fhir/{fact.entry.versioned}",
    )
