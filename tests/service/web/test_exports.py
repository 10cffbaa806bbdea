"""Exports on the operations page: how far they are, what failed, and ending one."""

import html
import re
from dataclasses import replace

import page_states
import pytest
from sqlalchemy import text

from service.app import create_app
from service.settings import Settings
from service.store import exports
from service.web import words


@pytest.fixture
def operator(record, broker_url, act):
    client = create_app(Settings(broker_url=broker_url), record).test_client()
    act(client, "arslan")
    return client


@pytest.fixture
def plans(record, story):
    """Exports in each state, beside everything else there is."""
    return page_states.plans(record, story)


def section(page):
    found = re.search(r'<section class="card" id="exports".*?</section>', page, re.DOTALL)
    return html.unescape(found[0])


def row(page, id_):
    return re.search(rf'<tr id="export-{id_}">.*?</tr>', section(page), re.DOTALL)[0]


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_state_of_an_export_is_said(operator, plans, language):
    page = operator.get("/operations", headers={"Accept-Language": language}).text
    say = words.of(language)

    assert '<progress id="progress-going-on" max="100" value="70">' in row(page, "going-on")
    assert say("exports.going_on", percent=70) in row(page, "going-on")
    assert say("exports.again", percent=0) in row(page, "failing")
    assert say("exports.failed") in row(page, "given-up")
    assert say("exports.finished") in row(page, "written")
    assert "<progress" not in row(page, "written") + row(page, "given-up")
    assert all("/fhir/$export" in row(page, id_) for id_ in ("going-on", "written"))
    assert 'hx-trigger="every 5s"' in section(page)


def test_without_exports_nothing_is_asked_again(operator, record):
    shown = section(operator.get("/operations").text)

    assert words.of("en")("exports.none") in shown
    assert "hx-get" not in shown


def test_a_person_ends_an_export_and_its_system_finds_nothing(operator, record, plans):
    form = row(operator.get("/operations").text, "written")
    token = re.search(r'name="token" value="([^"]*)"', form)[1]

    answer = operator.post("/operations/exports", data={"token": token, "export": "written"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/operations?ended=export#exports")
    page = operator.get(answer.headers["Location"]).text
    assert words.of("en")("exports.ended") in section(page)
    assert "export-written" not in page
    assert operator.get("/fhir/_export/written").status_code == 404
    with record.transaction() as tx:
        assert tx.execute(text("SELECT outcome FROM export WHERE id = 'written'")).scalar_one() == "cancelled"
    again = operator.post("/operations/exports", data={"token": token, "export": "written"})
    assert again.status_code == 303


def test_nobody_ends_one_without_a_form_of_ours_or_by_a_name_there_cannot_be(operator, client, record, plans):
    token = re.search(r'name="token" value="([^"]*)"', section(operator.get("/operations").text))[1]

    assert operator.post("/operations/exports", data={"token": "x", "export": "written"}).status_code == 422
    assert client.post("/operations/exports", data={"export": "written"}).status_code == 422
    assert operator.post("/operations/exports", data={"token": token, "export": "a b"}).status_code == 404
    with record.transaction() as tx:
        assert exports.find(tx, "written", tenant=0)


def test_who_asked_and_what_for_is_written_as_text(operator, record, plans):
    with record.transaction() as tx:
        request = f"{page_states.ASKED.request}?_elements=<b>"
        exports.ask(tx, "odd", replace(page_states.ASKED, caller="<i>", request=request), tenant=0)

    page = operator.get("/operations").text

    assert "<b>" not in re.search(r'<tr id="export-odd">.*?</tr>', page, re.DOTALL)[0].replace("<button>", "")
    assert "&lt;i&gt;" in page
