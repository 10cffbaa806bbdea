"""What arrived and could not be used: what is wrong with it, what it holds up, and who mends it.

Nobody corrects a value or a side here. Data are corrected at their source, and an entry closes by itself
when its resource arrives usable.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from pathways.definition import Pathway
from pathways.values import NO_UNIT, OF_SIDES
from service.store.resources import Stored
from service.web import elements, tasks, worklist
from service.web.elements import Json, Word
from service.web.moments import Moments
from service.web.patients import Person
from service.web.tasks import Work
from service.web.words import Words
from service.web.worklist import Place

#: entries of one group that are shown
ROWS = 50

Group = Literal["side", "data"]
GROUPS: tuple[Group, ...] = ("side", "data")

#: the elements that each check looks at, as they begin: `value[x]` has many names
CHECKED: Mapping[str, tuple[str, ...]] = {
    "missing-effective-time": ("effective", "performed"),
    "future-dated": ("effective", "performed"),
    "unreadable-value": ("value", "component", "dataAbsentReason"),
    "unit-mismatch": ("value", "component"),
    "out-of-range": ("value", "component"),
    "missing-laterality": ("bodySite",),
    "side-mismatch": ("bodySite", "basedOn"),
}

#: what a clinician reads of a resource, in this order
SHOWN = (
    "status",
    "code",
    "value",
    "component",
    "dataAbsentReason",
    "effective",
    "performed",
    "bodySite",
    "basedOn",
    "performer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What was set aside, as it stands now."""

    body: Json
    reference: str
    version: int
    received: str
    #: what the pathway would read it as; empty: it is no input any more
    title: str
    value: str

    @property
    def link(self) -> str:
        """Return where exactly this version is read."""
        return f"/fhir/{self.reference}/_history/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One Task about data, with what it is about."""

    work: Work
    open: bool
    issue: Word
    #: of data that were erased since, nothing is left but the Task
    received: Received | None

    @property
    def group(self) -> Group:
        """Return under which heading it stands."""
        return "side" if self.issue.code in OF_SIDES else "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of what was received. `faulty`: the check that failed looks at it."""

    path: str
    said: str
    faulty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an entry."""

    at: str
    text: str
    #: of the Task, which it led to; 0: it was before there was one
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """The page of one entry."""

    entry: Entry
    person: Person | None
    elements: tuple[Element, ...]
    #: what the check would have accepted
    needs: tuple[str, ...]
    plans: tuple[Place, ...]
    history: tuple[Event, ...]
    version: str


def is_about_data(work: Work) -> bool:
    """Return whether a Task asks to correct data: it is about an issue, and about no plan."""
    return work.focus.startswith("DetectedIssue/") and not work.plan


def read(
    work: Work,
    issues: Mapping[str, Json],
    stored: Mapping[str, Stored],
    pathways: Sequence[Pathway],
    when: Moments,
    words: Words,
) -> Entry:
    """Return a Task with what it is about.

    Args:
        issues: DetectedIssues by id.
        stored: current versions of what they implicate, by reference.
    """
    issue = issues.get(work.focus.partition("/")[2], {})
    found = (stored.get(reference) for reference in elements.references(issue.get("implicated", ())))
    return Entry(
        work=work,
        open=work.task.get("status") in elements.OPEN_TASK,
        issue=elements.word(issue.get("code")) or Word("", words("not_recorded")),
        received=next((_received(one, pathways, when, words) for one in found if one), None),
    )


def groups(entries: Sequence[Entry]) -> dict[Group, tuple[Entry, ...]]:
    """Return the entries by heading, the most urgent first."""
    ordered = sorted(entries, key=lambda entry: tasks.by_urgency(entry.work))
    return {group: tuple(e for e in ordered if e.group == group) for group in GROUPS}


def detail(
    entry: Entry,
    versions: Sequence[Stored],
    person: Person | None,
    plans: Sequence[Json],
    pathways: Sequence[Pathway],
    when: Moments,
    words: Words,
) -> Detail:
    """Return the page of one entry.

    Args:
        versions: of the Task, newest first.
        plans: of the patient.
    """
    return Detail(
        entry=entry,
        person=person,
        elements=tuple(_elements(entry, words)),
        needs=tuple(_needs(entry, pathways, words)),
        plans=tuple(sorted((worklist.place(p, words) for p in plans), key=lambda p: p.side.text)),
        history=tuple(_history(entry, versions, when, words)),
        version=elements.version(entry.work.task),
    )


def said(value: Any) -> str:
    """Return a value of FHIR as it was sent: nothing is converted, rounded or clipped."""
    match value:
        case {"coding": [*codings]}:
            text = value.get("text")
            # A body site may say its side in an extension.
            added = [v for e in value.get("extension", ()) for name, v in e.items() if name != "url"]
            return ", ".join([*map(_coding, codings), *([f"“{text}”"] if text else []), *map(said, added)])
        case {"value": amount, **rest}:
            unit = rest.get("unit") or rest.get("code") or ""
            return f"{rest.get('comparator', '')}{amount} {unit}".strip()
        case {"reference": reference, **rest}:
            return str(rest.get("display") or reference)
        case {"code": code, **rest}:
            inside = (part for name, part in rest.items() if str(name).startswith(("value", "dataAbsent")))
            return ": ".join([said(code), *map(said, inside)])
        case {"text": text}:
            return f"“{text}”"
        case {"start": start, **rest}:
            return f"{start} – {rest.get('end', '')}".rstrip(" –")
        case {"end": end}:
            return f"– {end}"
        case [*items]:
            return "; ".join(said(item) for item in items)
        case bool():
            return str(value).lower()
        case dict():
            return "; ".join(f"{name} {said(part)}" for name, part in value.items())
        case _:
            return str(value)


def _coding(coding: Json) -> str:
    code = f"{coding.get('system', '')}|{coding.get('code', '')}".strip("|")
    return f"{coding['display']} ({code})" if coding.get("display") else code


def _received(stored: Stored, pathways: Sequence[Pathway], when: Moments, words: Words) -> Received:
    body = stored.resource
    row = _row(body, pathways)
    values = [v for name, v in body.items() if name.startswith("value") or name == "component"]
    return Received(
        body=body,
        reference=stored.reference,
        version=stored.version,
        received=when.exact(stored.received),
        title=str(row["title"]) if row else "",
        value="; ".join(said(value) for value in values) or words("inbox.no_value"),
    )


def _row(body: Json, pathways: Sequence[Pathway]) -> Json | None:
    rows = (pathway.gate.wanted(body) for pathway in pathways)
    return next((row for row in rows if row is not None), None)


def _elements(entry: Entry, words: Words) -> Iterator[Element]:
    """Yield what is shown of the resource; an element that is missing where one is needed, too."""
    if entry.received is None:
        return
    body, checked = entry.received.body, CHECKED.get(entry.issue.code, ())
    for begin in SHOWN:
        present = [name for name in body if _begins(name, begin)]
        for name in present:
            yield Element(path=name, said=said(body[name]), faulty=begin in checked)
        if not present and begin in checked[:1]:
            # Of two spellings, as effective and performed, only the type's own is missing.
            own = "performed" if begin == "effective" and "performed" in _timed(body) else begin
            yield Element(path=own, said=words("inbox.missing"), faulty=True)


def _timed(body: Json) -> str:
    return "performed" if body["resourceType"] == "Procedure" else "effective"


def _begins(name: str, begin: str) -> bool:
    """Return whether an element is this one, or one spelling of `begin[x]`."""
    return name == begin or (name.startswith(begin) and name[len(begin)].isupper())


def _needs(entry: Entry, pathways: Sequence[Pathway], words: Words) -> Iterator[str]:
    """Yield what the check that failed would have accepted."""
    row = _row(entry.received.body, pathways) if entry.received else None
    if row is None or entry.issue.code not in CHECKED:
        return
    table = row["value"]
    parts = [(str(part["code"].get("display", "")), part) for part in table.get("components", ())]
    match entry.issue.code:
        case "missing-laterality" | "side-mismatch":
            sides = sorted({str(s.coding["display"]) for p in pathways for s in p.sides.values()})
            yield words(f"inbox.needs.{entry.issue.code}", sides=", ".join(sides))
        case "out-of-range":
            for title, part in parts or [("", table)]:
                if "range" in part:
                    low, high = part["range"]
                    yield _titled(title, words("inbox.needs.out-of-range", low=low, high=high))
        case "unit-mismatch":
            for title, part in parts or [("", table)]:
                units = ", ".join(unit for unit in part.get("units", ()) if unit != NO_UNIT)
                if units:
                    yield _titled(title, words("inbox.needs.unit-mismatch", units=units))
        case "unreadable-value":
            for title, part in parts or [("", table)]:
                yield _titled(title, words("inbox.needs.unreadable-value", values=_accepted(part, words)))
        case code:
            yield words(f"inbox.needs.{code}")


def _accepted(part: Mapping[str, Any], words: Words) -> str:
    """Return the answers of a value table in words; of a number, its kinds."""
    answers = [str(answer["codes"][0]["display"]) for answer in part.get("answers", ())]
    kinds = [str(kind) for kind in part.get("types", ()) if kind != "CodeableConcept" or not answers]
    if isinstance(part.get("range"), list) and all(isinstance(n, (int, Decimal)) for n in part["range"]):
        kinds.append(words("inbox.needs.out-of-range", low=part["range"][0], high=part["range"][1]))
    return ", ".join([*answers, *kinds])


def _titled(title: str, text: str) -> str:
    return f"{title}: {text}" if title else text


def _history(entry: Entry, versions: Sequence[Stored], when: Moments, words: Words) -> Iterator[Event]:
    """Yield what happened, oldest first: the receipt, the Task, each owner, and the end."""
    if entry.received is not None:
        yield Event(at=entry.received.received, text=words("inbox.event.received", n=entry.received.version))
    owner = status = ""
    for stored in reversed(versions):
        task = stored.resource
        told = [] if status else [words("inbox.event.raised", issue=entry.issue.text)]
        name = str(task.get("owner", {}).get("display") or elements.reference(task.get("owner")))
        if name != owner:
            told.append(words("inbox.event.owner", who=name) if name else words("inbox.event.free"))
        if status and task["status"] != status and task["status"] not in elements.OPEN_TASK:
            told.append(words("inbox.event.closed"))
        at = when.exact(stored.received)
        yield from (Event(at=at, text=text, version=stored.version) for text in told)
        owner, status = name, str(task["status"])
