"""What arrived and could not be used: what is wrong with it, what it holds up, and who mends it.

Nobody corrects a value or a side here. Data are corrected at their source, and an entry closes by itself
when its resource arrives usable.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pathways import values
from pathways.definition import Pathway
from pathways.record import pairs
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
    """The version that was set aside."""

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
    #: what was set aside; of data that were erased since, nothing is left but the Task
    received: Received | None
    #: another version has arrived since
    newer: bool

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """One issue, and the version that it is about."""

    issue: Json
    version: Stored | None
    #: another version has arrived since
    newer: bool


def read(work: Work, about: SetAside | None, pathway: Pathway | None, when: Moments, words: Words) -> Entry:
    """Return a Task with what it is about.

    Args:
        pathway: that raised it; None if it is not installed any more.
    """
    issue = about.issue if about else {}
    version = about.version if about else None
    return Entry(
        work=work,
        open=work.task.get("status") in elements.OPEN_TASK,
        issue=elements.word(words.reworded(issue.get("code"))) or Word("", words("not_recorded")),
        received=_received(version, pathway, when, words) if version else None,
        newer=about is not None and about.newer,
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
    pathway: Pathway | None,
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
        needs=tuple(_needs(entry, pathway, words)),
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


def _received(stored: Stored, pathway: Pathway | None, when: Moments, words: Words) -> Received:
    body = stored.resource
    row = pathway.gate.wanted(body) if pathway else None
    sent = [v for name, v in body.items() if name.startswith("value") or name == "component"]
    return Received(
        body=body,
        reference=stored.reference,
        version=stored.version,
        received=when.exact(stored.received),
        title=str(row["title"]) if row else "",
        value=said(sent) or words("inbox.no_value"),
    )


def _elements(entry: Entry, words: Words) -> Iterator[Element]:
    """Yield what is shown of the resource; an element that is missing where one is needed, too."""
    if entry.received is None or entry.issue.code not in CHECKED:
        return
    body, checked = entry.received.body, CHECKED[entry.issue.code]
    for begin in SHOWN:
        for name in (name for name in body if _begins(name, begin)):
            yield Element(path=name, said=said(body[name]), faulty=begin in checked)
    if not any(_begins(name, begin) for name in body for begin in checked):
        # Of the spellings one check knows, a type has its own.
        own = "performed" if "performed" in checked and body["resourceType"] == "Procedure" else checked[0]
        yield Element(path=own, said=words("inbox.missing"), faulty=True)


def _begins(name: str, begin: str) -> bool:
    """Return whether an element is this one, or one spelling of `begin[x]`."""
    return name == begin or (name.startswith(begin) and name[len(begin)].isupper())


def _needs(entry: Entry, pathway: Pathway | None, words: Words) -> Iterator[str]:
    """Yield what the check that failed would have accepted."""
    body = entry.received.body if entry.received else {}
    row = pathway.gate.wanted(body) if pathway and body else None
    code = entry.issue.code
    if pathway is None or row is None or code not in CHECKED:
        return
    if code in OF_SIDES:
        sides = sorted(str(side.coding["display"]) for side in pathway.sides.values())
        yield words(f"inbox.needs.{code}", sides=", ".join(sides))
    elif "value" not in CHECKED[code]:
        yield words(f"inbox.needs.{code}")
    else:
        for title, table in _tables(row["value"]):
            if said := _accepted(code, table, pairs(body.get("code")), words):
                yield f"{title}: {said}" if title else said


def _tables(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what is read of a resource: its value, where it has one, and its components."""
    if table["types"] != ["components"]:
        yield "", table
    for part in table.get("components", ()):
        # What stands on the whole holds for each part that says nothing else, as where values are read.
        whole = {name: table[name] for name in ("units", "range") if name in table}
        yield str(part["code"].get("display", "")), {**whole, **part}


def _accepted(code: str, table: Mapping[str, Any], matched: tuple[tuple[str, str], ...], words: Words) -> str:
    """Return what of a value, its unit or its range is accepted; empty where nothing is asked."""
    if code == "out-of-range":
        return _range(table, words)
    if code == "unit-mismatch":
        units = ", ".join(unit for unit in values.allowed_units(table, matched) if unit != NO_UNIT)
        return words("inbox.needs.unit-mismatch", units=units) if units and "units" in table else ""
    answers = [str(answer["codes"][0]["display"]) for answer in table.get("answers", ())]
    kinds = [str(kind) for kind in table.get("types", ()) if kind != "CodeableConcept" or not answers]
    accepted = [*answers, *kinds, *([_range(table, words)] if "range" in table else [])]
    return words("inbox.needs.unreadable-value", values=", ".join(accepted)) if accepted else ""


def _range(table: Mapping[str, Any], words: Words) -> str:
    """Return the range of a value table, or that of each unit, and whether only whole numbers are in it."""
    limits = table.get("range")
    if limits is None:
        return ""
    by_unit = limits if isinstance(limits, Mapping) else {"": limits}
    said = [
        f"{words('inbox.needs.out-of-range', low=low, high=high)} {unit}".strip()
        for unit, (low, high) in by_unit.items()
    ]
    return ", ".join([*said, *([words("inbox.needs.whole")] if table.get("whole") else [])])


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
