"""A record for the pages, written as the engine writes it: fhir-contract 5 to 7, outputs.json.

The rules are not asked here: the pages show what is stored, whoever stored it.
"""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from fhir_visits import concept, observation, put
from flask import Flask
from flask.testing import FlaskClient
from meanings import LEFT, WHO, page_of, press, send, try_all
from sqlalchemy import text
from werkzeug.serving import make_server

from pathways.memory import Hold, Memory, Order, Task
from service import clock
from service.app import create_app
from service.sandbox import erasing
from service.settings import Settings
from service.store import decisions, heartbeats, resources, tables
from service.store.database import Database
from service.store.decisions import Row
from service.store.resources import Write

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)
CODES = "https://w3id.org/hipway/CodeSystem/"
OURS = CODES + "gluteus-medius-pathway"
PATHWAY = "gluteus-medius-tear"
SPACE = UUID("5e1f7c3a-2f61-4f0e-9d1a-0c7f5e1b2a33")
ENGINE = {"reference": "Device/hipway-engine", "display": "hipway pathway engine"}

Json = dict[str, Any]


def at(day: str) -> str:
    return f"{day}T09:15:00Z"


def derived(*parts: str) -> str:
    return str(uuid5(SPACE, ".".join(parts)))


def coded(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


@dataclass(kw_only=True)
class Story:
    """One side of one patient; methods add what the engine would write."""

    patient: str = "gmt-1010"
    side: str = "right"
    stage: tuple[str, str] = ("surgical-referral", "Surgical referral")
    status: str = "active"
    since: str = "2026-06-22"
    family: str = "Jansen"
    given: str = "Petra"
    holds: list[Json] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @property
    def words(self) -> str:
        return f"{self.side.capitalize()} hip"

    @property
    def plan(self) -> str:
        return derived(self.patient, self.side, "CarePlan")

    @property
    def side_extension(self) -> Json:
        return {
            "url": "https://w3id.org/hipway/StructureDefinition/pathway-side",
            "valueCoding": {"system": OURS, "code": f"hip-{self.side}", "display": self.words},
        }

    def add(self, body: Json, *, owned: bool = True) -> None:
        self.writes.append(
            Write(type=body["resourceType"], id=body["id"], body=body, patient=self.patient, owned=owned)
        )

    def person(self) -> "Story":
        self.add(
            {
                "resourceType": "Patient",
                "id": self.patient,
                "identifier": [{"use": "usual", "system": "urn:mrn", "value": self.patient.upper()}],
                "name": [{"use": "official", "family": self.family, "given": [self.given]}],
                "gender": "female",
                "birthDate": "1970-04-04",
            },
            owned=False,
        )
        return self

    def care_plan(self) -> "Story":
        code, display = self.stage
        stage = {
            "url": "https://w3id.org/hipway/StructureDefinition/pathway-stage",
            "valueCoding": {"system": CODES + "pathway-stage", "code": code, "display": display},
        }
        self.add(
            {
                "resourceType": "CarePlan",
                "id": self.plan,
                "extension": [stage, self.side_extension, *self.holds],
                "identifier": [
                    {
                        "system": "https://w3id.org/hipway/sid/care-plan",
                        "value": f"{self.patient}.{PATHWAY}.{self.side}",
                    }
                ],
                "instantiatesCanonical": [f"https://w3id.org/hipway/PlanDefinition/{PATHWAY}|1.0.0"],
                "status": self.status,
                "intent": "plan",
                "title": f"Gluteus medius tear, {self.side} hip",
                "subject": {"reference": f"Patient/{self.patient}"},
                "period": {"start": "2026-01-05"},
                "addresses": [{"reference": f"Condition/{derived(self.patient, self.side, 'Condition')}"}],
            }
        )
        return self

    def proposal(
        self,
        name: str,
        kind: str,
        *,
        status: str = "draft",
        priority: str = "routine",
        made: str = "2026-06-22",
    ) -> str:
        id_ = derived(self.patient, self.side, "ServiceRequest", kind, made)
        self.add(
            {
                "resourceType": "ServiceRequest",
                "id": id_,
                "extension": [self.side_extension],
                "basedOn": [{"reference": f"CarePlan/{self.plan}"}],
                "status": status,
                "intent": "proposal",
                "priority": priority,
                "code": {**coded(OURS, kind.lower(), name), "text": f"{name}, {self.side}"},
                "subject": {"reference": f"Patient/{self.patient}"},
                "authoredOn": at(made),
                "requester": ENGINE,
                "note": [
                    {
                        "text": f"{self.words}. Rule T13 (Referral from therapy), profile evidence-balanced. "
                        "Used: pain 6 (2026-06-22, J. Lindqvist); partial tear on MRI (2026-03-02). "
                        "Not a decision: needs a signature."
                    }
                ],
            }
        )
        state = {"draft": "draft", "on-hold": "on-hold", "completed": "active"}[status]
        self.orders.append(
            Order(id=id_, kind=kind, state=state, priority=priority, made=at(made), since=at(made), step=1)
        )
        return id_

    def signed(self, proposal: str, name: str, kind: str, *, when: str = "2026-06-22") -> str:
        id_ = derived(proposal, "signed")
        self.add(
            {
                "resourceType": "ServiceRequest",
                "id": id_,
                "extension": [self.side_extension],
                "basedOn": [
                    {"reference": f"CarePlan/{self.plan}"},
                    {"reference": f"ServiceRequest/{proposal}"},
                ],
                "status": "active",
                "intent": "order",
                "priority": "routine",
                "code": {**coded(OURS, kind.lower(), name), "text": f"{name}, {self.side}"},
                "subject": {"reference": f"Patient/{self.patient}"},
                "authoredOn": at(when),
                "requester": {"reference": "Practitioner/vogt", "display": "Dr Maren Vogt"},
            }
        )
        self.orders = [replace(o, state="active", order=id_) if o.id == proposal else o for o in self.orders]
        return id_

    def task(
        self,
        code: str,
        title: str,
        *,
        due: str,
        role: tuple[str, str] = ("responsible-clinician", "Responsible clinician"),
        orders: tuple[str, ...] = (),
        priority: str = "routine",
        reasons: tuple[tuple[str, str], ...] = (),
        focus: str = "",
        sided: bool = True,
        owner: Json | None = None,
        step: int | None = None,
    ) -> str:
        """Add a Task; `step` is the number of the decision that raised it, the latest one by default."""
        id_ = derived(self.patient, self.side if sided else "", "Task", code, due)
        body: Json = {
            "resourceType": "Task",
            "id": id_,
            "extension": [self.side_extension] if sided else [],
            "basedOn": [{"reference": f"CarePlan/{self.plan}"}] if sided else [],
            "status": "requested",
            "intent": "plan",
            "priority": priority,
            "code": coded(CODES + "pathway-task", code, title),
            "description": f"{title}{f', {self.side} hip' if sided else ''}. No improvement after 24 weeks.",
            "focus": {"reference": focus or f"CarePlan/{self.plan}"},
            "for": {"reference": f"Patient/{self.patient}"},
            "authoredOn": at("2026-06-22"),
            "lastModified": at("2026-06-22"),
            "requester": ENGINE,
            "performerType": [coded(CODES + "pathway-role", *role)],
            "restriction": {"period": {"end": due}},
        }
        if reasons:
            system = CODES + "pathway-reason"
            body["reasonCode"] = {"coding": [{"system": system, "code": c, "display": d} for c, d in reasons]}
        if orders:
            kind = coded(CODES + "pathway-task-input", "order", "Proposal to sign")
            body["input"] = [
                {"type": kind, "valueReference": {"reference": f"ServiceRequest/{o}"}} for o in orders
            ]
        if owner is not None:
            body["owner"] = owner
        self.add({key: value for key, value in body.items() if value != []})
        if sided:
            self.tasks.append(Task(id=id_, code=code, state="open", made=at("2026-06-22"), step=step or 0))
        return id_

    def close(
        self,
        database: Database,
        task: str,
        *,
        by: str = "",
        status: str = "completed",
        now: datetime = NOW,
        owner: Json | None = None,
    ) -> None:
        """Close a Task that is stored: by the decision of a person, or of the pathway by itself."""
        source = [{"role": "source", "what": {"reference": f"Task/decided-{task}/_history/1"}}]
        self.add(
            {
                "resourceType": "Provenance",
                "id": derived(task, "closed"),
                "target": [{"reference": f"CarePlan/{self.plan}"}, {"reference": f"Task/{task}"}],
                "recorded": now.isoformat(),
                "activity": coded(CODES + "pathway-rule", "T16", "Results came back"),
                "agent": [{"who": ENGINE}],
                **({"entity": source} if by else {}),
            }
        )
        if by:
            self.add(
                {
                    "resourceType": "Task",
                    "id": f"decided-{task}",
                    "status": "completed",
                    "intent": "order",
                    "code": coded(CODES + "clinician-decision", "sign", "Sign a proposal"),
                    "for": {"reference": f"Patient/{self.patient}"},
                    "owner": owner or {"reference": f"Practitioner/{by}"},
                },
                owned=False,
            )
        with database.transaction() as tx:
            stored = resources.current(tx, "Task", task, tenant=0)
        assert stored
        self.add({**stored.resource, "status": status})
        self.save(database, now=now)

    def step(
        self,
        rule: str,
        title: str,
        source: str | None,
        target: str,
        day: str,
        outputs: tuple[tuple[str, str], ...] = (),
    ) -> None:
        entered = at(self.rows[-1].at.date().isoformat()) if self.rows else None
        self.rows.append(
            Row(
                tenant=0,
                patient=self.patient,
                pathway=PATHWAY,
                instance=self.side,
                number=len(self.rows) + 1,
                at=datetime.fromisoformat(at(day)),
                run=uuid5(SPACE, f"{self.patient}{day}"),
                rule=rule,
                before=Memory(stage=source, stage_entered=entered).to_json(),
                after=Memory(stage=target, stage_since=day, stage_entered=at(day)).to_json(),
                basis={
                    "rule": rule,
                    "title": title,
                    "from": source,
                    "to": target,
                    "conditions": [
                        {
                            "text": "The tear asks for a surgical opinion",
                            "result": True,
                            "because": [
                                {"text": "an image counts", "result": True, "because": []},
                                {"text": "pain persists", "result": True, "value": "6", "because": []},
                            ],
                        },
                        {"text": "Nobody has refused a referral", "result": None, "because": []},
                    ],
                    "inputs": [
                        {
                            "reference": f"Observation/{self.patient}-pain-{day}/_history/1",
                            "input": "Average pain, last week",
                            "value": "6 of 10",
                            "date": f"{day}T08:40:00Z",
                            "side": self.side,
                            "by": "Jonas Lindqvist",
                            "status": "final",
                        },
                        {
                            "reference": f"Observation/{self.patient}-grade/_history/2",
                            "input": "Abduction strength",
                            "value": "grade 4",
                            "date": "2026-05-25",
                            "side": self.side,
                            "by": None,
                            "status": "amended",
                        },
                    ],
                    "outputs": [
                        {"reference": reference, "shorthand": "", "title": words}
                        for reference, words in outputs
                    ],
                    "parameters": {"profile": "evidence-balanced", "changed": {}},
                    "engine": "1.0.0",
                    "elm": "0" * 64,
                    "pathway": f"https://w3id.org/hipway/PlanDefinition/{PATHWAY}|1.0.0",
                },
            )
        )

    def save(self, database: Database, *, now: datetime = NOW) -> "Story":
        if self.rows:
            hold = Hold(code="contradictory", input=None, since=at(self.since))
            self.rows[-1].after.update(
                Memory(
                    stage=self.stage[0],
                    stage_since=self.since,
                    stage_entered=at(self.since),
                    orders=tuple(self.orders),
                    tasks=tuple(replace(t, step=t.step or self.rows[-1].number) for t in self.tasks),
                    holds=(hold,) if self.holds else (),
                ).to_json()
            )
        with database.transaction() as tx:
            resources.save(tx, self.writes, tenant=0, now=now)
            decisions.append(tx, self.rows, read=(), tenant=0)
        self.writes, self.rows = [], []
        return self


def referral_story(**fields: Any) -> Story:
    """The way of the mock: therapy, imaging, therapy again, then a referral that waits for a signature."""
    story = Story(**fields).person().care_plan()
    proposal = story.proposal("Surgical referral", "SURG")
    story.task("sign-referral", "Sign the surgical referral", due="2026-06-29T09:15:00Z", orders=(proposal,))
    physio = ("physiotherapist", "Physiotherapist")
    story.task("modify-programme", "Modify the programme", due="2026-06-01T09:15:00Z", role=physio)
    story.step("open-hip", "Hip opened", None, "assessment", "2026-01-05")
    story.step("T03", "Start conservative therapy", "assessment", "conservative-therapy", "2026-01-05")
    story.step("T06", "Imaging after therapy", "conservative-therapy", "imaging", "2026-02-16")
    story.step("T10", "Back to therapy after imaging", "imaging", "conservative-therapy", "2026-03-02")
    story.step(
        "T13",
        "Referral from therapy",
        "conservative-therapy",
        "surgical-referral",
        "2026-06-22",
        ((f"ServiceRequest/{proposal}", "Surgical referral"),),
    )
    return story


def people(database: Database) -> None:
    """A clinician, a physiotherapist and a coordinator."""
    writes = []
    for id_, name, role, words in (
        ("vogt", ("Maren", "Vogt"), "responsible-clinician", "Responsible clinician"),
        ("lindqvist", ("Jonas", "Lindqvist"), "physiotherapist", "Physiotherapist"),
        ("arslan", ("Elif", "Arslan"), "coordinator", "Pathway coordinator"),
    ):
        prefix = {"prefix": ["Dr"]} if id_ == "vogt" else {}
        bodies: list[Json] = [
            {
                "resourceType": "Practitioner",
                "id": id_,
                "name": [{"given": [name[0]], "family": name[1], **prefix}],
            },
            {
                "resourceType": "PractitionerRole",
                "id": f"{id_}-role",
                "active": True,
                "practitioner": {"reference": f"Practitioner/{id_}"},
                "code": [coded(CODES + "pathway-role", role, words)],
            },
        ]
        writes += [
            Write(type=b["resourceType"], id=b["id"], body=b, patient=None, owned=False) for b in bodies
        ]
    with database.transaction() as tx:
        resources.save(tx, writes, tenant=0, now=NOW)


def erase(database: Database) -> None:
    with database.transaction() as tx:
        erasing.erase(tx)
        tx.execute(tables.saved_view.delete())
        clock.set_(tx, NOW, held=False)
        for part in (heartbeats.SWEEP, heartbeats.BROKER, heartbeats.WORKER):
            heartbeats.beat(tx, part)


@pytest.fixture
def record(database: Database) -> Iterator[Database]:
    """The database, empty but for the people, with the clock at the day of the mock."""
    erase(database)
    people(database)
    yield database
    erase(database)


@pytest.fixture
def app(record: Database) -> Flask:
    return create_app(Settings(broker_url="redis://127.0.0.1:1/0"), record)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def later(days: int) -> datetime:
    return NOW + timedelta(days=days)


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of a page, ready to be posted."""

    action: str
    values: dict[str, str]


def _form(html: str, name: str) -> Form:
    """Return the first form whose action, button or hidden field names this."""
    for found in re.finditer(r'<form[^>]*action="([^"]*)".*?</form>', html, re.DOTALL):
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found[0]))
        if found[1].endswith(f"/{name}") or hidden.get("decision") == name:
            return Form(action=found[1], values=hidden)
    raise AssertionError(f"there is no form for {name}")


def _act(client: FlaskClient, person: str | None) -> None:
    fields = _form(client.get("/acting").text, "acting")
    assert client.post("/acting", data={**fields.values, "person": person or ""}).status_code == 303


@pytest.fixture
def form() -> Callable[[str, str], Form]:
    """Find a form in a page."""
    return _form


@pytest.fixture
def act() -> Callable[[FlaskClient, str | None], None]:
    """Choose who acts."""
    return _act


@pytest.fixture
def story() -> Callable[..., Story]:
    """Begin a story: `story("referral")`, or an empty one with these fields."""

    def begin(kind: str = "", **fields: Any) -> Story:
        return referral_story(**fields) if kind == "referral" else Story(**fields)

    return begin


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The application on a port of this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker runs here: the page waits a moment, not two seconds, before it says so."""
    monkeypatch.setattr("service.web.routes.decide.PATIENCE_S", 0.05)
    monkeypatch.setattr("service.web.routes.tried.PATIENCE_S", 0.0)


@pytest.fixture
def no_maps(record):
    """ConceptMaps belong to the site and outlive its patients: each test begins without."""
    with record.transaction() as tx:
        for table in ("resource", "history"):
            tx.execute(text(f"DELETE FROM {table} WHERE type IN ('ConceptMap', 'Provenance')"))
        tx.execute(text("DELETE FROM retranslation"))


@pytest.fixture
def findings(record):
    """Somebody whose findings came in the codes of the hospital."""
    codes = (("tender", {"valueBoolean": True}), ("pain", {"valueInteger": 7}))
    send(
        record,
        *(
            put(observation(name, f"Patient/{WHO}", code=concept(name.upper()), bodySite=LEFT, **value))
            for name, value in codes
        ),
    )
    return record


@pytest.fixture
def look(client, record):
    """Have it tried what a meaning, or its end, would do; return the address of the page that tells."""

    def look(code, element="code", meaning="", **more):
        chosen = {"meaning": meaning} if meaning else {"withdraw": "1"}
        wanted = '<select id="meaning"' if meaning else 'name="withdraw"'
        told = press(client, page_of(code, element, **more), wanted, **chosen)
        assert told.status_code == 303
        try_all(record)
        return told.location

    return look


@pytest.fixture
def save(client, look, record):
    """Press a button of the page of a code, after a look at what would follow."""

    def save(code, change, element="code", meaning="", withdraw=False, **more):
        address = page_of(code, element, **more)
        if meaning or withdraw:
            address = look(code, element, meaning, **more)
        try_all(record)
        return press(client, address, f'name="change" value="{change}"')

    return save


@pytest.fixture
def stored(record):
    def stored(id, type="Observation"):
        with record.transaction() as tx:
            return resources.current(tx, type, id, tenant=0)

    return stored
