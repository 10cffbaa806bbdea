"""Take a picture of every page, with every demo patient, into a folder.

    python tests/shots.py .hipway/shots

1440 px wide in light and dark, 390 px in light; once as nobody, once as the first of the demo people.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fhir_visits import TENDERNESS, asked_about, local, unusable
from optional_parts import PARTS, chromium
from playwright.sync_api import Page, sync_playwright

from pathways import catalogue
from service.demo import load
from service.stories import scratch
from service.stories.remote import Remote

FORMS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def main(folder: Path) -> int:
    """Take the pictures and say where they are."""
    browser_path = chromium()
    if browser_path is None:
        sys.stderr.write(f"shots: a browser is needed: {PARTS['browser'][1]}\n")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    taken = 0
    with scratch.running() as url, Remote(url) as service, sync_playwright() as playwright:
        load.load(service)
        service.post(unusable("gmt-1018"))
        service.evaluate("Patient/gmt-1018")
        service.post(local("gmt-1018"))
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for form, options in FORMS.items():
            page = browser.new_context(**options).new_page()
            for name, path in (*_pages(service), ("acting-as", "/acting")):
                taken += _take(page, f"{url}{path}", folder / f"{name}.{form}.png")
            _act(page, url)
            _try_meaning(page, url)
            for name, path in _pages(service):
                taken += _take(page, f"{url}{path}", folder / f"{name}.acting.{form}.png")
        browser.close()
    sys.stdout.write(f"{taken} pictures in {folder}\n")
    return 0


def _pages(service: Remote) -> Iterator[tuple[str, str]]:
    yield "worklist", "/"
    yield "worklist-all", "/?view=all"
    yield "patients", "/patients"
    yield "inbox", "/inbox"
    yield "inbox-codes", "/inbox/codes"
    yield "inbox-mapping", f"/inbox/codes/mapping?{urlencode(asked_about())}"
    yield "inbox-mapping-preview", f"/inbox/codes/mapping?{urlencode(asked_about(TENDERNESS))}"
    for code in ("fix-data", "fix-laterality"):
        for task in service.search("Task", {"code": code}):
            yield f"inbox-{code}-{task['id'][:4]}", f"/inbox/{task['id']}"
    yield "pathways", "/pathways"
    for pathway in catalogue.pathways():
        yield f"pathway-{pathway.name}", f"/pathways/{pathway.name}"
        yield f"value-{pathway.name}", f"/pathways/{pathway.name}/values/{next(iter(pathway.parameters))}"
    yield "keys", "/keys"
    yield "operations", "/operations"
    yield "bundles", "/operations/bundles"
    yield "audit", "/audit"
    yield "closed", "/closed"
    yield "sandbox", "/sandbox"
    yield "not-found", "/careplans/none"
    for plan in service.search("CarePlan", {}):
        patient = plan["subject"]["reference"].partition("/")[2]
        yield f"plan-{patient}-{plan['id'][:4]}", f"/careplans/{plan['id']}"


def _take(page: Page, url: str, file: Path) -> int:
    page.goto(url)
    page.screenshot(path=file, full_page=True)
    return 1


def _try_meaning(page: Page, url: str) -> None:
    """Have a meaning tried, so that the page of the code tells what would follow."""
    page.goto(f"{url}/inbox/codes/mapping?{urlencode(asked_about())}")
    page.locator("#meaning").select_option(TENDERNESS)
    page.get_by_role("button", name="Look what would follow").click()
    page.get_by_text("evaluated as if").wait_for()


def _act(page: Page, url: str) -> None:
    """Act as the first of the demo people."""
    page.goto(f"{url}/acting")
    page.get_by_role("button", name="Act as").first.click()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Take a picture of every page, with every demo patient.")
    arguments.add_argument("folder", type=Path, nargs="?", default=Path(".hipway/shots"))
    sys.exit(main(arguments.parse_args().folder))
