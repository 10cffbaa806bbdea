"""Reading from the hospital on the pages: how far, what stands in the way, what was set aside, what to do."""

import html
import re

import html5lib
import pytest
from sqlalchemy import text

from service.app import create_app
from service.hospital.answers import Kind
from service.hospital.settings import Hospital
from service.hospital.wanted import CODED
from service.settings import Settings
from service.store import circuits, heartbeats, hospital_subscriptions, origins, sources
from service.web import sources as page_of
from service.web import words

SERVER = "https://fhir.hospital.example.org/r4"
ENGLISH = words.of("en")
#: why something may be set aside
REASONS = (
    *("no-patient", "patient-unknown", "patient-ambiguous", "patient-twice", "ambiguous", "not-valid"),
    *("not-fhir", "too-long", "removed-there", "failed-here"),
)


@pytest.fixture
def operator(record, broker_url, act):
    """A client of a service that reads from a hospital, with a person who acts."""
    return _operator(record, broker_url, act, "subscription")


def _operator(record, broker_url, act, read):
    with record.transaction() as tx:
        for table in ("source", "source_window", "hospital_subscription", "set_aside", "circuit"):
            tx.execute(text(f"DELETE FROM {table}"))
        sources.begin(tx, tenant=0, server=SERVER)
    settings = Settings(broker_url=broker_url, hospital=Hospital(url=SERVER, read=read))
    client = create_app(settings, record).test_client()
    act(client, "arslan")
    return client


def section(client, language="en"):
    page = client.get("/operations", headers={"Accept-Language": language}).text
    html5lib.HTMLParser(strict=True).parse(page)
    return html.unescape(re.search(r'<section class="card" id="source".*?</section>', page, re.DOTALL)[0])


def do(record, statement):
    with record.transaction() as tx:
        tx.execute(text(statement))


def note(record, type_="Observation", status="active", answer="taken", **more):
    with record.transaction() as tx:
        hospital_subscriptions.note(
            tx, type_, id="s1", status=status, answer=answer, tenant=0, server=SERVER, **more
        )


def held(record, id_, reason, said=""):
    with record.transaction() as tx:
        origins.set_aside(
            tx,
            ("Observation", id_),
            "1",
            reason=reason,
            said=said,
            pause_s=None if reason == "not-valid" else 60,
            tenant=0,
            server=SERVER,
        )


def test_where_nothing_is_read_the_page_says_so(client):
    assert ENGLISH("source.off") in section(client)


def test_before_the_first_look_the_page_says_that_nothing_was_read(operator):
    assert ENGLISH("source.never") in section(operator)
    assert ENGLISH("source.not_called") in section(operator)


@pytest.mark.parametrize(("seconds", "late"), [(100, False), (400, True)])
def test_the_last_look_is_late_after_minutes(operator, record, seconds, late):
    do(record, f"UPDATE source SET looked_at = clock_timestamp() - interval '{seconds} s'")

    page = section(operator)

    assert ("which is too long" in page) is late


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_bad_answer_is_said_with_what_to_do(operator, record, language):
    said = words.of(language)
    for kind in (kind for kind in Kind if kind is not Kind.TAKEN):
        with record.transaction() as tx:
            circuits.note(
                tx, "read", tenant=0, server=SERVER, answer=kind, said="HAPI-1", bad=True, pause_s=60
            )
        page = section(operator, language)
        assert page_of.answer(kind, said) in page
        assert "HAPI-1" in page


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_what_is_set_aside_is_listed_with_the_reason(operator, record, language):
    for reason in REASONS:
        held(record, f"o-{reason}", reason, said="valueQuantity.unit")

    page = section(operator, language)

    for reason in REASONS:
        assert f"Observation/o-{reason}" in page
        assert words.of(language)(f"source.reason.{reason}") in page
    assert page.count("valueQuantity.unit") == len(REASONS)
    assert words.of(language)("source.after_change") in page


@pytest.mark.parametrize("status", ["active", "requested", "off", "error", ""])
def test_the_state_of_a_subscription_is_said(operator, record, status):
    note(record, status=status)

    row = re.search(r'<tr id="source-Observation">.*?</tr>', section(operator), re.DOTALL)[0]

    state = {"active": "t-good", "requested": "t-wait"}.get(status, "t-danger")
    assert state in row
    assert ENGLISH("source.call.never") in row


def test_one_that_the_server_refuses_says_what_to_do(operator, record):
    note(record, status="error", answer="refused", said="not-supported")

    assert ENGLISH("source.answer.refused") in section(operator)
    assert "not-supported" in section(operator)


def test_silence_is_told_until_the_server_calls_again(operator, record):
    note(record)
    do(record, "UPDATE source SET missed = 7, missed_at = clock_timestamp()")
    assert "7 results came without a call" in section(operator)

    with record.transaction() as tx:
        assert hospital_subscriptions.called(tx, "Observation", tenant=0, server=SERVER)
        sources.not_missed(tx, tenant=0, server=SERVER)

    assert "The server last called on" in section(operator)


def test_a_wrong_clock_is_told_without_alarm(operator, record):
    with record.transaction() as tx:
        circuits.note(tx, "read", tenant=0, server=SERVER, answer="taken", bad=False, skew_s=7300)

    assert ENGLISH("source.clock.ahead", age="2 h") in section(operator)


def test_how_far_each_type_is_read_is_shown(operator, record, broker_url, act):
    operator = _operator(record, broker_url, act, "poll")
    with record.transaction() as tx:
        claim = sources.claim(tx, tenant=0, server=SERVER, lease_s=60)
        assert claim
        for type_ in CODED:
            sources.move(tx, claim, type_, "q", until=None, reached=None, whole=True)

    page = section(operator)

    assert re.findall(r'<tr id="source-(\w+)"', page) == sorted(CODED)
    assert page.count(ENGLISH("source.nothing")) == len(CODED)
    assert ENGLISH("source.polls", age="60 s") in page


def test_reading_again_asks_at_once_for_what_was_set_aside_too(operator, record, form):
    held(record, "o1", "not-valid")
    do(record, "UPDATE source SET looked_at = clock_timestamp(), watched_at = clock_timestamp()")
    with record.transaction() as tx:
        circuits.note(tx, "read", tenant=0, server=SERVER, answer="busy", bad=True, pause_s=60)
    button = form(operator.get("/operations").text, "source")

    answer = operator.post(button.action, data=button.values)

    assert (answer.status_code, answer.location) == (303, "/operations?read=again#source")
    assert ENGLISH("source.asked") in operator.get(answer.location).text
    with record.transaction() as tx:
        assert circuits.read(tx, "read", tenant=0, server=SERVER).open_until is None
        assert [aside.their_id for aside in origins.due_aside(tx, 9, tenant=0, server=SERVER)] == ["o1"]
        seen = sources.read(tx, tenant=0, server=SERVER)
        assert (seen.looked_at, seen.watched_at) == (None, None)


def test_nobody_reads_again_without_a_token_or_where_nothing_is_read(operator, client, act, form):
    act(client, "arslan")

    assert operator.post("/operations/source").status_code == 422
    button = form(operator.get("/operations").text, "source")
    assert client.post(button.action, data=button.values).status_code == 404


def test_a_feeder_that_is_silent_is_told_on_every_page(operator, client, record):
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM heartbeat WHERE process = :part"), {"part": heartbeats.FEEDER})
    assert ENGLISH("automation.feeder.never") in html.unescape(operator.get("/patients").text)
    assert ENGLISH("automation.feeder.never") not in html.unescape(client.get("/patients").text)

    with record.transaction() as tx:
        heartbeats.beat(tx, heartbeats.FEEDER)

    assert "figure-feeder" in operator.get("/operations").text
    assert ENGLISH("automation.feeder.never") not in html.unescape(operator.get("/patients").text)
    assert "feeder" in operator.get("/health/ready").get_json()["parts"]
