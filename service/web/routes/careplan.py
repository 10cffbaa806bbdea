"""`/careplans/{id}`: where is this side of the patient, why, and what is next?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import after_this_request, redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import accessed, situation
from service.fhir.references import ID
from service.store import (
    decisions,
    deliveries,
    driver,
    joinings,
    kept_forms,
    resources,
    shared_identifiers,
    standings,
)
from service.web import deliveries as delivering
from service.web import elements, joined, outcome, outlook, people, plan, queries, shared, visit
from service.web.elements import Json
from service.web.pages import pages, problem
from service.web.plan import PlanPage, Record
from service.web.timeline import SHOWN
from service.web.visit import TENANT, Visit

Value = TypeVar("Value")

#: of a timeline and of each table of a chart, at first; and when the reader asks for all
ENTRIES = 30
ALL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a person had written into a form that was not carried out."""

    focus: str = ""
    decision: str = ""
    reason: str = ""
    text: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """Where the decisions of a page are posted, from which version they were read, about which side."""

    action: str
    version: str
    side: str


@pages.get("/careplans/<id>")
def show_plan(id: str) -> str | tuple[str, int] | Response:
    """Show one plan; after a decision, what became of it."""
    with visit.begin() as (tx, seen):
        record = until_sent(read(tx, seen, id))
        if record is not None and (other := joined.instead(record.plan, record.resources["CarePlan"])):
            # The link is older than the joining of two records.
            return redirect(url_for("web.show_plan", id=other))
        if record is not None:
            typed = kept(tx, seen)
            return render(seen, record, trouble="resumed" if typed else "", typed=typed)
    return problem("no_plan", 404)


def until_sent(value: Value) -> Value:
    """Keep the value until the answer to this request was sent, and return it.

    To free the hundreds of resources of a long record takes a tenth of the time of its page, which nobody
    has to wait for.
    """
    held = [value]

    @after_this_request
    def hold(response: Response) -> Response:
        response.call_on_close(held.clear)
        return response

    return value


def kept(tx: Connection, seen: Visit) -> Typed | None:
    """Return what this person had written on this page when the sign-in ended, after signing in again."""
    if seen.session is None or not request.args.get("kept"):
        return None
    fields = kept_forms.find(tx, seen.session.practitioner, request.path, tenant=TENANT)
    return Typed(**fields) if fields else None


def read(tx: Connection, seen: Visit, id: str) -> Record | None:
    """Return what the page of this plan is made of; None for an unknown plan."""
    if not re.fullmatch(ID, id):
        return None
    stored = resources.current(tx, "CarePlan", id, tenant=TENANT)
    if stored is None or stored.deleted or not stored.owned or stored.patient is None:
        return None
    accessed.note([stored.patient], stored.reference)
    which = situation.instance(stored.resource)
    patient, name, side = which
    with driver.together(tx):
        everything = queries.ask_of_patient(tx, stored.patient, plan.TYPES, tenant=TENANT)
        remembered = decisions.ask_memories(tx, patient, name, tenant=TENANT)
        log = decisions.ask_of_instance(tx, patient, name, side, tenant=TENANT)
        standing = standings.ask_of_patient(tx, patient, tenant=TENANT)
        joinings_into = joinings.ask_of(tx, patient, tenant=TENANT)
        is_shared = shared_identifiers.ask_shared(tx, patient, tenant=TENANT)
    with driver.together(tx):
        facts = situation.ask_facts(tx, patient, tenant=TENANT)
        # The server looks for hundreds of facts while this process reads what it was told before.
        driver.send_now(tx)
        found = {
            # A Task is put into words when it is asked for: a list sorts hundreds and shows fifty.
            kind: bodies if kind == "Task" else seen.words.reworded(bodies)
            for kind, bodies in everything().items()
        }
        rows, memories, joined_records = log(), remembered(), joinings_into()
    own = next(p for p in found["CarePlan"] if p["id"] == id)
    pathway = situation.pathway_of(own, visit.installed())
    if pathway is None:
        return None
    read_facts = facts()
    with driver.together(tx):
        patients = {patient, *(joining.source for joining in joined_records)}
        people_by_id = queries.ask_of_type(tx, "Patient", patients, tenant=TENANT)
        known = resources.ask_all(tx, read_facts.people, tenant=TENANT)
        names = people.ask_names_of(tx, _actors(found), tenant=TENANT)
    stands = situation.of(pathway, which, memories, read_facts, known().values(), chosen=seen.chosen)
    persons = people_by_id()
    return Record(
        patient=persons.get(patient, {"id": patient}),
        plan=own,
        resources=found,
        rows=rows,
        standing=standing(),
        pathway=seen.words.pathway(pathway),
        names=names(),
        memories=memories,
        outlook=outlook.ask(stands, seen.clock.now, seen.words),
        situation=stands,
        delivery=_delivery(tx, seen, patient),
        joined=joined.banners(joined_records, persons, seen),
        shared=shared.banner(seen.words, is_shared=is_shared()),
    )


def _delivery(tx: Connection, seen: Visit, patient: str) -> deliveries.Standing | None:
    hospital = seen.settings.hospital
    return deliveries.standing(tx, patient, tenant=TENANT, server=hospital.url) if hospital else None


def render(
    seen: Visit,
    record: Record,
    *,
    trouble: str = "",
    changed: tuple[str, ...] = (),
    typed: Typed | None = None,
) -> str:
    """Return the page, with what is wrong with a form above it and its words kept."""
    show = request.args.get("show", "")
    entries = ALL if request.args.get("entries") == "all" else ENTRIES
    page: PlanPage = plan.build(
        record, show if show in SHOWN else SHOWN[0], seen.when, seen.words, entries=entries
    )
    values: dict[str, Any] = {
        "plan": page,
        "ground": Posting(
            action=url_for("web.decide", id=page.id), version=page.version, side=page.side.text
        ),
        "entries": entries,
        "token": seen.forms.token,
        "trouble": trouble,
        "changed": changed,
        "typed": typed or Typed(),
        "delivery": delivering.of_plan(record.delivery, seen.when, seen.words)
        if seen.settings.hospital
        else None,
        "outcome": outcome.read(
            record.resources, record.names, request.args.get("decision", ""), seen.when, seen.words
        ),
    }
    return visit.page(seen, "plan.html", **values)


def _actors(found: dict[str, list[Json]]) -> Iterator[str]:
    """Return who decided, by reference: a resource may hold only the id."""
    actors = [agent.get("who") for audit in found.get("AuditEvent", ()) for agent in audit.get("agent", ())]
    actors += [order.get("requester") for order in found.get("ServiceRequest", ())]
    actors += [task.get("owner") for task in found.get("decision", ())]
    return map(elements.reference, actors)
