"""Decisions made on a page: once, by someone who may, about what was read (ui.md, section 12)."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import clock
from service.fhir import transaction
from service.store import resources
from service.store.database import Database
from worker.advance import advance

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def plan(record: Database, story: Any) -> Iterator[Any]:
    """A referral that waits for a signature."""
    return story("referral").save(record)


def decisions_of(database: Database, patient: str) -> list[dict[str, Any]]:
    with database.transaction() as tx:
        found = resources.of_patient(tx, patient, types=["Task"], owned=False, tenant=0)
    return [stored.resource for stored in found]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_signature_is_a_completed_task_of_the_person_who_acts(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")

    answer = client.post(fields.action, data=fields.values)

    (task,) = decisions_of(record, plan.patient)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/careplans/{plan.plan}?decision={task['id']}#decided"
    assert (task["status"], task["intent"]) == ("completed", "order")
    assert task["code"]["coding"][0]["code"] == "sign"
    assert task["focus"] == {"reference": f"ServiceRequest/{plan.orders[0].id}"}
    assert task["for"] == {"reference": f"Patient/{plan.patient}"}
    assert task["owner"]["reference"] == task["requester"]["reference"] == "Practitioner/vogt"
    assert datetime.fromisoformat(task["lastModified"]) == datetime(2026, 6, 22, 9, 15, tzinfo=UTC)


def test_pressing_twice_decides_once(client: FlaskClient, record: Database, plan: Any, act: Any, form: Any):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")

    first = client.post(fields.action, data=fields.values)
    second = client.post(fields.action, data=fields.values)

    assert len(decisions_of(record, plan.patient)) == 1
    assert first.headers["Location"] == second.headers["Location"]


def test_nobody_chosen_writes_nothing_and_keeps_what_was_typed(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "decline")
    act(client, None)

    answer = client.post(fields.action, data={**fields.values, "reason": "other", "text": "seen elsewhere"})

    assert answer.status_code == 422
    assert "Nobody is chosen yet. Choose who acts, then decide." in answer.text
    assert "seen elsewhere" in answer.text
    assert decisions_of(record, plan.patient) == []


def test_a_form_opened_as_someone_else_is_refused(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")
    act(client, "arslan")

    answer = client.post(fields.action, data=fields.values)

    assert answer.status_code == 422
    assert decisions_of(record, plan.patient) == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "https://elsewhere.example"}, id="origin"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="fetch metadata"),
        pytest.param({"Host": "evil.example"}, id="host"),
    ],
)
def test_a_form_of_another_site_is_refused(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any, headers: dict[str, str]
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")

    answer = client.post(fields.action, data=fields.values, headers=headers)

    assert answer.status_code == 403
    assert decisions_of(record, plan.patient) == []


def test_only_a_clinician_may_decide(client: FlaskClient, record: Database, plan: Any, act: Any, form: Any):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")
    act(client, "lindqvist")
    own = form(client.get("/acting").text, "acting")

    answer = client.post(fields.action, data={**fields.values, "token": own.values["token"]})

    assert answer.status_code == 403
    assert "Only a clinician may decide this." in answer.text
    assert decisions_of(record, plan.patient) == []


def test_a_plan_that_changed_meanwhile_is_shown_and_nothing_is_written(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "decline")
    plan.stage = ("post-operative", "After operation")
    plan.care_plan().save(record)

    answer = client.post(fields.action, data={**fields.values, "reason": "other", "text": "not now"})

    assert answer.status_code == 409
    assert "This plan changed while you read it." in answer.text
    assert "not now" in answer.text
    assert decisions_of(record, plan.patient) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({}, "A reason is required.", id="no reason"),
        pytest.param({"reason": "invented"}, "A reason is required.", id="a reason that does not exist"),
        pytest.param({"reason": "other", "text": " "}, "needs a few words", id="other without words"),
    ],
)
def test_a_refusal_needs_a_reason(
    client: FlaskClient,
    record: Database,
    plan: Any,
    act: Any,
    form: Any,
    given: dict[str, str],
    words: str,
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "decline")

    answer = client.post(fields.action, data={**fields.values, **given})

    assert answer.status_code == 422
    assert words in answer.text
    assert decisions_of(record, plan.patient) == []


def test_a_reason_is_kept_as_code_and_as_words(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "decline")

    client.post(fields.action, data={**fields.values, "reason": "wrong-value", "text": "measured again"})

    (task,) = decisions_of(record, plan.patient)
    assert task["reasonCode"]["coding"][0]["code"] == "wrong-value"
    assert task["reasonCode"]["text"] == "A value used is wrong: measured again"


def test_placing_a_side_in_a_stage_needs_the_stage(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "re-enter")
    reason = {"reason": "not-fitting"}

    without = client.post(fields.action, data={**fields.values, **reason})
    client.post(fields.action, data={**fields.values, **reason, "target": "assessment"})

    (task,) = decisions_of(record, plan.patient)
    assert without.status_code == 422
    assert task["input"][0]["valueCodeableConcept"]["coding"][0]["code"] == "assessment"


def test_a_decision_that_is_not_applied_yet_is_not_called_done(
    client: FlaskClient, record: Database, plan: Any, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "sign")

    page = client.post(fields.action, data=fields.values, follow_redirects=True)

    assert "Not confirmed, checking: Sign a proposal." in page.text


def test_a_signed_proposal_becomes_an_order_with_a_receipt(
    client: FlaskClient, record: Database, act: Any, form: Any
):
    patient = post(record, "01-new-referral-visit", "2026-03-02T10:45:00+01:00")
    advance(record, 0, patient)
    address = re.search(r'href="(/careplans/[^"#]+)"', client.get("/?view=all").text)
    assert address
    act(client, "vogt")
    fields = form(client.get(address[1]).text, "sign")

    checking = client.post(fields.action, data=fields.values)
    advance(record, 0, patient)
    page = client.get(checking.headers["Location"].partition("#")[0])

    text = plain(page.text)
    assert "Sign a proposal: done. Physiotherapy, left hip." in text
    assert "Physiotherapy, left hip: signed" in text
    assert "Dr Maren Vogt" in text.split("Signed orders")[1]
    assert 'value="sign"' not in page.text


def post(database: Database, name: str, at: str) -> str:
    with database.transaction() as tx:
        clock.set_(tx, datetime.fromisoformat(at), held=False)
    bundle = json.loads((EXAMPLES / f"{name}.json").read_text())
    patient = transaction.accept(database, bundle, sender="test").patient
    assert patient is not None
    return patient
