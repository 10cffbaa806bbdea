"""The course of a patient: each measure against time, with the limits of the site drawn in.

Which inputs are drawn, against which limits, the pathway says (`charts` in its input table). Nothing is
clipped or smoothed: what was set aside is a cross above the scale, and every chart has its table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from pathways import cql
from pathways.definition import Pathway
from pathways.inputs import Fact, Inputs, SetAside
from pathways.outlook import Situation
from service.web import elements, inbox, moments
from service.web.moments import Moments
from service.web.words import Words

#: the drawing: the scale stands left of it, the limits right of it, what was set aside above it
LEFT, RIGHT, TOP, BOTTOM = 24.0, 236.0, 20.0, 154.0

#: values written beside their dots; of more only the first and the last are
LABELLED = 8
#: between ticks, the smallest step that leaves at most this many
TICKS = 5
WEEK_STEPS = (1, 2, 6, 12, 26, 52, 104)


class Dot(NamedTuple):
    """One value in the drawing; `label` is empty where the neighbours need the room."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of the site, and what it means."""

    y: float
    value: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value in the table; `problem`: why it was set aside, empty for one that counts."""

    day: str
    value: str
    by: str
    link: str
    version: int
    problem: str
    order: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One measure of one side."""

    id: str
    title: str
    #: the first to the last value in words, for those who do not see the drawing
    said: str
    line: str
    dots: tuple[Dot, ...]
    crosses: tuple[Dot, ...]
    limits: tuple[Limit, ...]
    scale: tuple[Tick, ...]
    axis: tuple[Tick, ...]
    #: the newest first, and how many there are in all
    rows: tuple[Row, ...]
    count: int

    @property
    def shown_only(self) -> bool:
        """Return whether no rule holds it against a limit."""
        return not self.limits

    @property
    def crowd(self) -> str:
        """Return many dots as one path; empty where they are few, and each is drawn by itself."""
        return "".join(f"M{dot.x} {dot.y}h0" for dot in self.dots) if len(self.dots) > LABELLED else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that all charts of a plan share."""

    first: datetime
    last: datetime
    #: weeks are counted from here; None: from nowhere, so days are written
    start: datetime | None

    def x(self, at: datetime) -> float:
        """Return where an instant stands."""
        return LEFT + (RIGHT - LEFT) * ((at - self.first) / (self.last - self.first))


def build(situation: Situation | None, when: Moments, words: Words, *, rows: int) -> tuple[Chart, ...]:
    """Return the charts of one side: of each measure that has a value, or one that was set aside.

    Args:
        rows: of a table at most so many, the newest.
    """
    if situation is None:
        return ()
    run = situation.judge(when.now).ask(situation.memory)
    charts: Mapping[str, Any] = situation.pathway.inputs.get("charts", {})
    known = {row["id"]: row for row in situation.pathway.inputs["inputs"]}
    facts = situation.inputs.of(situation.side, until=when.now)
    drawn = [
        (chart, [f for f in facts if f.input == chart["input"]], _aside(situation, chart["input"]))
        for chart in charts.get("inputs", ())
    ]
    drawn = [(chart, found, aside) for chart, found, aside in drawn if found or aside]
    if not drawn:
        return ()
    start = moments.read(str(situation.memory.values.get(charts.get("weeksFrom", "")) or ""))
    if start is not None:
        # A day is remembered; it begins where the site is.
        start = datetime.combine(start.date(), time(), when.zone)
    span = _span([f.at for _, found, _ in drawn for f in found], start, when.now)
    return tuple(
        _chart(
            known[chart["input"]],
            _limits(chart.get("limits", ()), situation, run, words),
            found,
            aside,
            situation,
            span,
            when,
            words,
            most=rows,
        )
        for chart, found, aside in drawn
    )


def _limits(
    names: Sequence[str], situation: Situation, run: cql.Run, words: Words
) -> list[tuple[float, str]]:
    """Return each limit and what it means: a value of the site, or one that the rules compute and know."""
    pathway = words.pathway(situation.pathway)
    found = []
    for name in names:
        if name in situation.pathway.parameters:
            text = pathway.text(words.language, f"parameter.{name}")
            found.append((float(situation.site[name]), elements.capital(text)))
            continue
        try:
            value = run[name]
        except cql.EvaluationFailed:
            # The outlook on the same page says that a rule erred.
            continue
        if value is not None:
            found.append((float(value), words.said(situation.pathway.library.phrases[name])))
    return found


def _aside(situation: Situation, measure: str) -> list[SetAside]:
    """Return what was set aside of an input, of this side or of none: never what states the other side."""
    inputs: Inputs = situation.inputs
    wanted = situation.pathway.gate.wanted
    found = [(one, wanted(one.entry.body)) for one in inputs.set_aside]
    return [
        one
        for one, row in found
        if row is not None and row["id"] == measure and (not one.sides or situation.side in one.sides)
    ]


def _span(times: Sequence[datetime], start: datetime | None, now: datetime) -> Span:
    every = [*times, now, *([start] if start is not None else [])]
    first, last = min(every), max(every)
    return Span(first=first, last=max(last, first + timedelta(days=1)), start=start)


def _chart(
    row: Mapping[str, Any],
    limits: Sequence[tuple[float, str]],
    facts: Sequence[Fact],
    aside: Sequence[SetAside],
    situation: Situation,
    span: Span,
    when: Moments,
    words: Words,
    *,
    most: int,
) -> Chart:
    low, high = (float(bound) for bound in row["value"]["range"])

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low))

    ordered = sorted(facts, key=lambda f: f.at)
    values = [(fact, float(fact.canonical["valueQuantity"]["value"])) for fact in ordered]
    few = len(values) <= LABELLED
    dots = [
        Dot(
            x=round(span.x(fact.at), 1),
            y=round(y(value), 1),
            label=words.number(value) if few or place in (0, len(values) - 1) else "",
        )
        for place, (fact, value) in enumerate(values)
    ]
    pathway = words.pathway(situation.pathway)
    rows = sorted(
        [
            *(_row(f, when, words) for f in ordered[-most:]),
            *(_set_aside(s, pathway, when, words) for s in aside),
        ],
        key=lambda r: r.order,
        reverse=True,
    )
    return Chart(
        id=str(row["id"]).replace(".", "-"),
        title=words.said(str(ordered[-1].title if ordered else aside[0].title)),
        said="; ".join(f"{when.plain(fact.at)}: {words.number(value)}" for fact, value in _ends(values)),
        line=" ".join(f"{dot.x} {dot.y}" for dot in dots),
        dots=tuple(dots),
        crosses=tuple(_cross(one, span, when) for one in aside),
        limits=tuple(
            Limit(y=round(y(value), 1), value=words.number(value), text=text) for value, text in limits
        ),
        scale=tuple(Tick(at=round(y(at), 1), label=words.number(at)) for at in _marks(low, high)),
        axis=_axis(span, when, words),
        rows=tuple(rows[:most]),
        count=len(ordered) + len(aside),
    )


def _ends(values: Sequence[tuple[Fact, float]]) -> Sequence[tuple[Fact, float]]:
    """Return all of a few, of many the first and the last: the table has the others."""
    return values if len(values) <= LABELLED else (values[0], values[-1])


def _row(fact: Fact, when: Moments, words: Words) -> Row:
    return Row(
        day=when.plain(fact.at),
        value=words.value(fact.words),
        by=fact.by or "",
        link=f"/fhir/{fact.entry.versioned}",
        version=fact.entry.version,
        problem="",
        order=fact.at,
    )


def _set_aside(one: SetAside, pathway: Pathway, when: Moments, words: Words) -> Row:
    at = _stated(one, when)
    body = one.entry.body
    value = next((v for name, v in body.items() if name.startswith("value")), None)
    return Row(
        day=when.plain(at) if at else words("not_recorded"),
        value=inbox.said(value) if value is not None else words("inbox.no_value"),
        by=one.by or "",
        link=f"/fhir/{one.entry.versioned}",
        version=one.entry.version,
        problem=pathway.display(elements.CODES + "pathway-issue", one.issue),
        order=at or one.entry.received,
    )


def _stated(one: SetAside, when: Moments) -> datetime | None:
    """Return the time that was stated, if it can be read and said: it may be what is wrong."""
    body = one.entry.body
    period = body.get("effectivePeriod", {})
    texts = (
        body.get("effectiveDateTime"),
        body.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
    )
    stated = moments.read(next((str(text) for text in texts if text), None))
    try:
        return when.local(stated) if stated else None
    except OverflowError:
        # The first and the last day of the calendar may have no counterpart in the zone of the site.
        return None


def _cross(one: SetAside, span: Span, when: Moments) -> Dot:
    """Return where a value stands that is not on the scale: above it, at its time, or at its receipt."""
    at = _stated(one, when) or one.entry.received
    value = next((v for name, v in one.entry.body.items() if name.startswith("value")), "")
    inside = min(max(at, span.first), span.last)
    return Dot(x=round(span.x(inside), 1), y=9.0, label=inbox.said(value))


def _axis(span: Span, when: Moments, words: Words) -> tuple[Tick, ...]:
    """Return weeks since the start, where there is one; else the first and the last day."""
    if span.start is None:
        ends = (span.first, span.last)
        return tuple(Tick(at=round(span.x(at), 1), label=when.short(at)) for at in ends)
    weeks = int((span.last - span.start) / timedelta(weeks=1))
    step = next((s for s in WEEK_STEPS if weeks // s < TICKS), WEEK_STEPS[-1])
    counted = range(0, max(weeks, 0) + 1, step)
    found = [Tick(at=round(span.x(span.start + timedelta(weeks=n)), 1), label=str(n)) for n in counted]
    # The last one says what is counted.
    return (*found[:-1], Tick(at=found[-1].at, label=words("chart.week", n=found[-1].label)))


def _marks(low: float, high: float) -> tuple[float, ...]:
    """Return what is written beside the scale: its ends, and the middle where that is a whole number."""
    middle = (low + high) / 2
    return (low, middle, high) if middle.is_integer() else (low, high)
