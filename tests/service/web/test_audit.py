"""Every access to a patient's data is written down, and the page shows it (ui.md, 9)."""

import html
import re

import page_states
import pytest
from sqlalchemy import text

from service.store import accesses, seals
from service.store.accesses import Filters

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
            text("SELECT id, body::json #>> '{name,0,family}' FROM resource WHERE type = 'Patient'")
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
