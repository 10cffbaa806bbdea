"""Every access to a patient's data is written down, and the page shows it (ui.md, 9)."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import page_states
import pytest
from sqlalchemy import text

from service import clock
from service.store import accesses, decisions, oversight, parameters, resources, seals
from service.store.accesses import Filters

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def states(record, story):
    return page_states.plans(record, story)


@pytest.fixture
def newest(record):
    """Return the newest access, or None."""

    def newest(**filters):
        with record.transaction() as tx:
            found = accesses.find(tx, Filters(**filters), before=0, limit=1, tenant=0)
        return found[0][1] if found else None

    return newest


@pytest.fixture
def count(record):
    def count():
        with record.transaction() as tx:
            return tx.execute(text("SELECT count(*) FROM access")).scalar_one()

    return count


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def test_every_page_that_shows_a_patient_leaves_a_row_with_that_patient(
    client, record, states, newest, count, act
):
    act(client, "vogt")
    with record.transaction() as tx:
        rows = tx.execute(
            text(
                "SELECT id, body::json #>> '{name,0,family}' FROM resource WHERE type = 'Patient' "
                # A joined record has the name of the one that stays, and is not what a page shows.
                "AND body::json ->> 'active' IS DISTINCT FROM 'false'"
            )
        )
        families = {id: family.upper() for id, family in rows if family}
    shown = 0
    for path in page_states.pages(record, states):
        before = count()
        page = client.get(path).text
        named = {id for id, family in families.items() if family in page}
        if named:
            shown += 1
            assert count() == before + 1, path
            access = newest()
            assert named <= set(access.patients), path
            assert (access.who, access.action, access.status) == ("Practitioner/vogt", "R", 200)
            assert not named & set(re.findall(r"[\w-]+", access.place)), "a template, not an address"
    assert shown >= 8


@pytest.mark.parametrize(
    "path",
    [
        "CarePlan?patient=gmt-2",
        "Patient/gmt-2",
        "Patient/gmt-2/_history",
        "Patient/_history",
        "_history?_count=200",
        "Patient/gmt-2/_history/1",
        "Task/_search",
    ],
)
def test_reading_by_fhir_leaves_a_row(client, states, newest, count, path):
    before = count()

    answer = (
        client.post(f"/fhir/{path}", data={"patient": "gmt-2"})
        if "_search" in path
        else client.get(f"/fhir/{path}")
    )

    assert answer.status_code == 200
    assert count() == before + 1
    assert "gmt-2" in newest().patients
    assert (newest().who, newest().action) == ("hospital", "R")


def test_the_reads_of_a_batch_leave_a_row(client, states, newest):
    plan = states["imaging"].partition("/careplans/")[2]
    client.get(f"/fhir/CarePlan/{plan}")
    assert newest().place == "/fhir/<type_>/<id_>"
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient/gmt-3"}}],
    }

    assert client.post("/fhir", json=batch, content_type="application/fhir+json").status_code == 200
    assert newest().patients == ("gmt-3",)


@pytest.mark.parametrize(
    "path", ["/fhir/metadata", "/keys", "/fhir/Patient/unknown", "/careplans/unknown", "/sandbox"]
)
def test_what_shows_nobody_leaves_none(client, states, count, path):
    before = count()

    client.get(path)

    assert count() == before


def test_a_decision_is_told_from_a_look(client, act, states, newest, form):
    act(client, "vogt")
    page = client.get(states["referral"]).text
    fields = form(page, "decisions")
    client.post(fields.action, data=fields.values)

    access = newest(action="E")
    assert access.who == "Practitioner/vogt"
    assert access.reference == states["referral"].replace("/careplans/", "CarePlan/")


def test_the_page_filters_by_patient_who_and_what_and_goes_back_page_by_page(client, act, record, states):
    act(client, "vogt")
    for _ in range(60):
        client.get(states["imaging"])
    client.get(states["away"])

    page = client.get("/audit").text
    older = html.unescape(re.search(r'href="(/audit\?[^"]*before=\d+)"', page)[1])
    assert page.count('<td class="who">') == 50
    assert "OKOYE" in client.get(older).text
    of_one = client.get("/audit?patient=gmt-3").text
    rows = re.findall(r'<td class="who">.*?</td>', of_one, re.DOTALL)
    assert rows
    assert all("KOWALSKA" in row.split("</a>")[0] for row in rows), "whoever is asked for is named first"
    assert len(rows) < page.count('<td class="who">')
    assert "Nothing was looked at" in client.get("/audit?who=hospital").text
    assert "Nothing was looked at" in client.get("/audit?action=E").text
    assert "Maren Vogt" in plain(page)


def test_the_page_says_whether_the_chain_is_whole(client, record, states):
    client.get(states["imaging"])
    assert "Nothing has been sealed yet" in client.get("/audit").text
    record.run(lambda tx: seals.seal(tx, tenant=0))
    assert "Unbroken" in client.get("/audit").text

    with record.transaction() as tx:
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE access SET who = 'nobody' WHERE key = (SELECT min(key) FROM access)"))

    assert "An entry of link 1 was changed: access/" in plain(client.get("/audit").text)


def test_where_nothing_can_be_written_down_nothing_is_shown(client, record, states):
    with record.transaction() as tx:
        tx.execute(text("ALTER TABLE access RENAME TO elsewhere"))
    try:
        answer = client.get(states["imaging"])
        fhir = client.get("/fhir/Patient/gmt-2")
    finally:
        with record.transaction() as tx:
            tx.execute(text("ALTER TABLE elsewhere RENAME TO access"))

    assert answer.status_code >= 500
    assert fhir.status_code >= 500
    assert "OKOYE" not in answer.text + fhir.text
    assert "Okoye" not in answer.text + fhir.text


def test_a_day_is_a_day_of_the_site(client, record, owner, states):
    client.get(states["imaging"])
    with record.transaction() as tx:
        parameters.set_(tx, {"site.timeZone": "Europe/Berlin"}, "test", NOW)
    with owner.transaction() as tx:
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE access SET at = '2026-06-21T22:30:00Z'"))

    shown = {day: client.get(f"/audit?day={day}&patient=gmt-2").text for day in ("2026-06-21", "2026-06-22")}

    assert "Nothing was looked at" in shown["2026-06-21"]
    assert "OKOYE" in shown["2026-06-22"]
    assert 'value="2026-06-22"' in shown["2026-06-22"]
    with record.transaction() as tx:
        parameters.set_(tx, {}, "test", NOW)


@pytest.mark.parametrize("day", ["x", "2026-13-01", "0001-01-01", "9999-12-31", "%00"])
def test_a_day_that_is_none_is_no_filter(client, states, day):
    client.get(states["imaging"])

    page = client.get(f"/audit?day={day}")

    assert page.status_code == 200
    assert "OKOYE" in page.text


def test_who_looked_at_somebody_is_a_click_from_the_person(client, act, states, form):
    act(client, "vogt")
    client.get(states["imaging"])
    page = client.get("/patients").text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))

    found = client.post("/patients", data={**fields, "family": "Okoye", "given": "Samuel"}).text

    # Among what was found, and among those who were opened last.
    (link,) = set(re.findall(r'href="(/audit\?patient=[^"]+)"', found))
    assert "OKOYE" in client.get(link).text


def signed_row(client):
    """Return orders, median, longest and those signed unread, of the one kind of order there is."""
    card = plain(client.get("/audit").text.split('id="oversight"')[1].split("</section>")[0])
    (found,) = re.findall(r"Surgical referral (\d+) (\d+ days) (\d+ days) (\d+)", card)
    return found


@pytest.fixture
def signatures(record, story):
    """Two referrals: one is signed after two days, one after ten."""

    def signed(patient, when):
        told = story(patient=patient, family="Okoye").person().care_plan()
        proposal = told.proposal("Surgical referral", "SURG", status="completed", made="2026-06-01")
        told.signed(proposal, "Surgical referral", "SURG", when=when)
        return told.save(record)

    return signed("gmt-11", "2026-06-03"), signed("gmt-12", "2026-06-11")


def test_how_long_proposals_waited_and_who_signed_without_opening_the_basis_is_counted(
    client, act, signatures
):
    read, _ = signatures
    assert signed_row(client) == ("2", "6 days", "10 days", "2")

    act(client, "arslan")
    client.get(f"/careplans/{read.plan}")
    assert signed_row(client)[-1] == "2", "somebody else has opened it"

    act(client, "vogt")
    client.get(f"/careplans/{read.plan}")
    assert signed_row(client)[-1] == "1"


def test_an_access_after_the_signature_does_not_count(client, act, record, signatures):
    read, _ = signatures
    act(client, "vogt")
    client.get(f"/careplans/{read.plan}")
    with record.transaction() as tx:
        clock.unset(tx)

    with record.transaction() as tx:
        (found,) = oversight.signed(tx, NOW - timedelta(days=90), tenant=0)
    assert (found.orders, found.unread) == (2, 2)


def test_what_was_signed_longer_ago_is_not_counted(record, signatures):
    with record.transaction() as tx:
        (found,) = oversight.signed(tx, datetime(2026, 6, 5, tzinfo=UTC), tenant=0)
        assert (found.orders, found.longest_s) == (1, 10 * 86400)
        assert oversight.signed(tx, NOW, tenant=0) == []


def test_decisions_are_counted_by_reason_without_those_that_were_not_applied(
    client, record, story, act, form
):
    plan = story("referral").save(record)
    act(client, "vogt")
    fields = form(client.get(f"/careplans/{plan.plan}").text, "decline")
    client.post(fields.action, data={**fields.values, "reason": "wrong-value", "text": "measured again"})

    def counted():
        with record.transaction() as tx:
            found = oversight.reasons(tx, NOW - timedelta(days=1), tenant=0)
        return [(one.reason, one.decisions) for one in found]

    assert counted() == [("A value used is wrong", 1)]
    assert "A value used is wrong 1" in plain(client.get("/audit").text)
    with record.transaction() as tx:
        (task,) = resources.of_patient(tx, plan.patient, types=["Task"], owned=False, tenant=0)
        last = decisions.latest(tx, plan.patient, tenant=0)["gluteus-medius-tear", "right"]
        rejected = {"event": "decision-rejected", "decision": {"reference": f"{task.reference}/_history/1"}}
        row = replace(last, number=last.number + 1, basis=rejected, run=uuid4())
        decisions.append(tx, [row], read=(), tenant=0)
    assert counted() == []
