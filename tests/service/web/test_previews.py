"""What a meaning would do is tried on all patients who have the code, and kept for whoever decides."""

import html
import re
from urllib.parse import unquote

import pytest
from fhir_visits import LOCAL, concept, observation, put
from meanings import LEFT, TENDER, URGENT, page_of, plain, press, send, try_all
from sqlalchemy import text

from service.store import leased, previews
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


def only(database):
    """Return the one preview there is."""
    with database.transaction() as tx:
        (found,) = previews.newest(tx, 2, tenant=0)
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

    try_all(many)
    ended = client.get(html.unescape(refreshed)).text
    assert f"{MANY} patients with this code were evaluated as if" in plain(ended)
    assert "hx-get" not in ended
    assert "Save: it means" in ended
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
    new = observation("again", "Patient/p2", code=concept("TENDER"), bodySite=LEFT, valueBoolean=True)
    with findings.transaction() as tx:
        tx.execute(text("UPDATE preview SET seen_at = seen_at - interval '1 day'"))
    send(findings, put(new), who="p2")

    look("TENDER", meaning=TENDER)
    kept = only(findings)
    assert kept.total == 1
    assert "patients have had the code since then." in plain(client.get(told).text)

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
    with findings.transaction() as tx:
        assert previews.newest(tx, 1, tenant=0) == []
