"""What a meaning would do is tried on all patients who have the code, and kept for whoever decides."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic, sleep
from urllib.parse import unquote

import pytest
from fhir_visits import LOCAL, concept, observation, put
from locks import wait_for_who_waits
from meanings import LEFT, OWN, TENDER, URGENT, WHO, page_of, plain, press, send, try_all
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service import clock, snapshot
from service.store import accesses, horizon, leased, previews, resources
from service.store.accesses import Filters
from service.store.resources import Write
from service.web import mapping
from worker import trying

pytestmark = pytest.mark.usefixtures("impatient", "no_maps")


MANY = 30


@pytest.fixture
def many(record):
    """Many whose findings came in the codes of the hospital."""
    for n in range(MANY):
        code = concept("TENDER")
        found = observation(f"tender-{n}", f"Patient/many-{n}", code=code, bodySite=LEFT, valueBoolean=True)
        send(record, put(found), who=f"many-{n}")
    return record


def tender(who):
    """An entry with the code."""
    of = f"Patient/{who}"
    return observation(f"tender-{who}", of, code=concept("TENDER"), bodySite=LEFT, valueBoolean=True)


def begin(client, meaning=TENDER):
    """Have a meaning tried, and return the address of the page that tells."""
    answer = press(client, page_of("TENDER"), '<select id="meaning"', meaning=meaning)
    assert answer.status_code == 303
    return answer.location


def part_of(client, told):
    """Return the address of the part that a page puts in again."""
    shown = client.get(told).text.split('id="preview"')[1]
    return html.unescape(re.search(r'hx-get="([^"]*)"', shown)[1])


def seen_by_refreshing(database):
    """Return whom the part of the page told of, each time it was asked for."""
    with database.transaction() as tx:
        rows = accesses.find(tx, Filters(), before=0, limit=50, tenant=0)
    return [access.patients for _, access in rows if access.place == "/inbox/codes/mapping/preview"]


def previews_of(database):
    with database.transaction() as tx:
        return previews.newest(tx, 5, tenant=0)


def only(database):
    """Return the one preview there is."""
    (found,) = previews_of(database)
    return found


def test_all_who_have_the_code_are_tried_step_by_step_with_counts(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location

    begun = plain(client.get(told).text)
    assert f"0 of {MANY} patients were tried." in begun
    assert "It goes on when you leave this page" in begun
    assert "Save: it means" not in begun

    assert trying.run(many, 0, only(many).id, for_s=0, step_s=0)
    on_the_way = plain(client.get(told).text)
    assert f"1 of {MANY} patients were tried." in on_the_way
    assert "For one of them something would be different." in on_the_way
    refreshed = re.search(r'hx-get="([^"]*)"', client.get(told).text.split('id="preview"')[1])[1]
    part = client.get(html.unescape(refreshed)).text
    assert part.lstrip().startswith('<section class="card" id="preview"')
    assert f'<progress id="trying" max="100" value="{100 // MANY}">' in part

    assert seen_by_refreshing(many) == []

    try_all(many)
    ended = client.get(html.unescape(refreshed)).text
    assert f"{MANY} patients with this code were evaluated as if" in plain(ended)
    assert "hx-get" not in ended
    assert "Save: it means" in ended
    assert "newer entry" not in ended
    assert [len(patients) for patients in seen_by_refreshing(many)] == [MANY]
    assert only(many).moved == MANY


def test_the_page_of_the_codes_leads_back_to_what_is_tried(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location

    page = client.get("/inbox/codes").text

    row = page.split('id="trying"')[1].split("</section>")[0]
    assert f"0 of {MANY} patients were tried." in plain(row)
    (link,) = (html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]*)"', row))
    assert sorted(unquote(link).split("?")[1].split("&")) == sorted(unquote(told).split("?")[1].split("&"))


def test_it_can_be_ended_and_then_nothing_is_tried(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location
    running = only(many).id

    assert press(client, told, "mapping/preview/end").status_code == 303

    assert not trying.run(many, 0, running)
    page = plain(client.get(told).text)
    assert "What would follow is tried on every patient" in page
    assert "Save: it means" not in page


def test_whoever_asks_again_sees_what_was_tried_unless_it_is_to_be_tried_anew(client, act, findings, look):
    act(client, "vogt")
    told = look("TENDER", meaning=TENDER)
    # The clock was set: everything is received in one moment.
    send(findings, put(tender("p2")), who="p2")

    look("TENDER", meaning=TENDER)
    kept = only(findings)
    assert kept.total == 1
    assert "One patient has a newer entry with this code." in plain(client.get(told).text)

    press(client, told, 'name="again"')
    try_all(findings)
    assert (only(findings).total, only(findings).gone) == (2, 2)
    assert "since then" not in plain(client.get(told).text)


def test_a_proposal_keeps_what_was_tried_for_the_second_person_and_the_decision_ends_it(
    client, act, findings, save
):
    act(client, "vogt")
    save("TENDER", "save", meaning=URGENT)
    kept = only(findings)

    act(client, "arslan")
    assert "One patient with this code was evaluated" in plain(client.get(page_of("TENDER")).text)
    assert save("TENDER", "confirm").status_code == 303

    with findings.transaction() as tx:
        assert previews.find(tx, kept.id, tenant=0) is None
        assert tx.execute(text("SELECT count(*) FROM preview_effect")).scalar_one() == 0


def test_a_worker_that_was_at_it_when_somebody_decided_keeps_nothing(client, act, many):
    act(client, "vogt")
    press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER)
    running = only(many).id
    with many.transaction() as tx:
        claim = leased.claim(tx, "preview", running, tenant=0)
        previews.decided(tx, (LOCAL, "TENDER"), tenant=0)

    with pytest.raises(leased.LeaseLost), many.transaction() as tx:
        previews.reached(tx, claim, gone=1)


def test_nothing_is_tried_without_a_form_of_ours(client, findings):
    address = page_of("TENDER").replace("/mapping?", "/mapping/preview?")

    assert client.post(address, data={"meaning": TENDER}).status_code == 422
    assert previews_of(findings) == []


def test_nobody_is_seen_before_anybody_is_shown(client, act, many):
    act(client, "vogt")
    told = begin(client)
    assert trying.run(many, 0, only(many).id, for_s=0, step_s=0)
    part = part_of(client, told)

    for _ in range(3):
        assert "ROSSI" not in client.get(part).text
    assert seen_by_refreshing(many) == []

    try_all(many)
    assert "ROSSI" in client.get(part).text
    assert [len(patients) for patients in seen_by_refreshing(many)] == [MANY]


def test_whoever_watches_to_the_end_is_told_who_has_had_the_code_since(client, act, many):
    act(client, "vogt")
    told = begin(client)
    part = part_of(client, told)
    send(many, put(tender("late")), who="late")
    assert "newer entry" not in plain(client.get(part).text)

    try_all(many)

    assert "One patient has a newer entry with this code." in plain(client.get(part).text)


def test_what_was_under_way_when_it_was_asked_is_told_as_newer(client, act, findings, record):
    act(client, "vogt")
    with record.transaction() as tx:
        clock.unset(tx)
    with record.transaction() as tx:
        horizon.announce(tx)
        received = clock.now(tx)
        told = begin(client)
        entry = Write(
            type="Observation", id="late", body={**tender(WHO), "id": "late"}, patient=WHO, owned=False
        )
        resources.save(tx, [entry], tenant=0, now=received)
        try_all(record)

    assert (only(record).total, only(record).seen_at <= received) == (1, True)
    assert "One patient has a newer entry with this code." in plain(client.get(told).text)


def test_of_a_code_that_is_decided_on_meanwhile_nothing_is_tried(app, act, findings):
    first = app.test_client()
    act(first, "arslan")
    with ThreadPoolExecutor(1) as pool:
        with findings.transaction() as tx:
            mapping.hold(tx, (LOCAL, "TENDER"), tenant=0)
            asking = pool.submit(press, first, page_of("TENDER"), '<select id="meaning"', meaning=URGENT)
            wait_for_who_waits(findings)
            body = mapping.concept_map(
                (LOCAL, "TENDER"), (OWN, "greater-trochanter-tenderness"), "", "active", ""
            )
            decided = Write(type="ConceptMap", id=body["id"], body=body, owned=True)
            resources.save(tx, [decided], tenant=0, now=clock.now(tx))
            previews.decided(tx, (LOCAL, "TENDER"), tenant=0)
        answer = asking.result()

    assert answer.status_code == 422
    assert previews_of(findings) == []


def test_of_two_meanings_that_were_tried_the_one_that_is_proposed_stays(client, act, findings, look, save):
    act(client, "vogt")
    look("TENDER", meaning=TENDER)

    save("TENDER", "save", meaning=URGENT)

    assert "|".join(only(findings).question.target) == URGENT


def test_who_cannot_be_tried_is_named_and_the_others_are_tried(client, act, many, monkeypatch):
    act(client, "vogt")
    told = begin(client)
    snapshot_of = snapshot.read

    def read(tx, who, *rest, **more):
        if who == "many-3":
            tx.execute(text("SELECT 1 / 0"))
        return snapshot_of(tx, who, *rest, **more)

    monkeypatch.setattr(snapshot, "read", read)
    try_all(many)

    found = only(many)
    assert (found.outcome, found.gone, found.moved, found.failed) == ("finished", MANY, MANY - 1, 1)
    shown = plain(client.get(told).text)
    assert f"For {MANY - 1} of them something would be different. One of them could not" in shown
    assert shown.count("Could not be evaluated: DataError.") == 1
    assert "not known" not in shown


def test_what_the_database_cannot_do_now_is_tried_again(client, act, findings, monkeypatch):
    act(client, "vogt")
    begin(client)

    def read(*_, **__):
        raise PoolTimeout

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "read", read)
        assert not trying.run(findings, 0, only(findings).id)
    assert (only(findings).gone, only(findings).failed_reason) == (0, "TimeoutError")
    with findings.transaction() as tx:
        tx.execute(text("UPDATE preview SET retry_at = NULL"))

    try_all(findings)

    assert (only(findings).outcome, only(findings).moved) == ("finished", 1)


def test_a_trial_that_was_given_up_says_so_beside_the_decision(client, act, many):
    act(client, "vogt")
    told = begin(client)
    assert trying.run(many, 0, only(many).id, for_s=0, step_s=0)
    with many.transaction() as tx:
        claim = leased.claim(tx, "preview", only(many).id, tenant=0)
        assert leased.failed(tx, replace(claim, attempt=leased.MOST_ATTEMPTS), "ValueError")

    page = client.get(told).text

    (form,) = (f for f in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'value="save"' in f)
    assert f"{MANY - 1} patients who have this code were not tried" in plain(form)


def test_what_is_tried_within_a_moment_is_seen_at_once(client, act, findings, monkeypatch):
    act(client, "vogt")
    monkeypatch.setattr("service.web.routes.tried.PATIENCE_S", 30.0)

    def work():
        while not previews_of(findings):
            sleep(0.05)
        try_all(findings)

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        began = monotonic()
        told = begin(client)
        ended = only(findings).outcome
        worker.result()

    assert (ended, monotonic() - began < 15) == ("finished", True)
    assert "One patient with this code was evaluated" in plain(client.get(told).text)


def test_the_page_says_who_asked(client, act, findings, look):
    act(client, "vogt")
    told = look("TENDER", meaning=TENDER)

    act(client, "arslan")

    assert "As of Mon 22 Jun 2026, 09:15, asked by Dr Maren Vogt" in plain(client.get(told).text)
