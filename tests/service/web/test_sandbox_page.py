"""The sandbox page: the clock, a Bundle as text, and a fresh start (ui.md, section 10)."""

import json
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from service import clock
from service.store.database import Database

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
