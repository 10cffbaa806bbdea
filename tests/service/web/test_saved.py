"""Views under names of one's own: what they keep, whose they are, what they count (ui.md, section 3)."""

import html
import re

import pytest

from service.store import saved_views
from service.store.saved_views import LONGEST, MOST

FIND = re.compile(
    r'<a href="([^"]*)"( aria-current="page")?><span translate="no">(.*?)</span> '
    r'<span class="count" id="[^"]*">(\d+)'
)


@pytest.fixture
def clinician(client, record, story, act):
    """Somebody who acts, where four Tasks of two patients are open and one plan is quiet."""
    story("referral").save(record)
    other = story(patient="gmt-2", family="Okoye", side="left", stage=("imaging", "Imaging")).person()
    other.care_plan().task("review-6w", "Review at six weeks", due="2026-09-01T09:15:00Z")
    other.task("confirm", "Confirm a finding", due="2026-06-24T08:00:00Z", sided=False)
    other.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    other.save(record)
    quiet = story(patient="gmt-3", family="Tan", stage=("imaging", "Imaging")).person().care_plan()
    quiet.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    quiet.save(record)
    act(client, "vogt")
    return client


def listed(client, query=""):
    """Return (address, is it this one, name, count) of each saved view."""
    return [
        (html.unescape(address), bool(here), html.unescape(name), int(count))
        for address, here, name, count in FIND.findall(client.get(f"/{query}").text)
    ]


@pytest.fixture
def save(clinician, form):
    def save(name, query="?view=all"):
        fields = form(clinician.get(f"/{query}").text, "views")
        return clinician.post(fields.action, data={**fields.values, "name": name})

    return save


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?view=all", 4),
        ("?view=all&need=sign", 1),
        ("?view=all&need=overdue", 1),
        ("?view=all&stage=imaging", 1),
        ("?view=all&side=person", 1),
        ("?view=nobody&side=hip-right", 2),
        ("?view=plans", 3),
        ("?view=plans&stage=imaging", 2),
        ("?view=plans&stage=imaging&side=hip-left", 1),
        ("?view=plans&side=person", 0),
    ],
)
def test_a_view_keeps_the_filters_and_counts_the_rows_it_shows(clinician, save, query, count):
    answer = save("My own", query)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/{query}"
    assert listed(clinician, query) == [(f"/{query}", True, "My own", count)]
    page = clinician.get(f"/{query}").text
    assert page.count('<td class="act">') == count


def test_a_page_of_a_view_is_not_kept(clinician, save):
    save("Page", "?view=all&page=1")

    assert listed(clinician)[0][0] == "/?view=all"


def test_a_name_is_said_as_it_was_written(clinician, save):
    save("  Meine <b>Liste</b>  & „mehr“ ")

    assert [name for _, _, name, _ in listed(clinician)] == ["Meine <b>Liste</b> & „mehr“"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="none"),
        pytest.param("   ", id="blanks"),
        pytest.param("x" * (LONGEST + 1), id="too long"),
        pytest.param("a\0b", id="not printable"),
    ],
)
def test_what_is_no_name_is_refused_and_nothing_is_saved(clinician, save, name):
    answer = save(name)

    assert answer.status_code == 422
    assert "1 to 60 characters" in answer.text
    assert listed(clinician) == []


def test_the_longest_name_is_one(clinician, save):
    assert save("x" * LONGEST).status_code == 303


def test_a_form_sent_twice_saves_once(clinician, save):
    assert save("Mine").status_code == 303
    assert save("Mine", "?view=plans").status_code == 409
    assert [address for address, *_ in listed(clinician)] == ["/?view=all"]


def test_nobody_has_more_than_can_be_read(clinician, save, record):
    with record.transaction() as tx:
        for n in range(MOST):
            saved_views.add(tx, "Practitioner/vogt", f"v{n}", "view=all", tenant=0)

    answer = save("one more")

    assert answer.status_code == 409
    assert "as many views as there may be" in answer.text


def test_a_view_is_renamed_and_deleted(clinician, save, form):
    save("Old")
    page = clinician.get("/?view=nobody").text
    rename, delete = form(page, "rename"), form(page, "delete")

    renamed = clinician.post(rename.action, data={**rename.values, "name": "New"})
    assert renamed.headers["Location"] == "/?view=nobody"
    assert [name for _, _, name, _ in listed(clinician)] == ["New"]

    assert clinician.post(delete.action, data=delete.values).status_code == 303
    assert listed(clinician) == []
    assert clinician.post(delete.action, data=delete.values).status_code == 404
    assert clinician.post(rename.action, data={**rename.values, "name": "New"}).status_code == 404


def test_a_view_is_not_renamed_to_a_name_that_is_taken(clinician, save, form):
    save("One")
    save("Two")
    rename = form(clinician.get("/?view=all").text, "rename")

    answer = clinician.post(rename.action, data={**rename.values, "name": "Two"})

    assert answer.status_code == 409
    assert [name for _, _, name, _ in listed(clinician)] == ["One", "Two"]


def test_views_belong_to_the_person_who_acts(clinician, save, form, act):
    save("Private")
    page = clinician.get("/?view=all").text
    rename, delete = form(page, "rename"), form(page, "delete")
    act(clinician, "arslan")
    assert "Private" not in clinician.get("/?view=all").text
    token = form(clinician.get("/?view=all").text, "views").values["token"]

    for found in (rename, delete):
        forged = clinician.post(found.action, data={**found.values, "token": token, "name": "Stolen"})
        assert forged.status_code == 404
    act(clinician, "vogt")
    assert [name for _, _, name, _ in listed(clinician)] == ["Private"]


def test_nobody_acting_has_no_views_and_saves_none(clinician, save, form, act):
    save("Mine")
    fields = form(clinician.get("/?view=all").text, "views")
    act(clinician, None)

    assert "Mine</span>" not in clinician.get("/?view=all").text
    assert clinician.post(fields.action, data={**fields.values, "name": "x"}).status_code == 422


@pytest.mark.parametrize("key", ["0", "99999999999999999999999"])
def test_a_view_that_cannot_be_is_not_found(clinician, form, key):
    token = form(clinician.get("/?view=all").text, "views").values["token"]

    assert clinician.post(f"/views/{key}/delete", data={"token": token}).status_code == 404
