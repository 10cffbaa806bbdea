"""The care plan: where, why and what next, in every state of a plan (ui.md, sections 4 and 13)."""

import gc
import re
import weakref
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.wrappers import Response

from pathways import catalogue
from service.store import promises
from service.store.database import Database
from service.web.routes.careplan import ENTRIES, until_sent

HOLD = {
    "url": "https://w3id.org/hipway/StructureDefinition/pathway-hold",
    "extension": [
        {"url": "type", "valueCoding": {"code": "contradictory", "display": "Contradictory findings"}},
        {"url": "input", "valueCoding": {"code": "x", "display": "Abduction strength"}},
        {"url": "since", "valueDateTime": "2026-06-21T09:15:00Z"},
    ],
}


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_an_unknown_plan_is_not_found_and_says_what_to_do(client: FlaskClient, record: Database):
    page = client.get("/careplans/nobody-knows-this")

    assert page.status_code == 404
    assert "No such care plan" in page.text
    assert "To the worklist" in page.text


def test_the_banner_says_who_it_is_and_both_sides_are_tabs(client: FlaskClient, record: Database, story: Any):
    right = story("referral").save(record)
    left = story(side="left", stage=("conservative-therapy", "Conservative therapy")).care_plan()
    left.step("open-hip", "Opened", None, "conservative-therapy", "2026-06-01")
    left.save(record)

    html = client.get(f"/careplans/{right.plan}").text

    banner = plain(html.split('class="patient"')[1].split("<main")[0])
    for words in ("JANSEN, Petra", "4 Apr 1970", "(56 y)", "Female", "GMT-1010", "Left hip", "Right hip"):
        assert words in banner
    assert f"/careplans/{left.plan}" in html


def test_a_side_without_a_plan_is_not_called_healthy(client: FlaskClient, record: Database, story: Any):
    right = story("referral").save(record)

    text = plain(client.get(f"/careplans/{right.plan}").text)

    assert "Left hip nothing known . No finding of this side has been received." in text
    assert "does not mean that it is healthy" in text


def test_the_sentence_says_what_is_awaited_and_until_when(client: FlaskClient, record: Database, story: Any):
    right = story("referral").save(record)

    text = plain(client.get(f"/careplans/{right.plan}").text)

    assert (
        "Surgical referral, right hip, is proposed. "
        "It waits for a signature by Mon 29 Jun 2026, in 7 days." in text
    )


def test_the_map_shows_each_step_taken_with_rule_and_date(client: FlaskClient, record: Database, story: Any):
    right = story("referral").save(record)

    html = client.get(f"/careplans/{right.plan}").text

    drawing = html.split('<svg class="map"')[1].split("</svg>")[0]
    for words in ("T03", "5 Jan", "T06 · 16 Feb", "T10 · 2 Mar", "T13 · 22 Jun", "Here since 22 Jun"):
        assert words in drawing
    steps = re.findall(r"<li.*?>(.*?)</li>", html.split('class="steps"')[1].split("</ol>")[0], re.DOTALL)
    assert [plain(step).strip() for step in steps][-1] == "Surgical referral, since 22 Jun 2026 (T13)"
    assert len(steps) == 5


def test_a_proposal_shows_its_conditions_and_every_finding_with_its_version(
    client: FlaskClient, record: Database, story: Any
):
    right = story("referral").save(record)

    html = client.get(f"/careplans/{right.plan}").text

    card = html.split('class="card decision"')[1].split("</section>")[0]
    text = plain(card)
    assert "The tear asks for a surgical opinion" in text
    assert "Unknown" in text
    assert "Average pain, last week 6 of 10 Mon 22 Jun 2026, 08:40 right Jonas Lindqvist version 1" in text
    assert "/fhir/Observation/gmt-1010-grade/_history/2" in card


def test_nothing_can_be_signed_before_someone_is_chosen(client: FlaskClient, record: Database, story: Any):
    right = story("referral").save(record)

    html = client.get(f"/careplans/{right.plan}").text

    assert "Nobody is chosen yet, so nothing can be signed." in html
    assert 'name="decision"' not in html


def test_who_may_not_sign_reads_for_whom_it_waits(
    client: FlaskClient, record: Database, story: Any, act: Any
):
    right = story("referral").save(record)
    act(client, "lindqvist")

    html = client.get(f"/careplans/{right.plan}").text

    assert "Jonas Lindqvist may not sign. It waits for: Responsible clinician." in html
    assert 'value="sign"' not in html


def test_a_clinician_signs_and_declines_by_buttons_that_name_order_and_side(
    client: FlaskClient, record: Database, story: Any, act: Any
):
    right = story("referral").save(record)
    act(client, "vogt")

    html = client.get(f"/careplans/{right.plan}").text

    assert "Sign surgical referral, right hip" in plain(html)
    assert "Decline surgical referral, right hip" in plain(html)
    assert "checked" not in html


def test_what_a_signature_lacks_is_said_before_it_is_pressed(
    client: FlaskClient, record: Database, story: Any, act: Any
):
    plan = story(stage=("imaging", "Imaging")).person().care_plan()
    proposal = plan.proposal("MRI without contrast", "MRI", made="2026-06-21")
    plan.task("sign-imaging", "Sign", due="2026-06-29T09:15:00Z", orders=(proposal,))
    plan.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    plan.save(record)
    act(client, "vogt")

    text = plain(client.get(f"/careplans/{plan.plan}").text)

    assert "Cannot take effect yet: MRI safety not cleared" in text


def test_a_signed_order_is_a_receipt_with_who_and_when(client: FlaskClient, record: Database, story: Any):
    plan = story().person().care_plan()
    proposal = plan.proposal("Surgical referral", "SURG", status="completed")
    order = plan.signed(proposal, "Surgical referral", "SURG")
    plan.step("open-hip", "Opened", None, "surgical-referral", "2026-06-22")
    plan.save(record)

    html = client.get(f"/careplans/{plan.plan}").text

    assert "Surgical referral, right hip: signed" in plain(html)
    assert "Signed Mon 22 Jun 2026, 09:15 by Dr Maren Vogt." in plain(html)
    assert f"/fhir/ServiceRequest/{order}" in html


def test_a_held_plan_says_what_contradicts_and_since_when(client: FlaskClient, record: Database, story: Any):
    plan = story(stage=("imaging", "Imaging"), holds=[HOLD]).person().care_plan()
    plan.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    plan.save(record)

    text = plain(client.get(f"/careplans/{plan.plan}").text)

    assert "Right hip: the plan is on hold since Sun 21 Jun 2026, 09:15." in text
    assert "Contradictory findings: Abduction strength" in text


def test_a_diverted_plan_stands_under_a_red_bar_until_someone_acknowledges(
    client: FlaskClient, record: Database, story: Any, act: Any
):
    plan = story(stage=("diverted", "Diverted"), status="on-hold").person().care_plan()
    plan.proposal("MRI without contrast", "MRI", status="on-hold")
    causes = (("emergency", "Emergency"), ("red-flag-infection", "Red flag: infection"))
    on_call = ("on-call", "On-call clinician")
    plan.task(
        "divert", "Take over", due="2026-06-22T08:40:00Z", priority="stat", reasons=causes, role=on_call
    )
    plan.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    plan.step("T01", "Red flag", "imaging", "diverted", "2026-06-22")
    plan.save(record)
    act(client, "vogt")

    html = client.get(f"/careplans/{plan.plan}").text

    alarm = plain(html.split('class="alarm danger')[1].split("</section>")[0])
    assert "Right hip: Diverted, since Mon 22 Jun 2026, 09:15." in alarm
    assert "Emergency. Red flag: infection." in alarm
    assert "Not acknowledged by On-call clinician, 35 min overdue." in alarm
    assert 'value="acknowledge"' in html
    assert "it cannot be signed while the plan is away" in plain(html)
    assert 'value="sign"' not in html


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param("completed", "This plan is closed. New data are still read.", id="discharged"),
        pytest.param("revoked", "This plan was ended and is read-only.", id="withdrawn"),
    ],
)
def test_a_closed_plan_says_so(client: FlaskClient, record: Database, story: Any, status: str, words: str):
    plan = story(stage=("discharged", "Discharged"), status=status).person().care_plan()
    plan.step("open-hip", "Opened", None, "assessment", "2026-06-01")
    plan.step("T08", "Discharge", "assessment", "discharged", "2026-06-10")
    plan.save(record)

    assert words in plain(client.get(f"/careplans/{plan.plan}").text)


def test_a_plan_that_could_not_be_evaluated_never_looks_current(
    client: FlaskClient, record: Database, story: Any
):
    plan = story("referral").save(record)
    with record.transaction() as tx:
        promises.want(tx, plan.patient, tenant=0, due_at=datetime(2026, 6, 22, tzinfo=UTC))
    with record.transaction() as tx:
        claim = promises.claim(tx, tenant=0, patient=plan.patient)
        assert claim is not None
        promises.fail(tx, claim, "T06 erred", max_attempts=1)

    text = plain(client.get(f"/careplans/{plan.plan}").text)

    assert "Not evaluated since" in text
    assert "T06 erred" in text
    assert "1 patient is not evaluated." in text


def test_the_plan_says_as_of_when_it_is_and_by_which_version_of_the_pathway(
    client: FlaskClient, record: Database, story: Any
):
    told = story("referral").save(record)

    html = client.get(f"/careplans/{told.plan}").text

    assert "Data as of Mon 22 Jun 2026, 09:15" in plain(html.split('class="patient"')[1].split("<main")[0])
    aside = plain(html.split("<aside")[1].split("</aside>")[0])
    assert re.search(r"Pathway Gluteus medius tear[^.]* 1\.0\.0", aside)


def test_a_step_taken_back_stays_in_the_timeline_struck_through(
    client: FlaskClient, record: Database, story: Any
):
    plan = story(stage=("conservative-therapy", "Conservative therapy")).person().care_plan()
    plan.step("T03", "Start", "assessment", "conservative-therapy", "2026-06-01")
    plan.step("T05", "Imaging", "conservative-therapy", "imaging", "2026-06-10")
    plan.step("rollback", "Stage taken back", "imaging", "conservative-therapy", "2026-06-11")
    plan.save(record)

    html = client.get(f"/careplans/{plan.plan}").text

    assert "<s>Step T05: Conservative therapy to Imaging</s>" in html
    drawn = html.split('<svg class="map"')[1].split("</svg>")[0]
    assert not any("T05" in label for label in re.findall(r'<text class="l"[^>]*>(.*?)<', drawn))


def test_the_evidence_for_a_stage_is_shown_where_it_is_decided_with_every_source(
    client: FlaskClient, record: Database, story: Any
):
    (pathway,) = catalogue.pathways()
    referral = story("referral").save(record)
    therapy = story(patient="gmt-2", stage=("conservative-therapy", "Conservative therapy")).person()
    therapy.care_plan()
    therapy.step("open-hip", "Opened", None, "conservative-therapy", "2026-06-01")
    therapy.save(record)

    def panel(plan: Any) -> str:
        page = client.get(f"/careplans/{plan.plan}").text
        return unescape(plain(page.split('id="evidence"')[1].split("</section>")[0]))

    citations = {source["number"]: source["citation"] for source in pathway.evidence["sources"]}
    for shown, stage in ((panel(referral), "surgical-referral"), (panel(therapy), "conservative-therapy")):
        for topic in pathway.evidence["topics"]:
            assert (topic["topic"] in shown) == (stage in topic.get("stages", ())), topic["topic"]
            if stage in topic.get("stages", ()):
                assert all(citations[number] in shown for number in topic["sources"])


def test_of_a_long_timeline_the_newest_are_shown_and_all_when_asked_for(
    client: FlaskClient, record: Database, story: Any
):
    plan = story(stage=("conservative-therapy", "Conservative therapy")).person().care_plan()
    for number in range(1, 40):
        day = f"2026-0{1 + number // 28}-{1 + number % 28:02}"
        plan.step("T03", f"Step {number}", None if number == 1 else "assessment", "assessment", day)
    plan.save(record)
    url = f"/careplans/{plan.plan}"

    def entries(html: str) -> int:
        return html.split('id="timeline"')[1].count('<div class="rail"')

    newest = client.get(url).text
    (rest,) = re.findall(r'href="([^"]*entries=all[^"]*)"', newest)
    everything = client.get(rest.replace("&amp;", "&")).text

    assert entries(newest) == ENTRIES
    assert entries(everything) == 39 + 39 + 1
    assert "Show all 79 entries" in newest
    assert "entries=all" not in everything.split('id="main"')[1]


def test_no_address_holds_a_name_a_birth_date_or_an_identifier(
    client: FlaskClient, record: Database, story: Any, act: Any
):
    plan = story("referral").save(record)
    act(client, "vogt")

    for path in ("/?view=all", f"/careplans/{plan.plan}", "/sandbox", "/acting"):
        addresses = re.findall(r'(?:href|action|hx-get)="([^"]*)"', client.get(path).text)
        for address in addresses:
            assert not re.search(r"jansen|petra|1970|GMT-1010", address), address


def test_what_an_answer_was_made_of_is_freed_once_it_was_sent(app: Flask):
    class Made:
        pass

    with app.test_request_context("/"):
        made = until_sent(Made())
        alive = weakref.ref(made)
        del made
        answer = app.process_response(Response("page"))
        gc.collect()
        assert alive() is not None
        answer.close()
        assert alive() is None
