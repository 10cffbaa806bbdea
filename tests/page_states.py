"""Every page of the service in every state there is: the addresses that checks of all pages go through."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fhir_visits import CODES, LOCAL, TENDERNESS, asked_about, local, unusable
from subscribed import subscribe

from fhir_profiles import reading
from service import clock
from service.fhir import transaction
from service.joining import join
from service.store import (
    accesses,
    exports,
    leased,
    previews,
    promises,
    resources,
    saved_views,
    shared_identifiers,
)
from service.store.database import Database
from service.store.exports import Asked
from service.store.previews import Question
from service.web.routes.patients import OPENED_AT
from worker import trying
from worker.advance import advance

#: whoever has nothing usable
HELD = "gmt-7"

#: what a system asked to be written into files
ASKED = Asked(
    caller="registry",
    request="http://127.0.0.1:8000/fhir/$export",
    types=("Patient", "Task"),
    of_patients=False,
    patients=None,
    elements=(),
    filters=(),
    since=None,
    until=datetime(2026, 6, 22, tzinfo=UTC),
)

#: meanings that are being tried, that failed to be, and that nobody has tried
GOING_ON, FAILING = "http://loinc.org|72514-3", f"{CODES}gluteus-medius-pathway|red-flag-infection"
UNTRIED = f"{CODES}gluteus-medius-pathway|hip-left"
#: of a code nobody has mapped, without a chosen meaning and with one in each state; and of one that is a side
CODES_ASKED_ABOUT = tuple(
    f"/inbox/codes/mapping?{urlencode(asked)}"
    for asked in (
        asked_about(),
        asked_about(TENDERNESS),
        asked_about(GOING_ON),
        asked_about(FAILING),
        {**asked_about(UNTRIED), "element": "bodySite"},
    )
)


def plans(record: Database, story: Any) -> dict[str, str]:
    """Store one plan in each state, one of nothing usable, two not evaluated, and two of one identifier.

    Returns:
        the address of each plan, by the name of its state.
    """
    referral = story("referral")
    referral.task("review-6w", "Review at six weeks", due="2026-06-01T09:15:00Z", step=4)
    referral.save(record)
    old = story(patient="gmt-8", family="Jansen", given="P.")
    old.person().save(record)
    with record.transaction() as tx:
        join.announce(tx)
        join.join(tx, old.patient, referral.patient, tenant=0, who="Practitioner/vogt")
    imaging = story(patient="gmt-2", family="Okoye", given="Samuel", stage=("imaging", "Imaging"))
    imaging.person().care_plan()
    first = imaging.proposal("MRI without contrast", "MRI", priority="urgent", made="2026-06-21")
    second = imaging.proposal("Radiograph", "XR", priority="urgent", made="2026-06-21")
    due = "2026-06-22T09:00:00Z"
    imaging.task("sign-imaging", "Sign the proposals", due=due, orders=(first, second), priority="urgent")
    imaging.step("open-hip", "Opened", None, "imaging", "2026-06-21", ((f"ServiceRequest/{first}", "MRI"),))
    imaging.save(record)
    away = story(patient="gmt-3", family="Kowalska", stage=("diverted", "Diverted"), status="on-hold")
    away.person().care_plan()
    away.proposal("MRI without contrast", "MRI", status="on-hold")
    away.task("divert", "Take over", due=due, priority="stat", reasons=(("emergency", "Emergency"),))
    away.task("confirm", "Confirm a finding", due="2026-06-22T09:40:00Z", priority="stat", sided=False)
    away.step("open-hip", "Opened", None, "imaging", "2026-06-01")
    away.step("T01", "Red flag", "imaging", "diverted", "2026-06-22")
    away.save(record)
    signed = story(patient="gmt-4", family="Tan", side="left").person().care_plan()
    signed.signed(signed.proposal("Surgical referral", "SURG", status="completed"), "Referral", "SURG")
    done = signed.task("sign-referral", "Sign the surgical referral", due="2026-06-29T09:15:00Z")
    signed.step("open-hip", "Opened", None, "surgical-referral", "2026-06-01")
    signed.save(record)
    signed.close(record, done, by="vogt")
    twin = story(patient="gmt-9", family="Kowalski", given="Jan").person()
    twin.writes[0].body["identifier"] = [{"system": "urn:mrn", "value": away.patient.upper()}]
    twin.save(record)
    transaction.accept(record, reading.read(reading.write(unusable(HELD))), sender="hospital")
    transaction.accept(record, reading.read(reading.write(local(HELD))), sender="hospital")
    assert advance(record, 0, HELD)
    try_meanings(record)
    for patient, attempts in (("gmt-5", 1), ("gmt-6", 3)):
        with record.transaction() as tx:
            promises.want(tx, patient, tenant=0, due_at=clock.now(tx))
            claim = promises.claim(tx, tenant=0, patient=patient)
            assert claim
            promises.fail(tx, claim, "EvaluationFailed: Pain Persists", max_attempts=attempts)
    with record.transaction() as tx:
        shared_identifiers.note(tx, tenant=0)
        for name, query in (
            ("Bilder links", "view=all&side=hip-left"),
            ("Waiting", "view=plans&stage=imaging"),
        ):
            saved_views.add(tx, "Practitioner/vogt", name, query, tenant=0)
        accesses.add(
            tx,
            tenant=0,
            who="Practitioner/vogt",
            action=accesses.READ,
            place=OPENED_AT,
            reference=f"CarePlan/{imaging.plan}",
            patients=[imaging.patient],
            status=200,
        )
        for id_, place in (("going-on", 1), ("failing", 0), ("given-up", 0), ("written", 0)):
            exports.ask(tx, id_, ASKED, tenant=0)
            claim_of = leased.claim(tx, "export", id_, tenant=0)
            assert claim_of
            if id_ == "going-on":
                exports.reached(tx, claim_of, {"Patient": 7, "Task": 3}, place=place, after=None, gone=0)
            elif id_ == "failing":
                leased.failed(tx, claim_of, "ValueError")
            elif id_ == "given-up":
                leased.failed(tx, replace(claim_of, attempt=leased.MOST_ATTEMPTS), "ValueError")
            else:
                leased.finished(tx, claim_of)
    subscribe(record, "s-requested")
    subscribe(record, "s-active", topic="task-overdue", status="active", succeeded=True)
    subscribe(
        record, "s-again", topic="proposal-made", status="active", answer="busy", attempts=2, retry=True
    )
    subscribe(record, "s-error", topic="order-signed", status="error", answer="refused", numbered=3)
    subscribe(record, "s-off", status="off")
    stories = {"referral": referral, "imaging": imaging, "away": away, "signed": signed}
    return {name: f"/careplans/{plan.plan}" for name, plan in stories.items()}


def try_meanings(record: Database) -> None:
    """Have one meaning of the code that nobody has mapped tried, one being tried, and one given up."""
    asked = {}
    for meaning in (TENDERNESS, GOING_ON, FAILING):
        system, _, code = meaning.partition("|")
        asked[meaning] = Question(source=(LOCAL, "GTTEND"), target=(system, code), gives=True)
    with record.transaction() as tx:
        now = clock.now(tx)
        for question in asked.values():
            previews.ask(tx, question, [HELD, "gmt-2"], by="", maps="0:0", seen_at=now, anew=True, tenant=0)
        for meaning in (GOING_ON, FAILING):
            claim = leased.claim(tx, "preview", asked[meaning].id, tenant=0)
            assert claim
            if meaning == GOING_ON:
                previews.reached(tx, claim, gone=1)
            else:
                leased.failed(tx, replace(claim, attempt=leased.MOST_ATTEMPTS), "ValueError")
    assert trying.run(record, 0, asked[TENDERNESS].id)


def entries(database: Database) -> list[str]:
    """Return the addresses of two entries of the inbox: one without a side, and one with a value."""
    with database.transaction() as tx:
        tasks = resources.of_patient(tx, HELD, types=["Task"], owned=True, tenant=0)
    codes = {stored.resource["code"]["coding"][0]["code"]: stored.id for stored in tasks}
    return [f"/inbox/{id}" for id in codes.values()]


def addresses(database: Database, plans: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the addresses of every page that is asked for by GET, by its endpoint."""
    return {
        "web.show_worklist": ["/", "/?view=plans", "/?view=all&need=sign&stage=none", "/?view=mine"],
        "web.show_closed": ["/closed", "/closed?page=2"],
        "web.export_worklist": ["/worklist.csv"],
        "web.show_patients": ["/patients"],
        "web.show_inbox": ["/inbox"],
        "web.show_unread_codes": ["/inbox/codes"],
        "web.show_mapping": [*CODES_ASKED_ABOUT, "/inbox/codes/mapping?type=unknown"],
        "web.show_preview": [a.replace("/mapping?", "/mapping/preview?") for a in CODES_ASKED_ABOUT],
        "web.show_entry": [*entries(database), "/inbox/unknown"],
        "web.show_plan": [*plans.values(), plans["referral"] + "?entries=all", "/careplans/unknown"],
        "web.show_operations": [
            "/operations",
            "/operations?retried=gmt-5",
            "/operations?ended=export",
            "/operations?told=s-error",
            "/operations?untold=s-off",
        ],
        "web.show_bundles": ["/operations/bundles", "/operations/bundles?page=2"],
        "web.show_sandbox": ["/sandbox"],
        "web.show_progress": ["/sandbox/progress"],
        "web.choose_person": ["/acting"],
        "web.show_password": ["/acting/password"],
        "web.show_keys": ["/keys"],
        "web.show_api": ["/api"],
        "web.show_operation": [
            "/api/fhir.read",
            "/api/fhir.search?type=Observation",
            "/api/fhir.transaction",
            "/api/fhir.patch?media=application/fhir%2Bjson",
            "/api/sandbox.set_clock",
            "/api/web.show_plan",
            "/api/unknown",
        ],
        "web.show_audit": [
            "/audit",
            "/audit?patient=gmt-2&action=R",
            "/audit?patient=nobody",
            "/audit?day=2026-06-22",
        ],
        "web.show_pathways": ["/pathways"],
        "web.show_pathway": ["/pathways/gluteus-medius-tear", "/pathways/unknown"],
        "web.show_value": [
            "/pathways/gluteus-medius-tear/values/pain.persistMin",
            "/pathways/gluteus-medius-tear/values/pain.persistMin?value=5",
            "/pathways/gluteus-medius-tear/values/pain.persistMin?value=500",
            "/pathways/gluteus-medius-tear/values/lookback.redFlag?value=20",
            "/pathways/gluteus-medius-tear/values/imaging.softTissueFirst",
            "/pathways/gluteus-medius-tear/values/unknown",
        ],
        "web.refresh_stamp": ["/live"],
        "web.show_sign_in": ["/sign-in"],
        "web.go_to_hospital": ["/sign-in/hospital"],
        "web.come_from_hospital": ["/sign-in/hospital/back"],
    }


#: what is no page of its own: a file, and a part that a page refreshes
PARTS = ("web.export_worklist", "web.refresh_stamp", "web.show_progress", "web.show_preview")


def pages(database: Database, plans: Mapping[str, str]) -> list[str]:
    """Return the addresses of every page."""
    return [a for name, found in addresses(database, plans).items() if name not in PARTS for a in found]
