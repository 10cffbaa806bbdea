"""On paper: who it is, which side, and page n of m on each sheet (ui.md, section 15)."""

import io
import re

import pytest

pytestmark = pytest.mark.requires("browser")

A4_MM = (210, 297)


@pytest.fixture
def sheets(chromium, address):
    """Print a page as somebody who acts, and return the words of each sheet."""
    from playwright.sync_api import sync_playwright
    from pypdf import PdfReader

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def printed(path, locale="en-GB"):
            page = browser.new_context(base_url=address, locale=locale).new_page()
            page.goto("/acting")
            page.get_by_role("button", name="Maren Vogt").click()
            page.goto(path)
            reader = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
            for sheet in reader.pages:
                size = tuple(round(float(side) / 72 * 25.4) for side in sheet.mediabox[2:])
                assert size == A4_MM
            return [" ".join(sheet.extract_text().split()) for sheet in reader.pages]

        yield printed
        browser.close()


@pytest.fixture
def referral(record, story):
    """A plan that is longer than a sheet."""
    told = story("referral")
    for number in range(30):
        told.task(f"t-{number}", f"Do the thing number {number}", due="2026-06-23T08:00:00Z")
    return told.save(record)


def test_each_sheet_of_a_plan_says_who_which_side_and_which_sheet_of_how_many(sheets, referral):
    found = sheets(f"/careplans/{referral.plan}")

    assert len(found) > 2
    for number, sheet in enumerate(found, start=1):
        for words in (
            "JANSEN, Petra",
            "4 Apr 1970",
            "GMT-1010",
            "Right hip",
            "Gluteus medius tear",
            "Mon 22 Jun 2026, 09:15",
            "Printed by Dr Maren Vogt",
            f"Page {number} of {len(found)}",
        ):
            assert words in sheet, (number, words)


def test_a_sheet_speaks_the_language_of_its_reader(sheets, referral):
    found = sheets(f"/careplans/{referral.plan}", "de-DE")

    for number, sheet in enumerate(found, start=1):
        assert f"Seite {number} von {len(found)}" in sheet
        assert "Gedruckt von Dr Maren Vogt" in sheet
        assert "Rechte Hüfte" in sheet


def test_what_is_folded_on_the_screen_is_open_on_paper_and_no_button_is_there(sheets, referral):
    paper = " ".join(sheets(f"/careplans/{referral.plan}"))

    assert "Average pain, last week" in paper
    assert "Not signed" in paper
    for button in ("Hand over", "Sign surgical referral", "More actions", "Take"):
        assert button not in paper


def test_each_row_of_a_printed_worklist_is_whole(sheets, referral):
    found = sheets("/?view=all")

    assert len(found) > 1
    for number, sheet in enumerate(found, start=1):
        assert f"Page {number} of {len(found)}" in sheet
        assert "What is needed" in sheet
    rows = re.findall(r"Do the thing number \d+", " ".join(found))
    assert len(rows) == 30
