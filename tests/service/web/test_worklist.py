"""The worklist: every open Task once, most urgent first, with true counts (ui.md, section 3)."""

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from statements import executed

from service import clock
from service.store import promises, resources
from service.store.database import Database
from service.store.resources import Write
from service.web import worklist
from service.web.worklist import ROWS


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
    return [int(n) for n in re.findall(r'class="count"[^>]*>(\d+)', views)]


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


def test_a_task_is_handed_to_a_colleague_and_back_to_its_role_and_every_owner_stays_in_its_history(
    client: FlaskClient, several: Database, act: Any, form: Any
):
    act(client, "vogt")
    take = form(client.get("/?view=nobody").text, "take")
    task = take.action.split("/")[2]
    fields = {**take.values, "to": "arslan", "back": "/?view=team"}

    def owner() -> list[str | None]:
        with several.transaction() as tx:
            versions = resources.history(tx, "Task", task, tenant=0)
        return [v.resource.get("owner", {}).get("reference") for v in versions]

    answer = client.post(f"/tasks/{task}/hand-over", data=fields)
    again = client.post(f"/tasks/{task}/hand-over", data={**fields, "to": "lindqvist"})
    assert (answer.status_code, answer.headers["Location"], again.status_code) == (303, "/?view=team", 409)
    assert owner() == ["Practitioner/arslan", None]

    back = client.post(f"/tasks/{task}/hand-over", data={**fields, "to": "nobody", "version": "2"})
    assert back.status_code == 303
    assert owner() == [None, "Practitioner/arslan", None]


def test_a_task_is_handed_to_nobody_who_is_not_known_and_never_when_it_is_closed(
    client: FlaskClient, several: Database, act: Any, form: Any
):
    act(client, "vogt")
    take = form(client.get("/?view=nobody").text, "take")
    url = take.action.replace("/take", "/hand-over")

    assert client.post(url, data={**take.values, "to": "stranger"}).status_code == 422
    assert client.post(url, data={**take.values, "to": ""}).status_code == 422
    assert client.post(url, data={"to": "arslan"}).status_code == 422
    assert client.post("/tasks/unknown/hand-over", data={**take.values, "to": "arslan"}).status_code == 404
    with several.transaction() as tx:
        stored = resources.current(tx, "Task", take.action.split("/")[2], tenant=0)
        assert stored is not None
        closed = {**stored.resource, "status": "completed"}
        write = Write(type="Task", id=stored.id, body=closed, patient=stored.patient, owned=True)
        resources.save(tx, [write], tenant=0, now=clock.now(tx))
    assert client.post(url, data={**take.values, "to": "arslan"}).status_code == 409


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


@pytest.fixture
def many(record, story):
    """Three plans with work, of which one is closed, and quiet ones for more than a page, of both sides."""
    for number in range(3):
        busy = story(patient=f"busy-{number}", status="active" if number else "completed")
        busy.person().care_plan()
        busy.task(f"t-{number}", f"Do {number}", due=f"2026-06-2{number + 3}T08:00:00Z")
        busy.save(record)
    for number in range(ROWS + 5):
        left = number % 2 == 0
        stage = ("imaging", "Imaging") if left else ("surgical-referral", "Surgical referral")
        side = "left" if left else "right"
        quiet = story(patient=f"quiet-{number:03}", side=side, stage=stage).person().care_plan()
        quiet.step("open-hip", "Opened", None, stage[0], "2026-06-21")
        quiet.save(record)
    return record


def plans(html):
    return re.findall(r'<td class="who"><a href="/careplans/([\w-]+)"', html)


def test_open_plans_are_listed_those_with_work_first_and_each_once(client, many):
    pages = [client.get(f"/?view=plans&page={page}").text for page in (1, 2)]

    listed = [plans(page) for page in pages]
    assert [len(page) for page in listed] == [ROWS, 7]
    assert len({plan for page in listed for plan in page}) == ROWS + 7
    assert re.findall(r'class="need">(Do \d)', pages[0]) == ["Do 1", "Do 2"]
    assert counts(pages[0]) == counts(pages[1])
    assert counts(pages[0])[-1] == ROWS + 7
    assert "Surgical referral, day 0" in pages[1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("stage=imaging", 28, id="a stage"),
        pytest.param("stage=surgical-referral", 29, id="a stage of which some have work"),
        pytest.param("side=hip-left", 28, id="a side"),
        pytest.param("side=hip-left&stage=surgical-referral", 0, id="a side and a stage that none has"),
        pytest.param("side=person", 0, id="none of these is about the whole person"),
        pytest.param("stage=%27x", 0, id="a stage that does not exist"),
        pytest.param("stage=%00&side=%00", 0, id="what no text of a database can be"),
    ],
)
def test_open_plans_are_filtered_and_what_is_hidden_is_counted(client, many, query, expected):
    page = client.get(f"/?view=plans&{query}").text

    assert len(plans(page)) == expected
    assert f"{ROWS + 7 - expected} rows hidden by filters" in page


@pytest.mark.parametrize(
    ("page", "pages", "expected"),
    [
        (1, 1, (1,)),
        (1, 3, (1, 2, 3)),
        (1, 2000, (1, 2, 3, 0, 2000)),
        (7, 2000, (1, 0, 5, 6, 7, 8, 9, 0, 2000)),
        (2000, 2000, (1, 0, 1998, 1999, 2000)),
    ],
)
def test_of_many_pages_the_first_the_last_and_those_around_are_offered(page, pages, expected):
    assert worklist.pager(page, pages) == expected


def test_how_many_open_plans_wait_is_true(client, many):
    assert f"{ROWS + 5} more open plans are waiting" in client.get("/").text


def test_a_plan_without_a_side_is_found_as_being_about_the_person(client, record, story):
    whole = story().person()
    whole.care_plan()
    body = whole.writes[-1].body
    body["extension"] = [e for e in body["extension"] if not e["url"].endswith("pathway-side")]
    whole.step("open-hip", "Opened", None, "surgical-referral", "2026-06-21")
    whole.save(record)

    assert plans(client.get("/?view=plans&side=person").text) == [whole.plan]
    assert plans(client.get("/?view=plans&side=hip-right").text) == []


@pytest.mark.parametrize(
    "path",
    [
        "/?view=all",
        "/?view=plans",
        "/?view=all&stage=imaging",
        "/?view=plans&stage=imaging&side=hip-left",
        "/worklist.csv?view=plans",
    ],
)
def test_however_many_rows_there_are_the_queries_are_as_many(client, several, path):
    def asked():
        with executed() as statements:
            assert client.get(path).status_code == 200
        return len(statements)

    few = asked()
    with several.transaction() as tx:
        query = "SELECT patient, id, body FROM resource WHERE type = 'Task' AND owned"
        writes = [
            Write(
                type="Task",
                id=f"{row.id}-{number}",
                body={**json.loads(row.body), "id": f"{row.id}-{number}"},
                patient=row.patient,
                owned=True,
            )
            for row in tx.exec_driver_sql(query).all()
            for number in range(20)
        ]
        resources.save(tx, writes, tenant=0, now=clock.now(tx))

    assert asked() == few
    assert few < 25
