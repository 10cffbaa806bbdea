"""axe finds nothing on any page or state, light and dark, wide and narrow (ui.md, section 18)."""

from typing import Any

import page_states
import pytest

from service.store.database import Database

pytestmark = pytest.mark.requires("browser")

#: what stands on the page of patients after a search, which has no address of its own
FOUND = "patients found"

SCREENS = (
    pytest.param("light", 1440, id="light"),
    pytest.param("dark", 1440, id="dark"),
    pytest.param("light", 390, id="narrow"),
)


@pytest.fixture
def states(record: Database, story: Any) -> dict[str, str]:
    """One plan in each state, by the name of the state."""
    return page_states.plans(record, story)


@pytest.mark.parametrize(("scheme", "width"), SCREENS)
def test_axe_finds_nothing(
    chromium: str, address: str, record: Database, states: dict[str, str], scheme: Any, width: int
):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    paths = [*page_states.pages(record, states), FOUND]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address + "/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        for path in paths:
            if path == FOUND:
                page.goto(address + "/patients")
                page.get_by_label("Family name").fill("Jansen")
                page.get_by_label("Given name").fill("P")
                page.get_by_role("button", name="Find").click()
                page.get_by_text("1 patient fits").wait_for()
            else:
                page.goto(address + path)
            for detail in page.locator("details").all():
                detail.evaluate("element => { element.open = true }")
            found = Axe().run(page).response["violations"]
            problems += [f"{path}: {f['id']} {f['nodes'][0]['html'][:120]}" for f in found]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                problems.append(f"{path}: scrolls sideways")
        browser.close()

    assert problems == []


def test_a_referral_is_signed_without_javascript_and_by_keyboard(
    chromium: str, address: str, states: dict[str, str]
):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(address + "/acting")
        page.get_by_role("button", name="Maren Vogt").press("Enter")
        page.goto(address + states["referral"])
        page.get_by_role("button", name="Sign surgical referral, right hip").press("Enter")
        said = page.locator("#decided").inner_text()
        browser.close()

    assert "Sign a proposal" in said
