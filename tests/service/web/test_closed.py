"""What was closed today: by whom, when, and with a true count (ui.md, section 3)."""

import random
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from statements import executed

from service.store import parameters, resources
from service.store.driver import raw
from service.store.resources import Write
from service.web import closed
from worker import advance

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)


@pytest.fixture
def open_task(record, story):
    """A plan and the id of its one open Task."""
    told = story().person().care_plan()
    task = told.task("review-6w", "Review at six weeks", due="2026-06-23T08:00:00Z")
    told.step("open-hip", "Opened", None, "surgical-referral", "2026-06-01")
    return told.save(record, now=NOW - timedelta(days=2)), task


def told(client):
    """Return (what, when and how, by whom) of each row."""
    html = client.get("/closed").text
    body = html.split("<tbody>")[1].split("</tbody>")[0] if "<tbody>" in html else ""
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [
        tuple(re.sub(r"<[^>]*>", " ", cell).split())
        for row in rows
        for cell in re.findall(r"<td.*?</td>", row)
    ]


def linked(client):
    return re.search(r"(\d+) tasks? (?:was|were) closed today", client.get("/?view=all").text)[1]


def test_nothing_closed_is_said_and_counted(client, open_task):
    assert "Nothing was closed today." in client.get("/closed").text
    assert linked(client) == "0"


def test_a_decision_names_who_made_it_and_what_it_was(client, record, open_task):
    plan, task = open_task
    plan.close(record, task, by="vogt")

    cells = told(client)
    assert ("Review", "at", "six", "weeks") in cells
    assert ("09:15", "completed") in cells
    assert ("Dr", "Maren", "Vogt", "Sign", "a", "proposal") in cells
    assert linked(client) == "1"
    assert f'href="/careplans/{plan.plan}"' in client.get("/closed").text
    assert "Review at six weeks" not in client.get("/?view=all").text


def test_somebody_the_hospital_names_only_in_words_is_named_so(client, record, open_task):
    plan, task = open_task
    plan.close(record, task, by="away", owner={"display": "Dr Ada Quist"})

    assert ("Dr", "Ada", "Quist", "Sign", "a", "proposal") in told(client)


def test_what_the_pathway_closed_names_the_rule(client, record, open_task):
    plan, task = open_task
    plan.close(record, task, status="cancelled")

    cells = told(client)
    assert ("09:15", "cancelled") in cells
    assert ("The", "pathway", "Results", "came", "back") in cells


def test_a_hospital_that_closes_a_task_is_named_as_it_sent(client, record, open_task):
    plan, task = open_task
    with record.transaction() as tx:
        stored = resources.current(tx, "Task", task, tenant=0)
        body = {**stored.resource, "status": "completed"}
        write = Write(type="Task", id=task, body=body, patient=plan.patient, owned=True)
        resources.save(tx, [write], tenant=0, now=NOW, sender="ward system")

    assert ("ward", "system") in told(client)


def test_the_engine_stores_under_the_name_that_is_looked_for():
    assert closed.ENGINE == advance.SENDER


def test_what_was_closed_yesterday_is_not_brought_back_by_a_later_version(client, record, open_task):
    plan, task = open_task
    plan.close(record, task, by="vogt", now=NOW - timedelta(days=1))
    with record.transaction() as tx:
        stored = resources.current(tx, "Task", task, tenant=0)
        body = {**stored.resource, "businessStatus": {"text": "filed"}}
        resources.save(
            tx, [Write(type="Task", id=task, body=body, patient=plan.patient, owned=True)], tenant=0, now=NOW
        )

    assert told(client) == []
    assert linked(client) == "0"


def test_what_was_opened_again_and_closed_today_is_there_once(client, record, open_task):
    plan, task = open_task
    for status, days in (("completed", 1), ("requested", 1), ("completed", 0)):
        plan.close(record, task, status=status, now=NOW - timedelta(days=days))

    assert linked(client) == "1"


@pytest.mark.parametrize(
    ("zone", "closed_at", "expected"),
    [
        pytest.param("UTC", datetime(2026, 6, 21, 23, 30, tzinfo=UTC), "0", id="yesterday in Greenwich"),
        pytest.param("Europe/Berlin", datetime(2026, 6, 21, 23, 30, tzinfo=UTC), "1", id="today in Berlin"),
    ],
)
def test_today_begins_at_midnight_of_the_site(client, record, open_task, zone, closed_at, expected):
    plan, task = open_task
    with record.transaction() as tx:
        parameters.set_(tx, {"site.timeZone": zone}, "test", NOW)
    try:
        plan.close(record, task, now=closed_at)
        assert linked(client) == expected
    finally:
        with record.transaction() as tx:
            parameters.set_(tx, {}, "test", NOW)


def test_of_many_the_pages_are_offered_and_the_queries_are_as_many(client, record, story):
    told = story().person().care_plan()
    first, *others = [told.task(f"t-{n}", f"Do {n}", due="2026-06-23T08:00:00Z") for n in range(53)]
    bodies = {write.id: write.body for write in told.writes}
    told.step("open-hip", "Opened", None, "surgical-referral", "2026-06-01")
    told.save(record, now=NOW - timedelta(days=2))

    def asked():
        with executed() as statements:
            assert client.get("/closed").status_code == 200
        return len(statements)

    told.close(record, first, by="vogt", now=NOW + timedelta(minutes=1))
    few = asked()
    closed_ = [{**bodies[id], "status": "completed"} for id in others]
    with record.transaction() as tx:
        writes = [Write(type="Task", id=b["id"], body=b, patient=told.patient, owned=True) for b in closed_]
        resources.save(tx, writes, tenant=0, now=NOW, sender=closed.ENGINE)

    html = client.get("/closed").text
    assert html.count('<span class="need">') == 50
    assert "/closed?page=2" in html
    assert client.get("/closed?page=2").text.count('<span class="need">') == 3
    assert client.get("/closed?page=99").text.count('<span class="need">') == 3
    assert asked() == few


def test_what_was_closed_today_is_found_without_going_through_what_was_before(record, story):
    """Also where all patients came today, as on the day of a first load."""
    told = story().person()
    tasks = [told.task(f"t-{n}", f"Do {n}", due="2026-06-23T08:00:00Z", sided=False) for n in range(600)]
    bodies = {write.id: write.body for write in told.writes}
    closed_ = [
        Write(type="Task", id=id_, body={**bodies[id_], "status": "completed"}, patient="p", owned=True)
        for id_ in tasks
    ]
    others = [
        Write(type="Patient", id=f"p-{n}", body={"resourceType": "Patient"}, patient=f"p-{n}")
        for n in range(600)
    ]
    with record.transaction() as tx:
        resources.save(tx, closed_[5:], tenant=0, now=NOW - timedelta(days=30))
        resources.save(tx, [*closed_[:5], *others], tenant=0, now=NOW)
        tx.execute(text("ANALYZE resource"))
    since = NOW.replace(hour=0, minute=0)
    with record.transaction() as tx:
        asked = f"EXPLAIN (ANALYZE, FORMAT JSON) {closed._COUNT}"
        ((plan,),) = raw(tx).execute(asked, closed._asked(since, 0)).fetchall()
        assert closed.count(tx, since, tenant=0) == 5

    read = {index: rows for index, rows in scanned(plan[0]["Plan"]) if index == "resource_of_task_time"}

    # Rows that earlier tests removed may still be in the index.
    assert 5 <= read["resource_of_task_time"] < 300


def test_as_many_are_counted_as_are_listed_whatever_became_of_them(record):
    chance = random.Random(7)
    since = NOW.replace(hour=0, minute=0)
    for number in range(150):
        hours = sorted(chance.randint(-30, 9) for _ in range(chance.randint(1, 6)))
        for place, hour in enumerate(hours):
            status = chance.choice(("requested", "in-progress", "draft", "completed", "cancelled"))
            body = {"resourceType": "Task", "id": f"l-{number}", "status": status, "description": str(place)}
            write = Write(type="Task", id=body["id"], body=body, patient="p", owned=True)
            with record.transaction() as tx:
                resources.save(tx, [write], tenant=0, now=since + timedelta(hours=hour))

    with record.transaction() as tx:
        listed = closed.read(tx, since, 0, 1000, tenant=0)
        assert closed.count(tx, since, tenant=0) == len(listed) > 10


def scanned(plan):
    """Yield each index that a plan reads, and how many rows it found there."""
    if "Index Name" in plan:
        yield plan["Index Name"], plan["Actual Loops"] * plan["Actual Rows"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)
