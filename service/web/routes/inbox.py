"""`/inbox`: what arrived and could not be used? And what has no meaning here?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from pathways import catalogue
from pathways.definition import Pathway
from service import situation
from service.fhir import retranslation
from service.fhir.references import ID
from service.situation import Instance
from service.store import driver, previews, resources, standings
from service.store.previews import Preview
from service.store.resources import Stored
from service.store.standings import Standing
from service.web import elements, inbox, mapping, offers, outcome, queries, shared, tasks, visit, worklist
from service.web.inbox import Detail, Entry, SetAside
from service.web.mapping import Code
from service.web.offers import Offers
from service.web.outcome import Outcome
from service.web.pages import pages, problem
from service.web.routes import careplan, decide
from service.web.routes.careplan import Posting, Typed
from service.web.routes.decide import Answer
from service.web.tasks import Work
from service.web.visit import TENANT, Visit


@pages.get("/inbox")
def show_inbox() -> str:
    """Show what was set aside and waits to be mended at its source, and whom no evaluation gets done."""
    with visit.begin() as (tx, seen):
        open_work = (tasks.read(t, seen.when, seen.words) for t in queries.open_tasks(tx, tenant=TENANT))
        groups = inbox.groups(_entries(tx, seen, [w for w in open_work if inbox.is_about_data(w)]))
        parked = standings.parked(tx, tenant=TENANT)
        shown = {e.work.patient for found in groups.values() for e in found[: inbox.ROWS]}
        shown |= {standing.patient for standing in parked[: inbox.ROWS]}
        plans = queries.plans_of(tx, {s.patient for s in parked[: inbox.ROWS]}, tenant=TENANT)
        return visit.page(
            seen,
            "inbox.html",
            groups=groups,
            rows=inbox.ROWS,
            parked=parked,
            shared=shared.rows(tx, seen, inbox.ROWS + 1),
            people=visit.people_of(tx, seen, shown),
            plan_of=worklist.first_plans(worklist.place(plan, seen.words) for plan in plans),
        )


@pages.get("/inbox/codes")
def show_unread_codes() -> str:
    """Show the codes by which no pathway reads anything, by sender."""
    with visit.begin() as (tx, seen):
        found = queries.unread_codes(tx, catalogue.codes(), inbox.ROWS + 1, tenant=TENANT)
        newest = queries.by_keys(tx, {unread.key for unread in found})
        return visit.page(
            seen,
            "codes.html",
            codes=found[: inbox.ROWS],
            more=len(found) > inbox.ROWS,
            names={unread.key: elements.say(newest[unread.key].get("code")) for unread in found},
            mapped=[
                (each, _place(each.source, each.target)) for each in mapping.made_here(tx, tenant=TENANT)
            ],
            progress=retranslation.progress(tx, tenant=TENANT),
            trying=[_trying(each) for each in previews.newest(tx, inbox.ROWS, tenant=TENANT)],
        )


@pages.get("/inbox/<id>")
def show_entry(id: str) -> str | tuple[str, int]:
    """Show one entry: what is wrong, what it holds up, what to do."""
    with visit.begin() as (tx, seen):
        found = _read(tx, seen, id)
        if found is not None:
            typed = careplan.kept(tx, seen)
            return found.page("resumed" if typed else "", typed)
    return problem("no_task", 404)


@pages.post("/inbox/<id>/decisions")
def decide_entry(id: str) -> Answer:
    """Make a decision about the Task of an entry."""
    return decide.carry_out(lambda tx, seen: _read(tx, seen, id), unknown="no_task")


def _trying(found: Preview) -> tuple[Preview, str, dict[str, str]]:
    """Return what is tried, what the code would mean, and the parameters of the address that shows it."""
    asked = found.question
    chosen = {"meaning": "|".join(asked.target)} if asked.gives else {"withdraw": "1"}
    place = _place(asked.source, asked.target)
    return found, mapping.title_of(visit.installed(), asked.target), {**place, **chosen}


def _place(source: Code, target: Code) -> dict[str, str]:
    """Return the parameters of the address of a code that means this."""
    type, element, question = mapping.place_of(visit.installed(), target)
    return mapping.address(type, element, source, question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page of one entry, on which can be decided."""

    seen: Visit
    detail: Detail
    offers: Offers
    outcome: Outcome | None
    #: since when and why the patient is not evaluated; None: nothing stops it
    parked: Standing | None

    @property
    def patient(self) -> str:
        """Return whom it is about."""
        return self.detail.entry.work.patient

    @property
    def version(self) -> str:
        """Return the version of the Task."""
        return self.detail.version

    def changed(self, version: int) -> tuple[str, ...]:
        """Return what happened to the Task since a version of it."""
        return tuple(e.text for e in self.detail.history if e.version > version)[-decide.CHANGES :]

    def refuse(self, trouble: str, typed: Typed, changed: tuple[str, ...] = ()) -> str:
        """Return the page, with what is wrong with the form above it."""
        return self.page(trouble, typed, changed)

    def show(self, decision: str) -> Response:
        """Return the way back to the entry, which shows that it is closed."""
        url = url_for("web.show_entry", id=self.detail.entry.work.id, decision=decision, _anchor="decided")
        return redirect(url, code=303)

    def page(self, trouble: str = "", typed: Typed | None = None, changed: tuple[str, ...] = ()) -> str:
        """Return the page as HTML."""
        entry = self.detail.entry
        id = entry.work.id
        return visit.page(
            self.seen,
            "inbox_entry.html",
            detail=self.detail,
            entry=entry,
            offers=self.offers.of(f"Task/{id}"),
            ground=Posting(
                action=url_for("web.decide_entry", id=id),
                version=self.version,
                side=self.seen.words("person"),
            ),
            token=self.seen.forms.token,
            typed=typed or Typed(),
            trouble=trouble,
            changed=changed,
            outcome=self.outcome,
            parked=self.parked,
            unread=mapping.unread(entry.issue.code, entry.received.body) if entry.received else [],
        )


def _read(tx: Connection, seen: Visit, id: str) -> Page | None:
    """Return the page of an entry; None for what is no Task about data."""
    if not re.fullmatch(ID, id):
        return None
    versions = resources.history(tx, "Task", id, tenant=TENANT)
    if not versions or versions[0].deleted or not versions[0].owned:
        return None
    work = tasks.read(versions[0].resource, seen.when, seen.words)
    if not inbox.is_about_data(work):
        return None
    (entry,) = _entries(tx, seen, [work])
    pathway = _pathway(work, seen)
    found = queries.of_patient(tx, work.patient, ("AuditEvent", "CarePlan", "Task"), tenant=TENANT)
    person = visit.people_of(tx, seen, {work.patient}).get(work.patient)
    names = {colleague.reference: colleague.name for colleague in seen.colleagues}
    standing = standings.of_patient(tx, work.patient, tenant=TENANT)
    return Page(
        seen=seen,
        detail=inbox.detail(
            entry, versions, person, found.get("CarePlan", ()), pathway, seen.when, seen.words
        ),
        offers=_offers(tx, work, pathway),
        outcome=outcome.read(found, names, request.args.get("decision", ""), seen.when, seen.words),
        parked=standing if standing and standing.parked_at else None,
    )


def _offers(tx: Connection, work: Work, pathway: Pathway | None) -> Offers:
    """Return what can be decided about the Task."""
    if pathway is None:
        return Offers(by_focus={})
    memories = situation.memories(tx, Instance(work.patient, pathway.name, ""), tenant=TENANT)
    return offers.personal(pathway, memories.get("", {}).get("tasks") or (), {f"Task/{work.id}": work.title})


def _pathway(work: Work, seen: Visit) -> Pathway | None:
    """Return the pathway that raised a Task."""
    canonical = str(work.task.get("instantiatesCanonical", ""))
    return situation.pathway_of({"instantiatesCanonical": [canonical]}, seen.pathways)


def _entries(tx: Connection, seen: Visit, work: Sequence[Work]) -> list[Entry]:
    """Return Tasks with what they are about: for each issue the version that it was raised for."""
    issues = _current(tx, {("DetectedIssue", w.focus.partition("/")[2]) for w in work})
    implicated = {
        reference: next(iter(elements.references(issue.resource.get("implicated", ()))), "")
        for reference, issue in issues.items()
    }
    stored = _current(tx, {(kind, id) for kind, _, id in (r.partition("/") for r in implicated.values())})
    about = {
        reference: _set_aside(tx, issue, stored.get(implicated[reference]))
        for reference, issue in issues.items()
    }
    return [inbox.read(w, about.get(w.focus), _pathway(w, seen), seen.when, seen.words) for w in work]


def _set_aside(tx: Connection, issue: Stored, current: Stored | None) -> SetAside:
    """Return what an issue is about: of several versions the newest that was there before the issue."""
    if current is None or current.seq < issue.seq:
        return SetAside(issue=issue.resource, version=current, newer=False)
    versions = resources.history(tx, current.type, current.id, tenant=TENANT)
    before = next((version for version in versions if version.seq < issue.seq), None)
    return SetAside(issue=issue.resource, version=before, newer=True)


def _current(tx: Connection, identities: set[tuple[str, str]]) -> dict[str, Stored]:
    """Return the current versions of those that exist, by reference."""
    with driver.together(tx):
        answer = resources.ask_all(tx, identities, tenant=TENANT)
    return {stored.reference: stored for stored in answer().values() if not stored.deleted}
