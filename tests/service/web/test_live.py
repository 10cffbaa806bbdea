"""What an open page is told every 30 s: its own rows, its own plan, and nothing moves (ui.md, section 1)."""

import html
import re
from dataclasses import replace
from uuid import uuid4

import pytest
from statements import executed

from service.store import decisions, resources
from service.store.resources import Write
from service.web import changes


def poll_of(page):
    return html.unescape(re.search(r'hx-get="([^"]+)"', page)[1])


class Open:
    """A page that somebody has open."""

    def __init__(self, client, path):
        self.client, self.address = client, poll_of(client.get(path).text)

    def poll(self):
        """Ask for news as the page does, and return what it is told; empty: the same as before."""
        answer = self.client.get(self.address).text
        self.address = poll_of(answer)
        told = answer.split('hx-swap-oob="innerHTML:#changes">')
        return " ".join(re.sub(r"<[^>]*>", " ", told[1]).split()) if len(told) > 1 else ""

    def counts(self):
        answer = self.client.get(self.address).text
        return dict(re.findall(r'innerHTML:#count-([\w-]+)">(\d+)<', answer))


@pytest.fixture
def two(record, story):
    """Two patients with three open Tasks."""
    story("referral").save(record)
    other = story(patient="gmt-2", family="Okoye", side="left", stage=("imaging", "Imaging")).person()
    other.care_plan().task("review-6w", "Review at six weeks", due="2026-09-01T09:15:00Z")
    other.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    return other.save(record)


def change(database, id, type="Task", **values):
    with database.transaction() as tx:
        stored = resources.current(tx, type, id, tenant=0)
        body = {**stored.resource, **values}
        write = Write(type=type, id=id, body=body, patient=stored.patient, owned=True)
        resources.save(tx, [write], tenant=0, now=stored.received)


VOGT = {"reference": "Practitioner/vogt"}


def test_nothing_is_told_while_nothing_changes(client, two):
    assert Open(client, "/?view=all").poll() == ""
    assert Open(client, f"/careplans/{two.plan}").poll() == ""
    assert Open(client, "/inbox").poll() == ""


def test_rows_that_came_changed_and_went_are_counted_apart_and_once(client, record, story, two):
    page = Open(client, "/?view=all")
    review = two.tasks[0].id
    other = story(patient="gmt-3", family="Tan").person().care_plan()
    other.task("new", "Something new", due="2026-06-23T08:00:00Z")
    other.step("open-hip", "Opened", None, "surgical-referral", "2026-06-21")
    other.save(record)
    change(record, review, owner=VOGT)
    change(record, review, owner={"reference": "Practitioner/arslan"})

    assert page.poll() == "2 changes, show 1 new, 1 changed"
    assert page.poll() == ""
    change(record, review, status="completed")
    assert page.poll() == "2 changes, show 1 new, 1 gone"


def test_what_changed_and_changed_back_to_what_it_was_not_there_for_is_no_row(client, record, story, two):
    page = Open(client, "/?view=all")
    other = story(patient="gmt-3", family="Tan").person().care_plan()
    task = other.task("new", "Something new", due="2026-06-23T08:00:00Z")
    other.save(record)
    change(record, task, status="cancelled")

    assert page.poll() == ""


def test_what_is_shown_is_the_page_of_the_list_one_was_on(client, record, story, two):
    many = story(patient="gmt-3", family="Tan").person().care_plan()
    for number in range(60):
        many.task(f"t-{number}", f"Do {number}", due="2026-06-23T08:00:00Z")
    many.save(record)
    page = Open(client, "/?view=all&page=2")

    change(record, two.tasks[0].id, owner=VOGT)

    assert 'href="/?view=all&amp;page=2"' in client.get(page.address).text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?view=nobody", "1 change, show 1 gone"),
        ("?view=all&side=hip-left", "1 change, show 1 changed"),
        ("?view=all&side=hip-right", ""),
        ("?view=all&need=sign", ""),
        ("?view=plans", "1 change, show 1 changed"),
        ("?view=plans&side=hip-right", ""),
    ],
)
def test_only_rows_of_this_view_count(client, record, two, query, told):
    page = Open(client, f"/{query}")

    change(record, two.tasks[0].id, owner=VOGT)

    assert page.poll() == told


def test_work_that_becomes_mine_is_new_in_my_view(client, record, two, act):
    act(client, "vogt")
    page = Open(client, "/?view=mine")

    change(record, two.tasks[0].id, owner=VOGT)

    assert page.poll() == "1 change, show 1 new"
    assert page.counts()["mine"] == "1"
    assert page.counts()["open"] == "3"


def test_a_row_changes_when_its_plan_goes_on(client, record, two):
    page, plans = Open(client, "/?view=all"), Open(client, "/?view=plans&stage=imaging")
    with record.transaction() as tx:
        plan = resources.current(tx, "CarePlan", two.plan, tenant=0).resource
    stage, *others = plan["extension"]
    coding = {**stage["valueCoding"], "code": "conservative-therapy", "display": "Conservative therapy"}
    change(record, two.plan, "CarePlan", extension=[{**stage, "valueCoding": coding}, *others])

    assert page.poll() == "1 change, show 1 changed"
    assert plans.poll() == "1 change, show 1 gone"


def test_a_row_changes_when_its_plan_is_ended_in_the_same_stage(client, record, story):
    told = story("referral")
    told.task("review-6w", "Review at six weeks", due="2026-06-20T08:00:00Z", step=len(told.rows))
    plan = told.save(record)
    page, late = Open(client, "/?view=all"), Open(client, "/?view=all&need=overdue")

    with record.transaction() as tx:
        (latest,) = decisions.latest(tx, plan.patient, tenant=0).values()
        after = {**latest.after, "closed": True}
        ended = replace(latest, number=latest.number + 1, run=uuid4(), after=after)
        decisions.append(tx, [ended], read=(), tenant=0)
    change(record, plan.plan, "CarePlan", status="revoked")

    assert "changed" in page.poll()
    assert re.search(r"\d gone", late.poll())


def test_of_very_many_patients_only_that_much_has_changed_is_told(client, record, two, monkeypatch):
    monkeypatch.setattr(changes, "MOST", 1)
    page = Open(client, "/?view=all")
    with record.transaction() as tx:
        tasks = [
            stored.id
            for patient in ("gmt-1010", "gmt-2")
            for stored in resources.of_patient(tx, patient, types=["Task"], owned=True, tenant=0)
        ]
    for task in tasks:
        change(record, task, owner=VOGT)

    assert page.poll() == "Much has changed, show"
    assert page.poll() == ""
    assert page.counts()["nobody"] == "0"


def test_saved_views_are_counted_anew(client, record, two, act, form):
    act(client, "vogt")
    fields = form(client.get("/?view=nobody&side=hip-left").text, "views")
    client.post(fields.action, data={**fields.values, "name": "Left"})
    page = Open(client, "/?view=all")

    change(record, two.tasks[0].id, owner=VOGT)

    (count,) = [n for view, n in page.counts().items() if view.startswith("saved-")]
    assert count == "0"


def test_a_plan_that_has_changed_is_told_and_where_it_is_shown(client, record, two):
    page = Open(client, f"/careplans/{two.plan}")
    change(record, two.plan, "CarePlan", title="Changed")

    answer = client.get(page.address).text
    assert "data-stale" in answer
    assert f'href="/careplans/{two.plan}"' in answer
    assert "its buttons no longer work" in page.poll()
    assert page.poll() == ""


def test_other_things_about_the_patient_are_changes_and_leave_the_plan_as_it_is(client, record, two):
    page, other = Open(client, f"/careplans/{two.plan}"), Open(client, "/?view=all")
    change(record, two.tasks[0].id, owner=VOGT)

    assert page.poll() == "1 change, show"
    assert other.poll() == "1 change, show 1 changed"


@pytest.mark.parametrize(
    "query",
    [
        "since=x",
        "since=1.5.4.",
        "plan=unknown&since=",
        "view=none&stage=%00",
        "endpoint=x",
        "_method=POST",
        "plan=unknown&_method=POST",
    ],
)
def test_an_address_that_no_page_has_tells_nothing(client, two, query):
    answer = client.get(f"/live?{query}")

    assert answer.status_code == 200
    assert "change" not in answer.text.split("</span>", 1)[1].replace("#changes", "")


def test_however_many_rows_change_the_queries_are_as_many(client, record, two):
    page = Open(client, "/?view=all")

    def asked():
        with executed() as statements:
            client.get(page.address)
        return len(statements)

    quiet = asked()
    change(record, two.tasks[0].id, owner=VOGT)
    one = asked()
    with record.transaction() as tx:
        tasks = resources.of_patient(tx, "gmt-1010", types=["Task"], owned=True, tenant=0)
    for task in tasks:
        change(record, task.id, owner=VOGT)

    assert asked() == one
    assert quiet < one < 30


@pytest.fixture
def windows(chromium, address):
    """Two people with a browser window each, whose clocks can be moved on."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = []
        for name in ("Maren Vogt", "Elif Arslan"):
            page = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900}).new_page()
            page.clock.install()
            page.goto("/acting")
            page.get_by_role("button", name=name).click()
            found.append(page)
        yield found
        browser.close()


HALF_A_MINUTE_MS = 31_000


@pytest.mark.requires("browser")
def test_a_row_that_a_colleague_takes_is_offered_and_the_focus_stays_on_its_row(windows, two):
    from axe_playwright_python.sync_playwright import Axe

    mine, theirs = windows
    row, taken = two.tasks[0].id, "Modify the programme"
    mine.goto("/?view=nobody")
    button = mine.locator(f"tr[id='{row}'] .act button")
    button.focus()

    theirs.goto("/?view=nobody")
    theirs.get_by_role("row").filter(has_text=taken).get_by_role("button", name="Take").click()
    theirs.get_by_role("row").filter(has_text=taken).wait_for(state="detached")
    mine.clock.fast_forward(HALF_A_MINUTE_MS)

    mine.locator("#changes").get_by_text("1 change, show").wait_for()
    assert mine.locator("#changes").inner_text().endswith("1 gone")
    assert mine.get_by_role("row").filter(has_text=taken).count() == 1
    assert button.evaluate("element => element === document.activeElement")
    assert mine.locator("#count-nobody").inner_text() == "2"
    assert Axe().run(mine).response["violations"] == []

    mine.get_by_role("link", name="1 change, show").focus()
    mine.keyboard.press("Enter")
    mine.get_by_role("row").filter(has_text=taken).wait_for(state="detached")
    mine.wait_for_function("row => document.activeElement.closest('tr')?.id === row", arg=row)


@pytest.mark.requires("browser")
def test_a_row_that_has_gone_leaves_the_focus_to_the_next_one(windows, record, two):
    mine, _ = windows
    mine.goto("/?view=nobody")
    rows = mine.locator("table.work tbody tr[id]").evaluate_all("rows => rows.map(row => row.id)")
    mine.locator(f"tr[id='{rows[1]}'] .act").locator("a, button").focus()

    change(record, rows[1], owner=VOGT)
    mine.clock.fast_forward(HALF_A_MINUTE_MS)
    mine.get_by_role("link", name="1 change, show").click()

    mine.locator(f"tr[id='{rows[1]}']").wait_for(state="detached")
    mine.wait_for_function("row => document.activeElement.closest('tr')?.id === row", arg=rows[2])


@pytest.mark.requires("browser")
def test_the_buttons_of_a_plan_that_has_changed_send_nothing_and_what_was_typed_stays(windows, record, two):
    from axe_playwright_python.sync_playwright import Axe

    mine, _ = windows
    mine.goto(f"/careplans/{two.plan}")
    mine.locator("#more summary").first.click()
    words = mine.locator("#more textarea").first
    words.fill("half a sentence")
    posted = []
    mine.on("request", lambda asked: posted.append(asked.url) if asked.method == "POST" else None)

    change(record, two.plan, "CarePlan", title="Changed")
    mine.clock.fast_forward(HALF_A_MINUTE_MS)
    mine.get_by_text("This plan has changed since you opened it.").wait_for()

    assert words.evaluate("element => element === document.activeElement")
    assert words.input_value() == "half a sentence"
    button = mine.locator("#work-h").locator("xpath=../..").get_by_role("button", name="Take")
    assert button.get_attribute("aria-disabled") == "true"
    assert Axe().run(mine).response["violations"] == []
    button.click(force=True)
    assert mine.evaluate("document.activeElement.innerText") == "Show the current state"
    assert posted == []
    mine.keyboard.press("Enter")
    mine.locator("#changes:empty").wait_for(state="attached")
    assert button.get_attribute("aria-disabled") is None
