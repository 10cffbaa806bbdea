"""What happened, newest first: steps, decisions of people, data that counted, problems, messages.

Nothing is left out because it was undone: a step taken back stays, struck through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from service.store.decisions import Row
from service.web import basis, elements, moments
from service.web.basis import Basis
from service.web.elements import Json
from service.web.moments import Moments
from service.web.way import Way
from service.web.words import Words

#: what the reader may ask to see alone
SHOWN = ("everything", "decisions", "data", "corrections")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `kind`: step, rule, person, data, fix or message."""

    kind: str
    at: datetime
    title: str
    text: str
    struck: bool
    basis: Basis | None
    link: str
    #: of entries of the same moment, the later has the higher one
    number: int
    whole_day: bool
    when: Moments
    #: of the text, where it is known and may be another one than the page's
    language: str = ""

    @property
    def day(self) -> str:
        """Return the day in words."""
        return self.when.day(self.at)

    @property
    def time(self) -> str:
        """Return the time of the day; empty where only the day was said."""
        return "" if self.whole_day else self.when.time(self.at)

    @property
    def order(self) -> tuple[datetime, int]:
        """Return the place among the others, oldest first."""
        return self.at, self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The entries that the reader sees, newest first, and how many there are in all."""

    entries: tuple[Entry, ...]
    count: int


class Arrived(NamedTuple):
    """An input as a decision named it, before it is put into words."""

    at: datetime
    reference: str
    input: Mapping[str, Any]
    #: the version that counted before; None: it is the first
    earlier: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        """Return the kind of its entry."""
        return "data" if self.earlier is None else "fix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """From what the timeline is told."""

    rows: Sequence[Row]
    way: Way
    titles: Mapping[str, str]
    audits: Sequence[Json]
    decisions: Mapping[str, Json]
    names: Mapping[str, str]
    issues: Sequence[Json]
    messages: Sequence[Json]
    side: str


def tell(sources: Sources, show: str, when: Moments, words: Words, *, most: int) -> Told:
    """Return the entries the reader asked for: the newest of them, and how many there are."""
    kinds = {"decisions": ("step", "person"), "data": ("data", "fix"), "corrections": ("fix",)}.get(show)
    arrived = [a for a in _arrived(sources.rows) if kinds is None or a.kind in kinds]
    # A record of years has hundreds, and what is not among the newest of its kind is not among the newest.
    newest = sorted(arrived, key=lambda a: a.at, reverse=True)[:most]
    told = [
        *_steps(sources, when, words),
        *_people(sources, when, words),
        *(_data(a, when, words) for a in newest),
        *_issues(sources.issues, when, words),
        *_messages(sources.messages, when, words),
    ]
    shown = [e for e in told if kinds is None or e.kind in kinds]
    shown.sort(key=lambda e: e.order, reverse=True)
    return Told(entries=tuple(shown[:most]), count=len(shown) + len(arrived) - len(newest))


def _steps(sources: Sources, when: Moments, words: Words) -> list[Entry]:
    taken_back = {step.number for step in sources.way.steps if step.taken_back}
    undoing = {s.number for s in sources.way.steps if s.rule == "rollback"}
    found = []
    told = {row.number for row in _decided(sources.rows).values()} if sources.audits else set()
    for row in sources.rows:
        source, target = row.before.get("stage") or "", row.after.get("stage") or ""
        if source == target and row.number in told:
            continue
        why = basis.read(row, when, words)
        if source and target and source != target:
            title = words(
                "timeline.step",
                rule=row.rule,
                source=sources.titles.get(source, source),
                target=sources.titles.get(target, target),
            )
            kind = "fix" if row.number in undoing else "step"
        elif target and not source:
            kind, title = "step", words("timeline.opened", stage=sources.titles.get(target, target))
        else:
            kind, title = "rule", why.title
        raised = "; ".join(dict.fromkeys(o.title for o in why.outputs if o.title))
        text = words("timeline.raised", what=raised) if raised else ""
        if kind == "step" and why.title not in title:
            text = f"{why.title}. {text}".strip()
        found.append(
            _entry(
                row.at,
                when,
                kind=kind,
                title=title,
                text=text,
                struck=row.number in taken_back - undoing,
                basis=why,
                number=row.number,
            )
        )
    return found


def _people(sources: Sources, when: Moments, words: Words) -> list[Entry]:
    found = []
    told = _decided(sources.rows)
    for audit in sources.audits:
        task = next((r for r in _entities(audit) if r.startswith("Task/")), "")
        decision = sources.decisions.get(task)
        done = " ".join(str(c.get("display") or c.get("code", "")) for c in audit.get("subtype", ())[:1])
        who = _agent(audit, sources.names)
        refused = audit.get("outcome", "0") != "0"
        reason = elements.say((decision or {}).get("reasonCode"))
        focus = sources.names.get(elements.reference((decision or {}).get("focus")), "")
        title = done or str(audit.get("type", {}).get("display", ""))
        parts = [
            words("timeline.by", who=who) if who else "",
            words("timeline.reason", reason=reason) if reason else "",
            words("timeline.refused", why=words.said(str(audit.get("outcomeDesc") or ""))) if refused else "",
        ]
        found.append(
            _entry(
                moments.read(audit.get("recorded")),
                when,
                kind="person",
                title=f"{title}: {focus}" if focus else title,
                text=" ".join(part for part in parts if part),
                basis=basis.read(told[task], when, words) if task in told else None,
                link=f"/fhir/{task}" if task else "",
            )
        )
    return found


def _decided(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the row that each decision led to, by the reference of its Task."""
    found = {}
    for row in rows:
        reference = str((row.basis.get("decision") or {}).get("reference", ""))
        if reference:
            found[reference.partition("/_history/")[0]] = row
    return found


def _arrived(rows: Sequence[Row]) -> list[Arrived]:
    """Return each input that counted once, and each newer version of it as a correction."""
    found = []
    told: set[str] = set()
    newest: dict[str, Any] = {}
    for row in sorted(rows, key=lambda r: r.number):
        for entry in row.basis.get("inputs") or ():
            reference = str(entry.get("reference") or "")
            # Each decision names all that counted, so nearly all of it was told of an earlier one.
            if reference in told:
                continue
            told.add(reference)
            plain = reference.partition("/_history/")[0]
            earlier = newest.get(plain)
            newest[plain] = entry
            stated = moments.read(str(entry.get("date") or "")) if earlier is None else None
            found.append(Arrived(at=stated or row.at, reference=reference, input=entry, earlier=earlier))
    return found


def _data(arrived: Arrived, when: Moments, words: Words) -> Entry:
    entry, earlier, reference = arrived.input, arrived.earlier, arrived.reference
    name = str(entry.get("input") or reference.partition("/_history/")[0])
    said = [
        str(entry.get("by") or ""),
        basis.status(entry, words),
        words("timeline.was", value=_value(earlier, words)) if earlier is not None else "",
    ]
    return _entry(
        arrived.at,
        when,
        kind=arrived.kind,
        title=words("timeline.input", name=words.said(name), value=_value(entry, words)),
        text=". ".join(part for part in said if part),
        link=f"/fhir/{reference}" if reference else "",
        whole_day="T" not in str(entry.get("date") or "T") and earlier is None,
    )


def _value(entry: Mapping[str, Any], words: Words) -> str:
    value = entry.get("value")
    return words("not_recorded") if value is None else words.value(str(value))


def _issues(issues: Sequence[Json], when: Moments, words: Words) -> list[Entry]:
    return [
        _entry(
            moments.read(issue.get("identifiedDateTime")),
            when,
            kind="fix",
            title=elements.say(issue.get("code")),
            text=words.said(str(issue.get("detail") or "")),
            link=f"/fhir/{elements.identity(issue)}",
        )
        for issue in issues
    ]


def _messages(messages: Sequence[Json], when: Moments, words: Words) -> list[Entry]:
    found = []
    for message in messages:
        title = next((elements.say(c) for c in message.get("category", ())), "")
        text = " ".join(str(p.get("contentString") or "") for p in message.get("payload", ()))
        found.append(
            _entry(
                moments.read(message.get("authoredOn")),
                when,
                kind="message",
                title=words("timeline.message", title=title),
                text=text,
                link=f"/fhir/{elements.identity(message)}",
                language=str(message.get("language") or "en"),
            )
        )
    return found


def _entry(
    at: datetime | None,
    when: Moments,
    *,
    kind: str,
    title: str,
    text: str,
    struck: bool = False,
    basis: Basis | None = None,
    link: str = "",
    number: int = 0,
    whole_day: bool = False,
    language: str = "",
) -> Entry:
    return Entry(
        kind=kind,
        at=at or when.now,
        title=title,
        text=text,
        struck=struck,
        basis=basis,
        link=link,
        number=number,
        whole_day=whole_day,
        when=when,
        language=language,
    )


def _entities(audit: Json) -> list[str]:
    return [elements.reference(entity.get("what")) for entity in audit.get("entity", ())]


def _agent(audit: Json, names: Mapping[str, str]) -> str:
    for agent in audit.get("agent", ()):
        reference = elements.reference(agent.get("who"))
        return str(agent.get("who", {}).get("display") or names.get(reference) or reference)
    return ""
