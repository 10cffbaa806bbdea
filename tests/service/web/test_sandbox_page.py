"""The sandbox page: the clock, a Bundle as text, and a fresh start (ui.md, section 10)."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import clock
from service.store import promises
from service.store.database import Database
from worker.advance import advance

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_clock_moves_forward_and_the_page_says_so(client: FlaskClient, record: Database, form: Any):
    fields = form(client.get("/sandbox").text, "by")

    page = client.post(fields.action, data={**fields.values, "days": "7"})

    assert "The clock stands at Mon 29 Jun 2026, 09:15." in page.text


def test_the_clock_does_not_go_back_while_there_are_patients(
    client: FlaskClient, record: Database, story: Any, form: Any
):
    story("referral").save(record)
    fields = form(client.get("/sandbox").text, "to")

    page = client.post(fields.action, data={**fields.values, "to": "2026-06-01T09:00"})

    assert page.status_code == 409
    with record.transaction() as tx:
        assert clock.now(tx).day == 22


def test_a_date_that_is_none_is_refused(client: FlaskClient, record: Database, form: Any):
    fields = form(client.get("/sandbox").text, "to")

    page = client.post(fields.action, data={**fields.values, "to": "soon"})

    assert page.status_code == 422
    assert "That is not a date and time." in page.text


def test_evaluation_is_held_until_someone_lets_it_go(client: FlaskClient, record: Database, form: Any):
    fields = form(client.get("/sandbox").text, "evaluation")

    client.post(fields.action, data={**fields.values, "held": "1"})

    assert "evaluation held" in client.get("/").text


def test_a_bundle_is_posted_as_text_and_its_outcome_is_said(
    client: FlaskClient, record: Database, form: Any, monkeypatch: Any
):
    monkeypatch.setattr("service.web.routes.sandbox.PATIENCE_S", 0.05)
    fields = form(client.get("/sandbox").text, "bundle")
    text = (EXAMPLES / "01-new-referral-visit.json").read_text()

    page = client.post(fields.action, data={**fields.values, "bundle": text})

    assert page.status_code == 200
    assert "Stored: 14 new or changed, 0 unchanged." in page.text


def test_a_refused_bundle_names_the_place_and_keeps_the_text(
    client: FlaskClient, record: Database, form: Any
):
    fields = form(client.get("/sandbox").text, "bundle")
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": {"resourceType": "Patient", "id": "x", "gender": "nonsense"},
                "request": {"method": "PUT", "url": "Patient/x"},
            }
        ],
    }

    page = client.post(fields.action, data={**fields.values, "bundle": json.dumps(bundle)})

    assert page.status_code == 422
    assert "Bundle.entry[0].resource.gender" in page.text
    assert "nonsense" in page.text.split("<textarea")[1]
    assert "nonsense" not in page.text.split("<textarea")[0]


def test_deleting_everything_leaves_an_empty_worklist(
    client: FlaskClient, record: Database, story: Any, form: Any
):
    story("referral").save(record)
    fields = form(client.get("/sandbox").text, "erase")

    page = client.post(fields.action, data=fields.values)

    assert "Everything is deleted." in page.text
    assert "No patients are known yet." in client.get("/").text


@pytest.fixture
def three(record: Database) -> list[str]:
    """Three patients who are due at the time of the clock."""
    patients = ["gmt-1", "gmt-2", "gmt-3"]
    with record.transaction() as tx:
        for patient in patients:
            promises.want(tx, patient, tenant=0, due_at=clock.now(tx))
    return patients


def test_how_far_the_evaluation_is_can_be_left_and_come_back_to(
    client: FlaskClient, record: Database, three: list[str]
):
    assert "Evaluating: 0 of 3 patients done" in client.get("/sandbox").text
    assert advance(record, 0, three[0])

    part = client.get("/sandbox/progress").text
    assert "Evaluating: 1 of 3 patients done" in part
    assert '<progress id="evaluating-bar" max="3" value="1">1/3</progress>' in part
    assert 'hx-get="/sandbox/progress"' in part
    assert "Evaluating: 1 of 3 patients done" in client.get("/sandbox").text


def test_it_ends_with_how_many_there_were_and_asks_no_more(
    client: FlaskClient, record: Database, three: list[str]
):
    for patient in three:
        assert advance(record, 0, patient)

    part = client.get("/sandbox/progress").text
    assert "3 patients were evaluated at this time of the clock. Nothing more is due." in part
    assert "hx-get" not in part


def test_it_ends_with_who_could_not_be_evaluated(client: FlaskClient, record: Database, three: list[str]):
    with record.transaction() as tx:
        claim = promises.claim(tx, tenant=0, patient=three[0])
        assert claim
        promises.fail(tx, claim, "EvaluationFailed: Pain Persists", max_attempts=1)
    for patient in three[1:]:
        assert advance(record, 0, patient)

    part = client.get("/sandbox/progress").text
    assert "2 patients were evaluated" in part
    assert "1 patient is not evaluated." in part
    assert "/operations#given-up" in part
    assert "hx-get" not in part


def test_while_evaluation_is_held_nothing_is_on_its_way(
    client: FlaskClient, record: Database, three: list[str]
):
    with record.transaction() as tx:
        clock.set_(tx, clock.now(tx), held=True)

    assert "patients done" not in client.get("/sandbox").text
    assert "hx-get" not in client.get("/sandbox/progress").text
