"""A clinician's morning in a real browser: worklist, plan, choose who acts, sign, receipt."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands import main
from service.demo.load import _data
from service.stories.remote import Remote

pytestmark = pytest.mark.requires("browser")

VISITS = (
    ("01-new-referral-visit", "2026-03-02T10:45:00+01:00"),
    ("02-follow-up-visit", "2026-04-13T09:35:00+02:00"),
    ("03-clinician-signature", "2026-04-13T16:05:00+02:00"),
    ("04-imaging-report", "2026-04-23T08:20:00+02:00"),
)

WAIT_MS = 20_000


@pytest.fixture
def page(chromium: str) -> Iterator["Page"]:  # noqa: F821 - imported where the browser is
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(WAIT_MS)
        yield context.new_page()
        browser.close()


def test_a_clinician_finds_the_referral_and_signs_it(
    empty: Remote,
    examples: Path,
    page: "Page",  # noqa: F821 - imported where the browser is
) -> None:
    empty.set_parameters({"site.timeZone": "Europe/Berlin"})
    for name, at in VISITS:
        empty.set_clock(at, held=False)
        assert main(["post", str(examples / f"{name}.json"), "--url", empty.url]) == 0
    empty.post(_data("people.json"))

    # Nobody is chosen at first, and nothing can be signed.
    page.goto(f"{empty.url}/?view=all")
    row = page.get_by_role("row").filter(has_text="Lindholm").filter(has_text="Sign the surgical referral")
    row.get_by_role("link", name="Lindholm").first.click()
    assert page.get_by_role("button", name="Sign ", exact=False).count() == 0

    page.get_by_role("link", name="Choose who acts").first.click()
    page.get_by_role("button", name=re.compile("Act as.*Halvorsen")).click()
    page.get_by_role("button", name="Sign ", exact=False).first.wait_for()
    assert "Left hip" in page.get_by_role("main").inner_text()

    card = page.locator("section.decision").filter(has_text="Surgical referral")
    card.get_by_role("button", name="Sign ", exact=False).click()

    receipts = page.locator("#receipts")
    receipts.get_by_text("Surgical referral", exact=False).first.wait_for()
    assert "Ines Halvorsen" in receipts.inner_text()

    # The signing Task is closed, and the list of the day says who has closed it.
    page.goto(f"{empty.url}/closed")
    row = page.get_by_role("row").filter(has_text="Lindholm").filter(has_text="Sign the surgical referral")
    assert "Ines Halvorsen" in row.inner_text()

    (order,) = [
        order
        for order in empty.search("ServiceRequest", {"intent": "order"})
        if "hip-abductor-surgical-referral" in {coding["code"] for coding in order["code"]["coding"]}
    ]
    based_on = [reference["reference"] for reference in order["basedOn"]]
    (proposal,) = [reference for reference in based_on if reference.startswith("ServiceRequest/")]
    assert order["status"] == "active"
    assert order["requester"]["reference"] == "Practitioner/demo-halvorsen"
    assert empty.read(proposal)["intent"] == "proposal"
    assert empty.read(proposal)["status"] == "completed"
