"""Deliveries on the pages: what stands still, why, and what to do about it; sending again is safe."""

import html
import re

import html5lib
import pytest
from sqlalchemy import text

from service.app import create_app
from service.hospital import outgoing
from service.hospital.answers import Kind
from service.hospital.settings import Hospital
from service.settings import Settings
from service.store import circuits, deliveries, heartbeats
from service.web import words

SERVER = "https://fhir.hospital.example.org/r4"
BUNDLE = "5f1f2e5c-9c1b-5d7e-8f3a-0c7a6c1b2d3e"
PATIENT = "gmt-1010"


@pytest.fixture
def operator(record, broker_url, act):
    """A client of a service with a hospital, with a person who acts."""
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM delivery"))
        tx.execute(text("DELETE FROM dispatch"))
        tx.execute(text("DELETE FROM circuit"))
    settings = Settings(broker_url=broker_url, hospital=Hospital(url=SERVER))
    client = create_app(settings, record).test_client()
    act(client, "arslan")
    return client


def pending(database, patient=PATIENT, *, answer=None, attempts=0, parked=False, said="", sent=True):
    values = {
        "server": SERVER,
        "patient": patient,
        "attempts": attempts,
        "answer": answer,
        "said": said,
        "bundle": BUNDLE if sent else None,
    }
    at = "clock_timestamp()" if parked else "NULL"
    with database.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO delivery (tenant, server, patient, pending, wanted, attempts, answer, said, "
                "bundle, retry_at, parked_at) VALUES (0, :server, :patient, true, 1, :attempts, :answer, "
                f":said, :bundle, clock_timestamp() + interval '1 hour', {at})"
            ),
            values,
        )
        if sent:
            tx.execute(
                text(
                    "INSERT INTO dispatch (bundle, tenant, server, patient, versions) "
                    "VALUES (:bundle, 0, :server, :patient, '{}') ON CONFLICT DO NOTHING"
                ),
                values,
            )


@pytest.fixture
def elsewhere(client, act):
    """A person who acts at a service without a hospital."""
    act(client, "arslan")
    return client


def section(page):
    found = re.search(r'<section class="card" id="deliveries".*?</section>', page, re.DOTALL)
    return html.unescape(found[0])


def standing(database, patient=PATIENT):
    with database.transaction() as tx:
        return deliveries.standing(tx, patient, tenant=0, server=SERVER)


def test_without_a_hospital_the_page_says_that_nothing_is_sent(client):
    assert words.of("en")("deliveries.off") in section(client.get("/operations").text)


def test_nothing_pending_is_said_in_a_sentence(operator):
    assert words.of("en")("deliveries.none") in section(operator.get("/operations").text)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_bad_answer_is_shown_with_what_to_do(operator, record, language):
    bad = [kind for kind in Kind if kind is not Kind.TAKEN]
    for kind in bad:
        pending(record, kind, answer=kind, attempts=8, parked=True, said=f"HAPI-1094, Patient/{kind}")

    page = section(operator.get("/operations", headers={"Accept-Language": language}).text)

    for kind in bad:
        row = re.search(rf'<tr id="delivery-{kind}">.*?</tr>', page, re.DOTALL)[0]
        assert words.of(language)(f"hospital.answer.{kind}") in row
        assert f"HAPI-1094, Patient/{kind}" in row
        assert BUNDLE in row
        assert words.of(language)("deliveries.state.parked", attempts=8) in row


def test_a_page_with_deliveries_in_every_state_is_valid(operator, record, story):
    plan = story("referral").save(record)
    pending(record, PATIENT, answer="refused", attempts=8, parked=True)
    pending(record, "gmt-2", answer="server-error", attempts=2)
    pending(record, "gmt-3", sent=False)
    with record.transaction() as tx:
        for purpose in ("deliver", "return"):
            circuits.note(
                tx,
                purpose,
                tenant=0,
                server=SERVER,
                answer="busy",
                pause_s=600,
                bad=True,
                skew_s=-7300.0,
            )

    page = operator.get("/operations?sent=gmt-1010").text

    html5lib.HTMLParser(strict=True).parse(page)
    shown = section(page)
    assert re.findall(r'<tr id="delivery-(.*?)"', shown) == [PATIENT, "gmt-2", "gmt-3"]
    assert f"/careplans/{plan.plan}" in shown
    assert shown.count(words.of("en")("hospital.answer.busy")) == 2
    assert words.of("en")("deliveries.clock.behind", age="2 h") in shown
    assert words.of("en")("deliveries.not_sent") in shown


def test_sending_again_lifts_what_was_given_up_and_asks_the_server_at_once(operator, record, form):
    pending(record, answer="refused", attempts=8, parked=True)
    with record.transaction() as tx:
        circuits.note(tx, "deliver", tenant=0, server=SERVER, answer="busy", pause_s=600, bad=True)
    button = form(operator.get("/operations").text, "deliveries")

    answer = operator.post(button.action, data=button.values)

    assert (answer.status_code, answer.location) == (303, f"/operations?sent={PATIENT}#deliveries")
    now = standing(record)
    assert (now.parked_at, now.retry_at, now.attempts) == (None, None, 0)
    with record.transaction() as tx:
        assert circuits.read(tx, "deliver", tenant=0, server=SERVER).open_until is None
    # A second click finds it as it is.
    assert operator.post(button.action, data=button.values).status_code == 303
    assert standing(record) == now


def test_nobody_sends_again_without_a_token_or_a_hospital(operator, elsewhere, record, form):
    pending(record, answer="refused", attempts=8, parked=True)

    assert operator.post("/operations/deliveries", data={"patient": PATIENT}).status_code == 422
    button = form(operator.get("/operations").text, "deliveries")
    assert elsewhere.post(button.action, data=button.values).status_code == 404
    assert standing(record).parked_at is not None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        pytest.param(None, "nothing to deliver", id="nothing"),
        pytest.param({"sent": False}, "waits to be sent", id="not sent"),
        pytest.param({}, "sent, waiting for the hospital", id="sent"),
        pytest.param({"parked": True}, "not delivered, see operations", id="given up"),
    ],
)
def test_a_plan_says_whether_the_hospital_has_it(operator, record, story, state, said):
    plan = story("referral").save(record)
    if state is not None:
        pending(record, **state)

    page = operator.get(f"/careplans/{plan.plan}").text

    assert said in re.search(r'<dd id="delivery">(.*?)</dd>', page)[1]


def test_a_plan_says_since_when_it_is_acknowledged(operator, record, story):
    plan = story("referral").save(record)
    pending(record)
    with record.transaction() as tx:
        tx.execute(text("UPDATE delivery SET pending = false"))

    shown = re.search(r'<dd id="delivery">(.*?)</dd>', operator.get(f"/careplans/{plan.plan}").text)[1]
    assert re.fullmatch(r"acknowledged \w{3} \d+ \w{3} \d{4}, \d\d:\d\d", shown)


def test_without_a_hospital_a_plan_says_nothing_of_it(client, record, story):
    plan = story("referral").save(record)

    assert 'id="delivery"' not in client.get(f"/careplans/{plan.plan}").text


def test_the_oldest_output_that_the_hospital_lacks_is_a_figure(operator, elsewhere, record, story):
    def figure(client):
        (row,) = re.findall(
            r'<tr id="figure-undelivered">(.*?)</tr>', client.get("/operations").text, re.DOTALL
        )
        return " ".join(re.sub(r"<[^>]+>", " ", row).split())

    assert "nothing waits" in figure(operator)

    story("referral").save(record)
    # No courier has noted anything: the figure must not depend on whether it lives.
    assert "of 1 patient" in figure(operator)
    with record.transaction() as tx:
        assert deliveries.find(tx, tenant=0, server=SERVER, types=outgoing.TYPES, after=0) == 1
    assert "of 1 patient" in figure(operator)
    assert "nothing waits" in figure(elsewhere)


def test_a_courier_that_is_silent_is_told_on_every_page_and_as_a_figure(operator, elsewhere, record):
    said = words.of("en")
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM heartbeat WHERE process = :part"), {"part": heartbeats.COURIER})
    assert said("automation.courier.never") in html.unescape(operator.get("/patients").text)

    for seconds, state in ((170, "good"), (190, "danger")):
        with record.transaction() as tx:
            heartbeats.beat(tx, heartbeats.COURIER)
            tx.execute(
                text(
                    "UPDATE heartbeat SET seen_at = clock_timestamp() - make_interval(secs => :s) "
                    "WHERE process = :part"
                ),
                {"s": seconds, "part": heartbeats.COURIER},
            )
        page = html.unescape(operator.get("/operations").text)
        (row,) = re.findall(r'<tr id="figure-courier">(.*?)</tr>', page, re.DOTALL)
        assert f"t-{state}" in row
        assert (said("automation.courier.text") in page) is (state == "danger")
    assert "figure-courier" not in elsewhere.get("/operations").text
