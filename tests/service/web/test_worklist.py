"""The worklist: every open Task once, most urgent first, with true counts (ui.md, section 3)."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import clock
from service.store import promises
from service.store.database import Database


@pytest.fixture
def several(record: Database, story: Any) -> Database:
    """Work in every band, for two patients and one person without a side."""
    first = story("referral").save(record)
    first.task("review-6w", "Review at six weeks", due="2026-09-01T09:15:00Z", role=("coordinator", "C"))
    first.save(record)
    second = story(patient="gmt-1066", family="Okoye", given="Samuel", stage=("imaging", "Imaging"))
    second.person().care_plan()
    second.task("basis", "The basis was withdrawn", due="2026-06-23T08:00:00Z", priority="urgent")
    second.task("confirm", "Confirm a finding", due="2026-06-24T08:00:00Z", sided=False)
    second.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    second.save(record)
    return record


def rows(html: str) -> list[str]:
    return re.findall(r'<span class="need">(.*?)</span>', html)


def counts(html: str) -> list[int]:
    views = html.split('class="views"')[1].split("</nav>")[0]
    return [int(n) for n in re.findall(r'class="count">(\d+)', views)]


def test_an_empty_record_says_so(client: FlaskClient, record: Database):
    page = client.get("/")

    assert page.status_code == 200
    assert "No patients are known yet." in page.text


def test_every_open_task_stands_once_most_urgent_first(client: FlaskClient, several: Database):
    html = client.get("/").text

    assert rows(html) == [
        "The basis was withdrawn",
        "Modify the programme",
        "Confirm a finding",
        "Sign the surgical referral",
        "Review at six weeks",
    ]


def test_the_bands_are_named_and_counted(client: FlaskClient, several: Database):
    html = client.get("/").text

    bands = re.findall(r'scope="rowgroup">(.*?)</th>', html, re.DOTALL)
    words = [re.sub(r"<.*?>|\s+", " ", band).split("·") for band in bands]
    assert [(name.strip(), int(n)) for name, n in words] == [
        ("Act now", 1),
        ("Overdue", 1),
        ("Due in the next 7 days", 2),
        ("Later", 1),
    ]


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        pytest.param(None, [0, 0, 5, 5, 2], id="nobody chosen"),
        pytest.param("vogt", [0, 3, 5, 5, 2], id="responsible clinician"),
        pytest.param("arslan", [0, 1, 5, 5, 2], id="coordinator"),
    ],
)
def test_the_counts_of_the_views_are_true(
    client: FlaskClient, several: Database, act: Any, person: str | None, expected: list[int]
):
    act(client, person)

    html = client.get("/?view=all").text

    assert counts(html) == expected
    assert [len(rows(client.get(f"/?view={v}").text)) for v in ("mine", "team", "nobody", "all")] == expected[
        :4
    ]


def test_only_those_who_may_sign_are_offered_to_review_and_sign(
    client: FlaskClient, several: Database, act: Any
):
    assert "Review and sign" not in client.get("/?view=all").text
    act(client, "lindqvist")
    assert "Review and sign" not in client.get("/?view=all").text
    act(client, "vogt")
    assert client.get("/?view=all").text.count("Review and sign") == 1


def test_a_filter_says_how_much_it_hides(client: FlaskClient, several: Database):
    html = client.get("/?view=all&need=sign&stage=surgical-referral&side=hip-right").text

    assert rows(html) == ["Sign the surgical referral"]
    assert "4 rows hidden by filters" in html


def test_taking_a_task_makes_it_mine_and_nobody_else_can_take_it_as_it_was(
    client: FlaskClient, several: Database, act: Any, form: Any
):
    act(client, "vogt")
    fields = form(client.get("/?view=nobody").text, "take")

    first = client.post(fields.action, data=fields.values)
    again = client.post(fields.action, data=fields.values)

    assert first.status_code == 303
    assert again.status_code == 409
    assert counts(client.get("/?view=all").text)[:3] == [1, 3, 4]


def test_an_open_plan_without_work_is_listed_as_waiting(client: FlaskClient, record: Database, story: Any):
    quiet = story(patient="gmt-2", family="Tan", given="Wei").person().care_plan()
    quiet.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    quiet.save(record)

    assert "1 more open plan is waiting" in client.get("/").text
    assert "Waits for data, needs nobody today" in client.get("/?view=plans").text


def test_who_is_not_evaluated_is_listed_with_the_reason_and_since_when(client, several):
    """SP-05: a poison input is visible, with the patient it is about."""
    with several.transaction() as tx:
        promises.want(tx, "gmt-1066", tenant=0, due_at=clock.now(tx))
        claim = promises.claim(tx, tenant=0, patient="gmt-1066")
        promises.fail(tx, claim, "EvaluationFailed: Pain Persists: a division by zero", max_attempts=1)

    page = client.get("/").text

    (row,) = re.findall(r'<tr id="parked-gmt-1066">.*?</tr>', page, re.DOTALL)
    assert "OKOYE" in row
    assert "EvaluationFailed: Pain Persists" in row
    assert "unread Bundles: 1" in row
    assert "1 patient is not evaluated." in page


def test_while_everybody_is_evaluated_nothing_is_listed(client, several):
    assert "parked-" not in client.get("/").text
