"""What every page needs to know: what time it is, who acts, and how far the data are read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app, render_template, request
from sqlalchemy import Connection

from pathways.definition import Pathway
from service import accessed, automation, clock
from service.acting import COOKIE
from service.automation import Automation
from service.clock import Clock
from service.settings import Settings
from service.store import driver, parameters, since
from service.store.database import Database
from service.store.sessions import Session
from service.store.since import Mark
from service.store.standings import Waiting
from service.web import languages, patients, people, queries, signed_in
from service.web.forms import Forms
from service.web.moments import Moments
from service.web.patients import Person
from service.web.people import Colleague, Team
from service.web.words import LANGUAGES, Words

TENANT = 0


class NoRole(Exception):
    """Somebody is signed in who holds no role of the pathways today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request for one page."""

    settings: Settings
    #: with their titles in the language of the visit; rules are asked of `installed`
    pathways: tuple[Pathway, ...]
    clock: Clock
    #: what the site has changed
    chosen: Mapping[str, object]
    zone: str
    profile: str
    when: Moments
    words: Words
    team: Team
    acting: Colleague | None
    #: None in a sandbox
    session: Session | None
    automation: Automation
    open_tasks: int
    #: when this page was read, as far as the engine had written
    since: Mark

    @property
    def waiting(self) -> Waiting:
        """Return how much is due and not evaluated."""
        return self.automation.waiting

    @property
    def colleagues(self) -> tuple[Colleague, ...]:
        """Return who holds a role of the pathways today, those who may sign first."""
        return self.team.colleagues

    @property
    def today(self) -> date:
        """Return the day it is where the site is."""
        return self.when.now.date()

    @property
    def forms(self) -> Forms:
        """Return the maker of form tokens for who acts."""
        return forms_of(self.settings, self.acting.id if self.acting else "")


def database() -> Database:
    """Return the store of this application."""
    found: Database = current_app.extensions["hipway"].database
    return found


def settings() -> Settings:
    """Return the settings of this application."""
    found: Settings = current_app.extensions["hipway"].settings
    return found


def installed() -> tuple[Pathway, ...]:
    """Return the pathways as they are defined."""
    found: tuple[Pathway, ...] = current_app.extensions["hipway"].pathways
    return found


@contextmanager
def begin() -> Iterator[tuple[Connection, Visit]]:
    """Read what the frame of a page shows, in the transaction the page is read in."""
    with database().transaction("REPEATABLE READ") as tx:
        yield tx, read(tx)


def read(tx: Connection) -> Visit:
    """Return the visit of the current request."""
    app = current_app.extensions["hipway"]
    said = app.words[languages.of(request)]
    with driver.together(tx):
        state, values = clock.ask_state(tx), parameters.ask_current(tx)
        held = queries.ask_roles(tx, tenant=TENANT)
        open_tasks = queries.ask_open_task_count(tx, tenant=TENANT)
        mark = since.ask_now(tx, tenant=TENANT)
    now, changed, roles = state(), values(), held()
    with driver.together(tx):
        holders = people.ask_holders(tx, roles, tenant=TENANT)
        looked = automation.ask(tx, now.now, settings().hospital)
    zone = _zone(changed, app.pathways)
    when = Moments(now.now, ZoneInfo(zone), said)
    team = people.team(roles, holders(), when.now.date(), said)
    session = signed_in.session()
    acting = _acting(app.settings, session, team.colleagues)
    accessed.by(acting.reference if acting else "")
    return Visit(
        settings=app.settings,
        pathways=tuple(said.pathway(pathway) for pathway in app.pathways),
        clock=now,
        chosen=changed,
        zone=zone,
        profile=str(changed.get("profile") or next((p.default_profile for p in app.pathways), "")),
        when=when,
        words=said,
        team=team,
        acting=acting,
        session=session,
        automation=looked(),
        open_tasks=open_tasks(),
        since=mark(),
    )


def first_view(seen: Visit) -> str:
    """Return the view of the worklist that is shown where none is asked for."""
    return "team" if seen.acting else "all"


def reader() -> str | None:
    """Return who follows a link of a page to the FHIR interface; None for nobody who holds a role."""
    if signed_in.look(TENANT) is None:
        return None
    try:
        with begin() as (_, seen):
            return seen.acting.id if seen.acting else None
    except NoRole:
        return None


def people_of(tx: Connection, seen: Visit, ids: Collection[str]) -> dict[str, Person]:
    """Return the patients with these ids, as they are shown, by id."""
    found = queries.of_type(tx, "Patient", ids, tenant=TENANT)
    accessed.note(found)
    return {id: patients.describe(body, seen.when, seen.words) for id, body in found.items()}


def page(visit: Visit, template: str, **values: Any) -> str:
    """Return the page as HTML."""
    return render_template(
        template, visit=visit, t=visit.words, when=visit.when, languages=LANGUAGES, **values
    )


def forms_of(settings: Settings, acting: str) -> Forms:
    """Return the maker of form tokens for somebody; empty: for nobody."""
    return Forms(secret=settings.secret_key, acting=acting, base_url=settings.base_url)


def _acting(settings: Settings, session: Session | None, colleagues: Iterable[Colleague]) -> Colleague | None:
    """Return who acts.

    Raises:
        NoRole: whoever is signed in holds no role today, and is shown nothing.
    """
    if settings.sandbox:
        return people.chosen(settings.secret_key, request.cookies.get(COOKIE), colleagues)
    if session is None:
        return None
    found = people.with_id(session.practitioner, colleagues)
    if found is None:
        raise NoRole
    return found


def _zone(changed: Mapping[str, object], pathways: tuple[Pathway, ...]) -> str:
    name = str(changed.get("site.timeZone") or "")
    for pathway in pathways:
        parameter = pathway.parameters.get("site.timeZone")
        name = name or str(parameter.default if parameter else "")
    try:
        return ZoneInfo(name or "UTC").key
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
