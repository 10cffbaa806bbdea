"""`/pathways/{name}/values/{parameter}`: another value for the site, after a look at what would follow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from pathways.definition import Parameter, Pathway
from pathways.parameters import concerning, read, resolve, with_value
from service import digits, log, preview, site_values
from service.preview import Preview
from service.store import parameters, proposals
from service.store.proposals import CONFIRMED, REJECTED, Proposal
from service.web import document, people, queries, values, visit, worklist
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit

Answer = Response | tuple[str, int]

#: patients of one part of a preview: each is evaluated twice, some milliseconds
PART = 100
#: characters of a reason
REASON = 2000

CHANGES = ("save", "confirm", "reject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which value the address asks about, and how it stands."""

    pathway: Pathway
    parameter: Parameter
    #: the newest first
    versions: Sequence[parameters.Version]
    proposal: Proposal | None

    @property
    def version(self) -> int:
        """Return the version of the site's values."""
        return self.versions[0].number if self.versions else 0

    @property
    def chosen(self) -> Mapping[str, Any]:
        """Return what the site has changed, of this and of other pathways."""
        return self.versions[0].values if self.versions else {}

    def otherwise(self, value: object) -> dict[str, Any]:
        """Return what the site would have changed with another value of the parameter."""
        return with_value(self.pathway, self.chosen, self.parameter.name, value)


@pages.get("/pathways/<name>/values/<parameter>")
def show_value(name: str, parameter: str) -> Answer | str:
    """Show a value with its history, and what would follow from another one."""
    with visit.begin() as (tx, seen):
        asked = _asked(tx, name, parameter)
        if asked is not None:
            return _page(tx, seen, asked)
    return problem("no_page", 404)


@pages.post("/pathways/<name>/values/<parameter>")
def change_value(name: str, parameter: str) -> Answer:
    """Change a value, propose another one to a second person, or confirm or reject a proposed one."""
    change = request.form.get("change", "")
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        asked = _asked(tx, name, parameter)
    if asked is None or change not in CHANGES:
        return problem("no_page", 404)
    if request.form.get("version") != str(asked.version):
        return problem("value_changed", 409)
    if change == "save":
        return _save(seen, asked)
    proposal = asked.proposal
    if proposal is None or request.form.get("proposal") != str(proposal.key):
        return problem("value_changed", 409)
    return _end(seen, asked, proposal, CONFIRMED if change == "confirm" else REJECTED)


def _asked(tx: Connection, name: str, parameter: str) -> Asked | None:
    pathway = next((pathway for pathway in visit.installed() if pathway.name == name), None)
    if pathway is None or parameter not in pathway.parameters:
        return None
    return Asked(
        pathway=pathway,
        parameter=pathway.parameters[parameter],
        versions=parameters.versions(tx, limit=values.VERSIONS),
        proposal=proposals.waiting(tx).get(parameter),
    )


def _save(seen: Visit, asked: Asked) -> Answer:
    assert seen.acting is not None
    reason = request.form.get("reason", "").strip()[:REASON]
    try:
        value = read(asked.parameter, request.form.get("value", ""))
    except ValueError:
        return problem("value_outside", 422)
    if not reason:
        return problem("value_reason", 422)
    if asked.otherwise(value) == dict(asked.chosen):
        return problem("value_same", 422)
    if not site_values.takes_two(asked.parameter, seen.settings):
        return _stored(seen, asked, value, by=seen.acting.reference, reason=reason)
    with visit.database().transaction() as tx:
        new = proposals.propose(
            tx, asked.parameter.name, value, seen.acting.reference, reason, seen.clock.now
        )
    return _back(asked) if new else problem("value_changed", 409)


def _end(seen: Visit, asked: Asked, proposal: Proposal, outcome: str) -> Answer:
    assert seen.acting is not None
    if outcome == CONFIRMED:
        # Where nobody is named as the first person, nobody is the second.
        if proposal.who in ("", seen.acting.reference):
            return problem("same_person", 422)
        return _stored(
            seen, asked, proposal.value, by=proposal.who, reason=proposal.reason, proposal=proposal
        )
    with visit.database().transaction() as tx:
        ended = proposals.end(tx, proposal, outcome, seen.acting.reference, seen.clock.now)
    return _back(asked) if ended else problem("value_changed", 409)


def _stored(
    seen: Visit,
    asked: Asked,
    value: object,
    *,
    by: str,
    reason: str,
    proposal: Proposal | None = None,
) -> Answer:
    """Store a new version of the values; where two people change it, end the proposal with it."""
    assert seen.acting is not None
    second = {"reference": seen.acting.reference, "display": seen.acting.name} if proposal else None
    try:
        with visit.database().transaction() as tx:
            if proposal:
                _confirm(tx, seen, proposal)
            names = people.names_of(tx, [by], tenant=TENANT)
            again = site_values.change(
                tx,
                asked.otherwise(value),
                said=f"{asked.parameter.name} = {value}",
                who={"reference": by, **({"display": names[by]} if by in names else {})},
                reason=reason,
                confirmed=second,
                after=asked.version,
                tenant=TENANT,
            )
    except parameters.Changed:
        return problem("value_changed", 409)
    log.get().info("site_value_changed", name=asked.parameter.name, by=by)
    return _back(asked, again)


def _confirm(tx: Connection, seen: Visit, proposal: Proposal) -> None:
    assert seen.acting is not None
    if not proposals.end(tx, proposal, CONFIRMED, seen.acting.reference, seen.clock.now):
        raise parameters.Changed


def _back(asked: Asked, again: int | None = None) -> Response:
    name, parameter = asked.pathway.name, asked.parameter.name
    address = url_for("web.show_value", name=name, parameter=parameter, again=again, _anchor="now")
    return redirect(address, code=303)


def _page(tx: Connection, seen: Visit, asked: Asked) -> str:
    name = asked.parameter.name
    changes, waits = list(_changes(tx, asked)), asked.proposal
    value, invalid = _value(asked)
    watched = preview.watched(tx, tenant=TENANT) if value is not None else []
    part = digits.read(request.args.get("part", ""), most=6) or 1
    tried = watched[(part - 1) * PART : part * PART]
    previews = _previews(tx, tried, asked.otherwise(value) if value is not None else {})
    moved = [found for found in previews if found.effects or found.failed]
    again = digits.read(request.args.get("again", ""), most=6)
    worded = next(known for known in seen.pathways if known.name == asked.pathway.name)
    here = resolve(asked.pathway, concerning(asked.pathway, asked.chosen))[name]
    return visit.page(
        seen,
        "value.html",
        pathway=worded,
        value=document.value(worded, name, here, seen.words),
        parameter=asked.parameter,
        now=here,
        said=lambda value: document.say(value, seen.words),
        version=asked.version,
        changes=changes,
        proposal=waits,
        proposed_by=people.names_of(tx, [waits.who], tenant=TENANT).get(waits.who, waits.who)
        if waits
        else "",
        two=site_values.takes_two(asked.parameter, seen.settings),
        chosen=value,
        invalid=invalid,
        again=again,
        tried=len(tried),
        watched=len(watched),
        part=part,
        parts=-(-len(watched) // PART),
        moved=moved,
        people=visit.people_of(tx, seen, {found.patient for found in moved}),
        plan_of=worklist.first_plans(
            worklist.place(plan, seen.words)
            for plan in queries.plans_of(tx, {found.patient for found in moved}, tenant=TENANT)
        ),
        token=seen.forms.token,
    )


def _value(asked: Asked) -> tuple[object | None, bool]:
    """Return the value whose effects are shown, and whether one was written that is not allowed."""
    if asked.proposal is not None:
        return asked.proposal.value, False
    written = request.args.get("value", "")
    if not written:
        return None, False
    try:
        value = read(asked.parameter, written)
    except ValueError:
        return None, True
    return (None, False) if asked.otherwise(value) == dict(asked.chosen) else (value, False)


def _changes(tx: Connection, asked: Asked) -> Iterator[values.Change]:
    references = [who for version in asked.versions for who in (version.who, version.confirmed)]
    names = people.names_of(tx, references, tenant=TENANT)
    found = values.changes(asked.pathway, asked.versions, names)
    return (change for change in found if change.name == asked.parameter.name)


def _previews(tx: Connection, people: Sequence[str], chosen: Mapping[str, Any]) -> list[Preview]:
    return [preview.of_values(tx, patient, chosen, tenant=TENANT) for patient in people]
