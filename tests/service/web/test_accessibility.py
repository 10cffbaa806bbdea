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


#: the same pages in the ways in which few people see them
RARE = (
    pytest.param(
        {"viewport": {"width": 1440, "height": 900}, "forced_colors": "active"}, id="forced colours"
    ),
    pytest.param({"viewport": {"width": 320, "height": 640}}, id="320 px"),
    # What a browser makes of 1440 px at 200 %.
    pytest.param({"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2}, id="zoom 200 %"),
)

#: of everything that can be reached: what has no outline while it has the focus, what is too small to hit.
#: A link within a sentence may be as small as its line (WCAG 2.5.8).
REACHED = """
() => {
  const said = (element) => element.outerHTML.slice(0, 100);
  const reached = "a[href], button, summary, select, textarea, input:not([type=hidden])";
  const seen = [...document.querySelectorAll(reached)]
    .filter((element) => element.checkVisibility({visibilityProperty: true}));
  const unseen = seen.filter((element) => {
    element.focus({preventScroll: true});
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return document.activeElement === element && (outlineStyle === "none" || parseFloat(outlineWidth) < 2);
  });
  const small = seen.filter((element) => {
    const box = (element.closest("label") ?? element).getBoundingClientRect();
    const inline = getComputedStyle(element).display === "inline";
    return !inline && box.width > 1 && Math.min(box.width, box.height) < 24;
  });
  return [...unseen.map((e) => "no outline: " + said(e)), ...small.map((e) => "small: " + said(e))];
}
"""


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
                page.get_by_text("2 patients fit").wait_for()
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


@pytest.mark.parametrize("options", RARE)
def test_rare_screens_show_everything_and_where_the_focus_is(
    chromium: str, address: str, states: dict[str, str], options: dict[str, Any]
):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(reduced_motion="reduce", **options).new_page()
        page.goto(address + "/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        for path in ("/?view=all", states["referral"], "/inbox"):
            page.goto(address + path)
            for detail in page.locator("details").all():
                detail.evaluate("element => { element.open = true }")
            found = Axe().run(page).response["violations"]
            problems += [f"{path}: {f['id']} {f['nodes'][0]['html'][:120]}" for f in found]
            problems += [f"{path}: {said}" for said in page.evaluate(REACHED)]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                problems.append(f"{path}: scrolls sideways")
            moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
            if page.evaluate(moving):
                problems.append(f"{path}: moves although reduced motion is asked for")
        browser.close()

    assert "\n".join(problems) == ""


def test_a_screen_reader_hears_who_where_why_and_what_to_do(
    chromium: str, address: str, states: dict[str, str]
):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address + "/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        page.goto(address + states["referral"])
        heard = page.locator("body").aria_snapshot()
        browser.close()

    heard_in_order = (
        'region "Patient"',
        "JANSEN",
        "Right hip",
        "main:",
        'heading "Proposal: Surgical referral',
        'table "',
        'button "Sign surgical referral',
    )
    places = [heard.find(part) for part in heard_in_order]
    assert -1 not in places, [part for part, at in zip(heard_in_order, places, strict=True) if at < 0]
    assert places == sorted(places), heard


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
