"""axe finds nothing on any page or state, light and dark, wide and narrow (ui.md, section 18)."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_visits import unusable
from flask import Flask
from werkzeug.serving import make_server

from fhir_profiles import reading
from service import clock
from service.fhir import transaction
from service.store import promises, resources
from service.store.database import Database
from worker.advance import advance

pytestmark = pytest.mark.requires("browser")

#: what stands on the page of patients after a search, which has no address of its own
FOUND = "patients found"

SCREENS = (
    pytest.param("light", 1440, id="light"),
    pytest.param("dark", 1440, id="dark"),
    pytest.param("light", 390, id="narrow"),
)


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The application on a port of this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def states(record: Database, story: Any) -> dict[str, str]:
    """One plan in each state, by the name of the state."""
    referral = story("referral").save(record)
    imaging = story(patient="gmt-2", family="Okoye", given="Samuel", stage=("imaging", "Imaging"))
    imaging.person().care_plan()
    first = imaging.proposal("MRI without contrast", "MRI", priority="urgent", made="2026-06-21")
    second = imaging.proposal("Radiograph", "XR", priority="urgent", made="2026-06-21")
    due = "2026-06-22T09:00:00Z"
    imaging.task("sign-imaging", "Sign the proposals", due=due, orders=(first, second), priority="urgent")
    imaging.step("open-hip", "Opened", None, "imaging", "2026-06-21", ((f"ServiceRequest/{first}", "MRI"),))
    imaging.save(record)
    away = story(patient="gmt-3", family="Kowalska", stage=("diverted", "Diverted"), status="on-hold")
    away.person().care_plan()
    away.proposal("MRI without contrast", "MRI", status="on-hold")
    away.task("divert", "Take over", due=due, priority="stat", reasons=(("emergency", "Emergency"),))
    away.task("confirm", "Confirm a finding", due="2026-06-22T09:40:00Z", priority="stat", sided=False)
    away.step("open-hip", "Opened", None, "imaging", "2026-06-01")
    away.step("T01", "Red flag", "imaging", "diverted", "2026-06-22")
    away.save(record)
    signed = story(patient="gmt-4", family="Tan", side="left").person().care_plan()
    signed.signed(signed.proposal("Surgical referral", "SURG", status="completed"), "Referral", "SURG")
    signed.step("open-hip", "Opened", None, "surgical-referral", "2026-06-01")
    signed.save(record)
    transaction.accept(record, reading.read(reading.write(unusable("gmt-7"))), sender="hospital")
    assert advance(record, 0, "gmt-7")
    for patient, attempts in (("gmt-5", 1), ("gmt-6", 3)):
        with record.transaction() as tx:
            promises.want(tx, patient, tenant=0, due_at=clock.now(tx))
            claim = promises.claim(tx, tenant=0, patient=patient)
            assert claim
            promises.fail(tx, claim, "EvaluationFailed: Pain Persists", max_attempts=attempts)
    plans = {"referral": referral, "imaging": imaging, "away": away, "signed": signed}
    return {name: f"/careplans/{plan.plan}" for name, plan in plans.items()}


def entries(database: Database) -> list[str]:
    """The addresses of two entries of the inbox: one without a side, and one with a value."""
    with database.transaction() as tx:
        tasks = resources.of_patient(tx, "gmt-7", types=["Task"], owned=True, tenant=0)
    codes = {stored.resource["code"]["coding"][0]["code"]: stored.id for stored in tasks}
    return [f"/inbox/{id}" for id in codes.values()]


@pytest.mark.parametrize(("scheme", "width"), SCREENS)
def test_axe_finds_nothing(
    chromium: str, address: str, record: Database, states: dict[str, str], scheme: Any, width: int
):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    paths = [
        "/",
        "/?view=plans",
        "/patients",
        FOUND,
        "/inbox",
        "/inbox/codes",
        *entries(record),
        "/operations",
        "/operations?retried=gmt-5",
        "/sandbox",
        "/acting",
    ]
    paths += ["/careplans/unknown", *states.values()]
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
