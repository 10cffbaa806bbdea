"""The care-plan page: where one side of one patient is, why, and what is next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathways.definition import Pathway
from pathways.outlook import Situation
from service.store import deliveries
from service.store.decisions import Row
from service.store.standings import Standing
from service.web import (
    alarms,
    basis,
    charts,
    course,
    elements,
    ended,
    evidence,
    goals,
    joined,
    moments,
    offers,
    pathway_map,
    proposals,
    tasks,
    timeline,
    way,
)
from service.web.alarms import Alarm, Watched
from service.web.basis import Input
from service.web.charts import Chart
from service.web.course import Course
from service.web.elements import Json, Word
from service.web.evidence import Topic
from service.web.goals import Goal
from service.web.moments import Moments
from service.web.offers import Offers
from service.web.outlook import Outlook
from service.web.patients import Person, describe
from service.web.proposals import Card, Receipt
from service.web.tasks import Work
from service.web.way import Way
from service.web.words import Words

#: of the engine's resources, what the page shows
TYPES = (
    "AuditEvent",
    "CarePlan",
    "CommunicationRequest",
    "DetectedIssue",
    "Flag",
    "Goal",
    "Provenance",
    "ServiceRequest",
    "Task",
)

#: facts in the aside; all of them are in the timeline
FACTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the page is made of: read from the store once, then only looked at."""

    patient: Json
    plan: Json
    resources: Mapping[str, Sequence[Json]]
    rows: Sequence[Row]
    standing: Standing | None
    pathway: Pathway
    names: Mapping[str, str]
    #: what is remembered, by side word; empty for the person
    memories: Mapping[str, Mapping[str, Any]]
    outlook: Outlook
    #: what the rules are asked about; None where nothing is remembered
    situation: Situation | None
    #: what the hospital's server has of it; None: there is no such server, or nothing was to be sent
    delivery: deliveries.Standing | None = None
    #: a bar for each record that was joined into this one
    joined: tuple[Alarm, ...] = ()
    #: a bar where another record carries an identifier of this one
    shared: tuple[Alarm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One side of the patient."""

    id: str
    side: str
    stage: str
    to_sign: int
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Something that has to come from someone."""

    what: str
    who: str
    due: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One stay in a stage, as the list beside the map says it."""

    text: str
    now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """Everything on the page."""

    id: str
    version: str
    person: Person
    side: Word
    #: the side inside a sentence
    side_low: str
    stage: Word
    title: str
    tabs: tuple[Tab, ...]
    unopened: tuple[str, ...]
    sentence: str
    map: pathway_map.Drawing
    stops: tuple[Stop, ...]
    alarms: tuple[Alarm, ...]
    unread: str
    cards: tuple[Card, ...]
    receipts: tuple[Receipt, ...]
    offers: Offers
    charts: tuple[Chart, ...]
    course: Course | None
    evidence: tuple[Topic, ...]
    work: tuple[Work, ...]
    person_work: tuple[Work, ...]
    #: id of a Task -> which stage of it is over, and since when, in words
    ended: Mapping[str, str]
    waiting: tuple[Waiting, ...]
    facts: tuple[Input, ...]
    goals: tuple[Goal, ...]
    outlook: Outlook
    timeline: timeline.Told
    show: str
    pathway: str
    opened: str
    profile: str
    changed: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]


def build(record: Record, show: str, when: Moments, words: Words, *, entries: int) -> PlanPage:
    """Return the page for one plan.

    Args:
        show: what of the timeline, one of `timeline.SHOWN`.
        entries: of the timeline and of each table at most so many, the newest; only they are put into words.
    """
    plan, found, pathway = record.plan, record.resources, record.pathway
    reference = elements.identity(plan)
    side = elements.side(plan) or Word("", words("person"))
    memory = record.rows[0].after if record.rows else {}
    taken = way.read(record.rows, words)
    requests = [r for r in found.get("ServiceRequest", ()) if _of(r, reference)]
    over = ended.of_rows(memory, record.rows)
    all_work = tasks.mark((tasks.read(t, when, words) for t in found.get("Task", ()) if _open(t)), over)
    work = sorted((w for w in all_work if w.plan == reference), key=tasks.by_urgency)
    person_work = sorted((w for w in all_work if w.side is None), key=tasks.by_urgency)
    names = {elements.identity(r): _order_name(r, words) for r in requests}
    names |= {f"Task/{w.id}": w.title for w in (*work, *person_work)}
    personal = record.memories.get("", {}).get("tasks") or ()
    made = offers.make(pathway, memory, reference, side.text, names, personal)
    cards = proposals.cards(requests, work, record.rows, when, words, record.outlook.lacking)
    receipts = proposals.receipts(requests, when, words, record.names)
    mine = {name: [r for r in some if _about(r, side, reference)] for name, some in found.items()}
    since = taken.now.since if taken.now else None
    tabs = _tabs(found.get("CarePlan", ()), plan, all_work)
    watched = Watched(
        plan=plan,
        memory=memory,
        flags=mine.get("Flag", ()),
        messages=mine.get("CommunicationRequest", ()),
        work=work,
        offers=made,
        standing=record.standing,
        since=since,
    )
    last = basis.read(record.rows[0], when, words) if record.rows else None
    return PlanPage(
        id=plan["id"],
        version=elements.version(plan),
        person=describe(record.patient, when, words),
        side=side,
        side_low=words.inline(side.text),
        stage=elements.stage(plan),
        title=str(plan.get("title", "")),
        tabs=tabs,
        unopened=_unopened(pathway, tabs),
        sentence=_sentence(plan, side, cards, work, taken, when, words),
        map=pathway_map.draw(offers.stages(pathway), taken, when, words, _ahead(pathway, memory)),
        stops=_stops(taken, pathway, when, words),
        alarms=(*record.joined, *alarms.raise_(watched, when, words), *record.shared),
        unread=alarms.waiting(record.standing, when, words),
        cards=cards,
        receipts=receipts,
        offers=made,
        charts=charts.build(record.situation, when, words, rows=entries),
        course=course.build(record.situation, when, words),
        evidence=evidence.topics(pathway, elements.stage(plan).code),
        work=tuple(work),
        person_work=tuple(person_work),
        ended={w.id: ended.say(w.ended, (pathway,), when, words) for w in work if w.ended},
        waiting=_waiting(cards, receipts, work, words),
        facts=_facts(record.rows, when, words),
        goals=goals.build(mine.get("Goal", ()), when, words),
        outlook=record.outlook,
        timeline=timeline.tell(
            timeline.Sources(
                rows=record.rows,
                way=taken,
                titles={stage.code: stage.title for stage in pathway.stages.values()},
                audits=mine.get("AuditEvent", ()),
                decisions={elements.identity(d): d for d in found.get("decision", ())},
                names={**record.names, **names},
                issues=mine.get("DetectedIssue", ()),
                messages=mine.get("CommunicationRequest", ()),
                side=side.text,
            ),
            show,
            when,
            words,
            most=entries,
        ),
        show=show,
        pathway=f"{pathway.title} {pathway.version}",
        opened=when.said(plan.get("period", {}).get("start")),
        profile=last.profile if last else "",
        changed=last.changed if last else (),
        links=_links(plan, mine.get("Provenance", ())),
    )


def _of(resource: Json, plan: str) -> bool:
    return plan in elements.references(resource.get("basedOn", ()))


def _about(resource: Json, side: Word, plan: str) -> bool:
    """Return whether a resource is about this side, or names the plan."""
    own = elements.side(resource)
    return (own is not None and own.code == side.code) or _of(resource, plan)


def _open(task: Json) -> bool:
    return task.get("status") in elements.OPEN_TASK


def _order_name(request: Json, words: Words) -> str:
    return elements.named(elements.say(request.get("code")), elements.side(request), words)


def _tabs(plans: Sequence[Json], current: Json, work: Sequence[Work]) -> tuple[Tab, ...]:
    """Return the patient's plans of the same pathway, in the order of their sides."""
    same = [
        p
        for p in joined.going_on(plans)
        if p.get("instantiatesCanonical") and _pathway(p) == _pathway(current)
    ]
    found = [
        Tab(
            id=plan["id"],
            side=side.text if (side := elements.side(plan)) else "",
            stage=elements.stage(plan).text,
            to_sign=sum(len(w.orders) for w in work if w.plan == elements.identity(plan)),
            current=plan["id"] == current["id"],
        )
        for plan in same
    ]
    return tuple(sorted(found, key=lambda tab: tab.side))


def _unopened(pathway: Pathway, tabs: Sequence[Tab]) -> tuple[str, ...]:
    """Return the sides that have no plan: nothing is known of them."""
    known = {tab.side for tab in tabs}
    sides = (str(side.coding.get("display", side.name)) for side in pathway.sides.values())
    return tuple(side for side in sides if side not in known)


def _pathway(plan: Json) -> str:
    return str(next(iter(plan.get("instantiatesCanonical", ())), "")).partition("|")[0]


def _sentence(
    plan: Json,
    side: Word,
    cards: Sequence[Card],
    work: Sequence[Work],
    taken: Way,
    when: Moments,
    words: Words,
) -> str:
    """Return where the plan is and what it waits for, in one sentence."""
    stage = elements.stage(plan).text
    drafts = [p for card in cards for p in card.proposals if p.status == "draft"]
    since = when.plain(taken.now.since) if taken.now else ""
    said = {"side": side.text, "stage": stage, "since": since}
    if plan.get("status") != "active":
        return words("where.left", **said)
    if drafts:
        due = min((c.due_at for c in cards if c.due_at), default="")
        end = moments.read(due)
        names = (
            drafts[0].name
            if len(drafts) == 1
            else words("where.orders", n=len(drafts), side_low=words.inline(side.text))
        )
        if end is None:
            return words("where.sign", what=names, **said)
        late = "where.sign.late" if end < when.now else "where.sign.due"
        return words(late, what=names, day=when.day(end), distance=when.distance(end), **said)
    for task in work:
        end = moments.read(task.due_at)
        if end is not None and task.band != "ended":
            return words(
                "where.next", what=task.title, day=when.day(end), distance=when.distance(end), **said
            )
    return words("where.quiet", **said)


def _ahead(pathway: Pathway, memory: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the steps that the definition has from this stage: what may still come."""
    here = str(memory.get("stage") or "")
    return [
        (rule.target, rule.code if rule.kind == "transition" else rule.id.partition("-")[0], rule.title)
        for rule in pathway.of_kind("transition", "decision")
        if rule.target and here and (not rule.stages or here in rule.stages)
    ]


def _stops(taken: Way, pathway: Pathway, when: Moments, words: Words) -> tuple[Stop, ...]:
    titles = {stage.code: stage.title for stage in pathway.stages.values()}
    found = []
    for stay in taken.stays:
        stage = titles.get(stay.stage, stay.stage)
        rule = f" ({stay.rule})" if stay.rule else ""
        if stay.until is None:
            span = words("map.since", since=when.plain(stay.since))
        else:
            span = words("map.stay", since=when.short(stay.since), until=when.short(stay.until))
        found.append(Stop(text=f"{stage}, {span}{rule}", now=stay.until is None))
    return tuple(found)


def _waiting(
    cards: Sequence[Card], receipts: Sequence[Receipt], work: Sequence[Work], words: Words
) -> tuple[Waiting, ...]:
    """Return what is awaited: signatures, answers to signed orders, then Tasks by their due time."""
    found = [
        Waiting(
            what=words("waiting.signature", what=proposal.name),
            who=card.role_words,
            due=card.due.distance,
            state=card.due.state,
        )
        for card in cards
        for proposal in card.proposals
        if proposal.status == "draft"
    ]
    found += [
        Waiting(
            what=words("waiting.answer", what=r.name), who=words("waiting.hospital"), due="", state="none"
        )
        for r in receipts
        if r.status == "active"
    ]
    found += [
        Waiting(what=w.title, who=w.owner_name or w.role_words, due=w.due.distance, state=w.due.state)
        for w in work
        if not w.orders and w.band != "ended"
    ]
    return tuple(found)


def _facts(rows: Sequence[Row], when: Moments, words: Words) -> tuple[Input, ...]:
    """Return the newest value of each input that any rule used, newest first."""
    newest: dict[tuple[object, object], tuple[str, Mapping[str, Any]]] = {}
    for row in rows:
        for entry in row.basis.get("inputs") or ():
            date = str(entry.get("date") or "")
            key = (entry.get("input") or entry.get("reference"), entry.get("side"))
            if key not in newest or newest[key][0] < date:
                newest[key] = (date, entry)
    ordered = sorted(newest.values(), key=lambda pair: pair[0], reverse=True)
    return tuple(basis.read_input(entry, when, words) for _, entry in ordered[:FACTS])


def _links(plan: Json, provenance: Sequence[Json]) -> tuple[tuple[str, str], ...]:
    """Return the resources behind the page, as (words, URL)."""
    found = [("CarePlan", f"/fhir/{elements.identity(plan)}")]
    found += [
        (reference.partition("/")[0], f"/fhir/{reference}")
        for reference in elements.references(plan.get("addresses", ()))
    ]
    if provenance:
        found.append(("Provenance", f"/fhir/{elements.identity(provenance[-1])}"))
    return tuple(found)
