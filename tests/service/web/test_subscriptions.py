"""Subscriptions on the operations page: where each stands, why, and what to do about it; retrying is safe."""

import html
import re

import html5lib
import pytest
from sqlalchemy import text
from subscribed import SECRET_PATH, subscribe

from service.store import accesses, heartbeats, subscriptions
from service.store.accesses import Filters
from service.store.subscriptions import New
from service.subscriptions.answers import Kind
from service.web import words


@pytest.fixture
def operator(record, client, act):
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM subscription"))
    act(client, "arslan")
    return client


def section(page):
    found = re.search(r'<section class="card" id="subscriptions".*?</section>', page, re.DOTALL)
    return html.unescape(found[0])


def row(page, id_):
    return re.search(rf'<tr id="subscription-{id_}">.*?</tr>', page, re.DOTALL)[0]


def standing(database, id_):
    with database.transaction() as tx:
        return subscriptions.find(tx, id_, owner="registry", tenant=0)


def test_nobody_who_subscribes_is_said_in_a_sentence(operator):
    shown = section(operator.get("/operations").text)

    assert words.of("en")("subscriptions.none") in shown
    assert words.of("en")("subscriptions.silent.never") not in shown


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_bad_answer_is_shown_with_what_to_do(operator, record, language):
    bad = [kind for kind in Kind if kind is not Kind.TAKEN]
    for kind in bad:
        subscribe(record, f"s-{kind}", status="error", answer=kind, numbered=7, delivered=4)

    page = section(operator.get("/operations", headers={"Accept-Language": language}).text)

    for kind in bad:
        shown = row(page, f"s-{kind}")
        assert words.of(language)(f"subscriptions.answer.{kind}") in shown
        assert words.of(language)("subscriptions.state.error") in shown
        assert '<td class="num" data-label="' in shown
        assert ">3</td>" in shown


def test_each_state_is_shown_with_what_waits_and_when_something_was_taken_last(operator, record):
    subscribe(record, "s-requested")
    subscribe(record, "s-active", status="active", succeeded=True)
    subscribe(record, "s-again", status="active", answer="server-error", attempts=3, retry=True, numbered=2)
    subscribe(record, "s-error", topic="order-signed", status="error", answer="refused")
    subscribe(record, "s-off", status="off")

    page = operator.get("/operations?told=s-error").text

    html5lib.HTMLParser(strict=True).parse(page)
    shown = section(page)
    # Who needs somebody first, then who waits for most.
    assert re.findall(r'<tr id="subscription-s-(.*?)"', shown)[:2] == ["error", "again"]
    assert words.of("en")("subscriptions.state.again", attempts=3) in row(shown, "s-again")
    assert words.of("en")("subscriptions.topic.order-signed") in row(shown, "s-error")
    assert words.of("en")("subscriptions.never") in row(shown, "s-requested")
    assert words.of("en")("subscriptions.never") not in row(shown, "s-active")
    assert words.of("en")("subscriptions.asked", id="s-error") in shown
    # Of the address the host alone is shown, and a button only where there is something to try.
    assert "hook.example.org" in shown
    assert SECRET_PATH not in page
    states = ("requested", "active", "again", "error", "off")
    again, end = 'action="/operations/subscriptions"', 'action="/operations/subscriptions/end"'
    assert [id_ for id_ in states if again in row(shown, f"s-{id_}")] == ["again", "error"]
    assert [id_ for id_ in states if end in row(shown, f"s-{id_}")] == [
        "requested",
        "active",
        "again",
        "error",
    ]


def test_a_process_that_does_not_tell_is_said_where_anybody_would_be_told(operator, record):
    subscribe(record, "s-active", status="active")
    assert words.of("en")("subscriptions.silent.never") in section(operator.get("/operations").text)

    with record.transaction() as tx:
        heartbeats.beat(tx, heartbeats.HERALD)
    shown = section(operator.get("/operations").text)
    assert "Nobody is told" not in shown

    with record.transaction() as tx:
        tx.execute(
            text("UPDATE heartbeat SET seen_at = seen_at - interval '1 hour' WHERE process = 'herald'")
        )
    assert words.of("en")("subscriptions.silent", age="60 min") in section(operator.get("/operations").text)
    with record.transaction() as tx:
        tx.execute(text("UPDATE subscription SET status = 'off'"))
    assert "Nobody is told" not in section(operator.get("/operations").text)


def test_to_try_again_asks_for_a_handshake_and_only_of_what_stands_still(operator, record, form):
    subscribe(record, "s-error", status="error", answer="refused", attempts=12, numbered=3)
    button = form(operator.get("/operations").text, "subscriptions")

    answer = operator.post("/operations/subscriptions", data=button.values)

    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/operations?told=s-error#subscriptions")
    found = standing(record, "s-error")
    assert (found.status, found.attempts, found.retry_at, found.waiting) == ("requested", 0, None, 3)
    # Again, and of one that there is not: nothing happens.
    for id_ in ("s-error", "nobody"):
        assert (
            operator.post(
                "/operations/subscriptions", data={**button.values, "subscription": id_}
            ).status_code
            == 303
        )
    assert standing(record, "s-error").version == found.version
    assert (
        operator.post("/operations/subscriptions", data={**button.values, "subscription": "a/b"}).status_code
        == 404
    )


def test_nobody_is_chosen_and_nothing_can_be_tried(record, client):
    subscribe(record, "s-error", status="error", answer="refused")

    assert "<button" not in row(section(client.get("/operations").text), "s-error")
    assert client.post("/operations/subscriptions", data={"subscription": "s-error"}).status_code in (
        403,
        422,
    )
    assert standing(record, "s-error").status == "error"


def test_a_person_turns_one_off_which_ends_it_and_is_written_down(operator, record):
    subscribe(record, "s-active", status="active", numbered=3, delivered=1)
    shown = row(section(operator.get("/operations").text), "s-active")
    confirm = re.search(r"<details.*?</details>", shown, re.DOTALL)[0]
    assert words.of("en")("subscriptions.end_sure", owner="registry") in confirm
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', confirm))

    for _ in range(2):
        answer = operator.post("/operations/subscriptions/end", data=fields)
        assert answer.status_code == 303

    found = standing(record, "s-active")
    assert (found.status, found.answer) == ("off", "ended-here")
    page = operator.get(answer.headers["Location"]).text
    assert words.of("en")("subscriptions.ended", id="s-active") in section(page)
    assert words.of("en")("subscriptions.answer.ended-here") in row(section(page), "s-active")
    with record.transaction() as tx:
        rows = accesses.find(tx, Filters(), before=0, limit=50, tenant=0)
    written = [a for _, a in rows if a.reference == "Subscription/s-active"]
    assert [(a.who, a.action, a.place) for a in written] == [
        ("Practitioner/arslan", accesses.EXECUTE, "/operations/subscriptions/end")
    ]
    audit = operator.get("/audit?action=E").text
    assert "Subscription/s-active" in audit
    assert words.of("en")("audit.no_patient") in audit


def test_what_is_not_there_is_not_said_to_be_turned_off(operator, record, form):
    subscribe(record, "s-active", status="active")
    fields = form(operator.get("/operations").text, "end").values

    answer = operator.post("/operations/subscriptions/end", data={**fields, "subscription": "nobody"})

    assert answer.status_code == 404
    for id_ in ("nobody", "a/b"):
        shown = section(operator.get(f"/operations?untold={id_}").text)
        assert words.of("en")("subscriptions.ended", id=id_) not in shown
    assert standing(record, "s-active").status == "active"


def test_one_that_is_asked_for_anew_is_no_longer_said_to_be_turned_off_here(operator, record):
    subscribe(record, "s-active", status="active")
    with record.transaction() as tx:
        subscriptions.turn_off(tx, "s-active", tenant=0)
    found = standing(record, "s-active")
    assert words.of("en")("subscriptions.answer.ended-here") in operator.get("/operations").text

    anew = New(body=found.body, topic="order-signed", status="requested", ends_at=None, heartbeat_s=None)
    with record.transaction() as tx:
        subscriptions.change(tx, found.key, anew, same_events=True)

    assert standing(record, "s-active").answer is None
    assert words.of("en")("subscriptions.answer.ended-here") not in operator.get("/operations").text


def test_nobody_turns_one_off_without_a_form_of_ours(operator, record, client):
    subscribe(record, "s-active", status="active")

    for who, token in ((operator, "x"), (client, "")):
        answer = who.post("/operations/subscriptions/end", data={"subscription": "s-active", "token": token})
        assert answer.status_code == 422
    assert standing(record, "s-active").status == "active"


def test_the_metrics_count_what_waits_and_what_is_in_error(operator, record):
    subscribe(record, "s-error", status="error", numbered=5, delivered=2)
    subscribe(record, "s-active", status="active", numbered=1)
    subscribe(record, "s-off", status="off", numbered=9)

    said = operator.get("/metrics").text

    assert "\nhipway_subscription_events_waiting 4.0" in said
    assert "\nhipway_subscriptions_in_error 1.0" in said
