"""A day in a real browser, by keyboard alone: a coordinator's morning, then a clinician's hour.

Demo patients: one overdue, one on the phone, one to hand over, one whose data are corrected while the plan
is open, one decided about in two windows, one whose form outlives the sign-in. Nothing is lost or doubled.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from service.demo import load
from service.stories import scratch
from service.stories.remote import Remote
from service.web import words

pytestmark = pytest.mark.requires("browser")

WAIT_MS = 20_000
#: more would mean that the keyboard does not lead there
STEPS = 60
Json = dict[str, Any]


@dataclass(kw_only=True)
class Keyboard:
    """A page that is used by its keys alone, by somebody who reads its language."""

    page: Any
    url: str
    language: str
    #: errors of scripts, refused by the policy or not
    complaints: list[str] = field(default_factory=list)

    def t(self, key: str, **values: object) -> str:
        """Return a message in the language of the reader."""
        return words.of(self.language)(key, **values)

    def open(self, path: str) -> None:
        """Go to an address."""
        self.page.goto(self.url + path)

    def tap(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def enter(self, locator: Any) -> None:
        """Press Enter on something that the keyboard reaches."""
        locator.focus()
        assert locator.evaluate("element => element === document.activeElement")
        self.tap("Enter")

    def choose(self, locator: Any, beginning: str) -> None:
        """Choose from a list by typing how the entry begins."""
        locator.focus()
        self.page.keyboard.type(beginning)

    def act_as(self, name: str) -> None:
        """Choose who acts."""
        self.open("/acting")
        self.enter(self.page.get_by_role("button", name=name))
        self.page.get_by_role("link", name=name).wait_for()

    def focused(self) -> str:
        """Return what the element with the focus says."""
        return str(self.page.evaluate("document.activeElement.closest('tr, a, button, body').innerText"))

    @property
    def main(self) -> str:
        """Return what the page says."""
        return str(self.page.get_by_role("main").inner_text())


@pytest.fixture(scope="module", params=["en", "de"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def clinic(language: str) -> Iterator[Remote]:
    """A service with the demo patients, one for each language: what is done here is done."""
    with scratch.running() as url, Remote(url) as service:
        assert load.load(service)
        yield service


@pytest.fixture
def keyboard(language: str, clinic: Remote, chromium: str) -> Iterator[Keyboard]:
    from playwright.sync_api import sync_playwright

    locale = {"en": "en-GB", "de": "de-DE"}[language]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale=locale)
        context.set_default_timeout(WAIT_MS)
        found = Keyboard(page=context.new_page(), url=clinic.url, language=language)
        _listen(found)
        yield found
        assert found.complaints == []
        browser.close()


def _listen(keyboard: Keyboard) -> None:
    keyboard.page.on("pageerror", lambda error: keyboard.complaints.append(str(error)))
    keyboard.page.on(
        "console",
        # An answer that refuses a form is told as an error of the network: it is what is tested.
        lambda said: (
            keyboard.complaints.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )


@pytest.fixture
def of(clinic: Remote) -> Callable[..., list[Json]]:
    """Return the resources of a type about a patient."""

    def of(type_: str, patient: str, **more: str) -> list[Json]:
        return clinic.search(type_, {"patient": f"Patient/{patient}", **more})

    return of


@pytest.fixture
def plan_of(of: Callable[..., list[Json]]) -> Callable[[str], str]:
    """Return the address of a patient's plan."""
    return lambda patient: f"/careplans/{of('CarePlan', patient)[0]['id']}"


def orders(of: Callable[..., list[Json]], patient: str) -> int:
    """Return how many orders there are for a patient."""
    return sum(each["intent"] == "order" for each in of("ServiceRequest", patient))


def test_a_coordinators_morning(
    keyboard: Keyboard, of: Callable[..., list[Json]], plan_of: Callable[[str], str]
) -> None:
    page, t = keyboard.page, keyboard.t
    keyboard.act_as("Jonas Petit")

    # What is late stands first, with how late it is and why.
    keyboard.open("/?view=all")
    first = page.locator("tbody.band").first
    assert t("band.now") in first.inner_text()
    keyboard.tap("j")
    assert "DEMIREL" in keyboard.focused()

    # The telephone: somebody else is found without a mouse, and where they stand.
    keyboard.tap("/")
    page.locator("#f-family:focus").wait_for()
    page.keyboard.type("Kuipers")
    keyboard.tap("Tab")
    page.keyboard.type("Anneliese")
    keyboard.tap("Enter")
    keyboard.enter(page.get_by_role("main").get_by_role("link", name="KUIPERS").first)
    assert "KUIPERS" in page.get_by_role("region", name=t("patient")).first.inner_text()

    # Back to the list: what nobody has is taken, and is then mine.
    keyboard.open("/?view=nobody")
    for _ in range(STEPS):
        keyboard.tap("j")
        if "BENEDETTI" in keyboard.focused():
            break
    task = page.evaluate("document.activeElement.closest('tr').id")
    keyboard.tap("t")
    page.locator(f"tr[id='{task}']").wait_for(state="detached")
    keyboard.open("/?view=mine")
    assert "BENEDETTI" in page.locator(f"tr[id='{task}']").inner_text()

    # Off to lunch: it is handed to a colleague on the plan, and its history says so.
    keyboard.open(plan_of("demo-4117"))
    work = page.locator(f"[id='work-{task}']")
    keyboard.enter(work.locator("summary"))
    keyboard.choose(work.locator("select"), "Maren Oduya")
    keyboard.enter(work.get_by_role("button", name=t("hand_over.do")))
    work.get_by_text("Maren Oduya", exact=False).first.wait_for()
    (now,) = [each for each in of("Task", "demo-4117") if each["id"] == task]
    assert now["owner"]["reference"] == "Practitioner/demo-oduya"
    keyboard.open("/?view=mine")
    assert page.locator(f"tr[id='{task}']").count() == 0

    # A coordinator sees the proposal and why, and who may sign it; there is nothing to press.
    keyboard.open(plan_of("demo-4396"))
    assert t("proposal.nobody") not in keyboard.main
    assert "Jonas Petit" in page.locator("section.decision").first.inner_text()
    assert page.locator("section.decision button.primary").count() == 0


def test_a_clinicians_hour_in_which_everything_is_interrupted(
    keyboard: Keyboard,
    clinic: Remote,
    of: Callable[..., list[Json]],
    plan_of: Callable[[str], str],
) -> None:
    page, t = keyboard.page, keyboard.t
    keyboard.act_as("Dr. Ines Halvorsen")

    # From the list to a signature: two presses, and the second one bounces.
    ordered = {who: orders(of, who) for who in ("demo-4210", "demo-4179", "demo-4303")}
    keyboard.open("/?view=all&need=sign")
    keyboard.enter(page.get_by_role("row").filter(has_text="OYELARAN").locator("a.primary").first)
    sign = page.locator("section.decision button.primary").first
    sign.wait_for()
    sign.focus()
    sign.evaluate("button => { button.click(); button.click(); }")
    page.locator("#decided").wait_for()
    assert "Ines Halvorsen" in page.locator("#receipts").inner_text()
    page.go_back()
    page.locator("#receipts").wait_for()
    assert page.locator("section.decision button.primary").count() == 0, "going back offers nothing old"
    assert orders(of, "demo-4210") == ordered["demo-4210"] + 1

    # While the reason for declining is being typed, the finding it all rests on is taken back.
    keyboard.open(plan_of("demo-4334"))
    before = len(of("Task", "demo-4334"))
    _begin_to_decline(keyboard, "She would rather wait.")
    for finding in of("Observation", "demo-4334"):
        if finding["code"]["coding"][0]["code"] == "mri-gluteal-tendon-finding":
            _put(clinic, {**finding, "status": "entered-in-error"})
    clinic.evaluate("Patient/demo-4334")
    keyboard.enter(page.locator("details[open] button[type=submit]").first)
    alarm = page.locator(".alarm[role=alert]").filter(has_text=t("trouble.changed"))
    alarm.wait_for()
    assert t("trouble.nothing_written") in alarm.inner_text()
    assert "She would rather wait." in alarm.inner_text()
    assert alarm.locator("li").count() >= 1, "what changed is said"
    assert not any(each["status"] == "completed" for each in of("Task", "demo-4334")[before:])

    # Two windows: the one that is read later does not undo the other.
    keyboard.open(plan_of("demo-4179"))
    other = page.context.new_page()
    second = Keyboard(page=other, url=keyboard.url, language=keyboard.language)
    _listen(second)
    second.open(plan_of("demo-4179"))
    second.enter(other.locator("section.decision button.primary").first)
    other.locator("#decided").wait_for()
    _begin_to_decline(keyboard, "Not now.")
    keyboard.enter(page.locator("details[open] button[type=submit]").first)
    page.locator(".alarm[role=alert]").filter(has_text=t("trouble.changed")).wait_for()
    assert orders(of, "demo-4179") == ordered["demo-4179"] + 1
    assert second.complaints == []
    other.close()

    # The sign-in is lost in the middle of a form: nothing is written, and what was typed is still there.
    keyboard.open(plan_of("demo-4303"))
    _begin_to_decline(keyboard, "Asked to call back on Tuesday.")
    page.context.clear_cookies()
    keyboard.enter(page.locator("details[open] button[type=submit]").first)
    alarm = page.locator(".alarm[role=alert]").filter(has_text=t("trouble.nobody"))
    alarm.wait_for()
    assert "Asked to call back on Tuesday." in alarm.inner_text()
    assert orders(of, "demo-4303") == ordered["demo-4303"]
    assert all(each["status"] != "revoked" for each in of("ServiceRequest", "demo-4303"))


def _begin_to_decline(keyboard: Keyboard, reason: str) -> None:
    """Open the form, choose a reason and type a few words; nothing is chosen before."""
    card = keyboard.page.locator("section.decision").first
    keyboard.enter(card.locator("summary", has_text=keyboard.t("decline.open")).first)
    form = card.locator("details[open] form").filter(has=keyboard.page.locator("textarea")).first
    assert form.locator("input[type=radio]:checked").count() == 0
    form.locator("input[type=radio][value=other]").focus()
    keyboard.tap("Space")
    form.locator("textarea").focus()
    keyboard.page.keyboard.type(reason)


def _put(service: Remote, resource: Json) -> None:
    answer = httpx.put(
        f"{service.url}/fhir/{resource['resourceType']}/{resource['id']}",
        content=json.dumps(resource),
        headers={"Content-Type": "application/fhir+json"},
    )
    assert answer.status_code == 200, answer.text
