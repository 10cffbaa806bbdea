"""Whom one opened last: from the record of accesses, one's own, the newest first (ui.md, section 5)."""

import re

import pytest

from service.store import accesses
from service.web.routes.patients import LAST, OPENED_AT


@pytest.fixture
def plans(record, story):
    """Twelve patients with a plan each."""
    found = []
    for number in range(12):
        told = story(patient=f"gmt-{number}", family=f"Tan{number:02}").person().care_plan()
        told.step("open-hip", "Opened", None, "surgical-referral", "2026-06-21")
        found.append(told.save(record).plan)
    return found


@pytest.fixture
def clinician(client, plans, act):
    act(client, "vogt")
    return client


def last(client):
    return re.findall(r'<tr id="last-gmt-(\d+)">', client.get("/patients").text)


def test_nothing_opened_is_said(clinician):
    assert "You have not opened a plan yet." in clinician.get("/patients").text


def test_nobody_acting_is_asked_to_choose(client, plans):
    client.get(f"/careplans/{plans[0]}")

    page = client.get("/patients").text
    assert "Choose who acts to see whom you opened last." in page
    assert last(client) == []


def test_the_ten_opened_last_are_listed_the_newest_first_and_each_once(clinician, plans):
    for number in (*range(12), 3, 3, 5):
        assert clinician.get(f"/careplans/{plans[number]}").status_code == 200

    assert last(clinician) == ["5", "3", "11", "10", "9", "8", "7", "6", "4", "2"]
    row = clinician.get("/patients").text.split('id="last-gmt-5"')[1].split("</tr>")[0]
    assert "TAN05, Petra" in row
    assert "4 Apr 1970" in row
    assert "GMT-5" in row
    assert f'href="/careplans/{plans[5]}"' in row
    assert "Surgical referral" in row
    assert LAST == 10


def test_who_is_only_listed_or_searched_for_was_not_opened(clinician, plans):
    clinician.get("/?view=plans")
    clinician.post("/patients", data={"family": "Tan0", "given": "P"})
    clinician.get("/fhir/Patient/gmt-1")

    assert last(clinician) == []


def test_what_was_not_found_was_not_opened(clinician, plans):
    clinician.get("/careplans/unknown")

    assert last(clinician) == []


def test_what_a_colleague_opens_is_the_colleagues(clinician, plans, act):
    clinician.get(f"/careplans/{plans[1]}")
    act(clinician, "arslan")
    clinician.get(f"/careplans/{plans[2]}")

    assert last(clinician) == ["2"]
    act(clinician, "vogt")
    assert last(clinician) == ["1"]


def test_the_list_stands_below_what_was_found_too(clinician, plans):
    clinician.get(f"/careplans/{plans[1]}")

    page = clinician.post("/patients", data={"family": "Tan02", "given": "P"}).text
    assert page.index('id="patient-gmt-2"') < page.index('id="last-gmt-1"')


def test_showing_the_list_is_an_access_and_opens_nobody(clinician, plans, record):
    clinician.get(f"/careplans/{plans[1]}")
    clinician.get("/patients")

    with record.transaction() as tx:
        found = accesses.find(tx, accesses.Filters(patient="gmt-1"), before=0, limit=9, tenant=0)
    assert [access.place for _, access in found] == ["/patients", OPENED_AT]
