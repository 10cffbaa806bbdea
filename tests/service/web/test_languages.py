"""Every page in German: chosen by the person or the browser, complete, and with nothing written otherwise."""

from html import unescape
from pathlib import Path
from typing import Any

import page_states
import playing
import pytest
from foreign_words import English, texts
from stored_play import StoredPlay

from pathways import catalogue, wording
from service.store import resources
from service.web import words
from worker import audit
from worker.replay import Verdict

GERMAN = {"Accept-Language": "de-AT, en;q=0.5"}
STORIES = Path(__file__).parents[2] / "stories"
#: a diversion, a signature that lacked something, refusals, an operation, a correction, and both sides
TOLD = ("V08", "V09", "V21", "V36", "V66", "V91")


@pytest.fixture(scope="module")
def english() -> English:
    return English("de", catalogue.pathways())


@pytest.fixture
def plans(record, story):
    return page_states.plans(record, story)


@pytest.fixture
def clinician(client, act):
    act(client, "vogt")
    return client


def choose(client: Any, form: Any, language: str, path: str = "/") -> Any:
    fields = form(client.get(path).text, "language").values
    return client.post("/language", data={**fields, "language": language})


def test_no_page_says_in_english_what_it_says_in_german(clinician, record, plans, english):
    for path in page_states.pages(record, plans):
        answer = clinician.get(path, headers=GERMAN, follow_redirects=True)
        assert answer.status_code == (404 if path.endswith("unknown") else 200), path
        assert answer.text.startswith('<!doctype html>\n<html lang="de">'), path
        assert english.left(answer.text) == set(), path


@pytest.mark.parametrize("name", TOLD)
def test_no_plan_of_a_story_is_told_in_english(client, record, english, name):
    game = StoredPlay(database=record)
    game.tell(playing.read(STORIES / f"{name}.json"))
    with record.transaction() as tx:
        own = resources.of_patient(tx, game.patient, types=["CarePlan", "Task"], owned=True, tenant=0)
    plans = [f"/careplans/{r.id}?entries=all" for r in own if r.type == "CarePlan"]
    data = [
        f"/inbox/{r.id}" for r in own if r.resource.get("focus", {}).get("reference", "")[:8] == "Detected"
    ]

    assert plans
    for path in (*plans, *data, "/", "/inbox"):
        page = client.get(path, headers=GERMAN).text
        assert len(list(texts(page))) > 20, path
        assert english.left(page) == set(), path


def test_the_check_finds_english_words(english):
    assert english.left("<p>Überweisung: <b>Sign a proposal</b></p>") == {"Sign a proposal"}
    assert english.left("<p>Rechte Hüfte, Start conservative therapy.</p>")
    assert english.left('<button aria-label="Sign MRI, right hip"></button>')
    assert english.left('<p lang="en">Start conservative therapy</p>') == set()


def test_the_browser_chooses_and_english_is_spoken_where_it_asks_for_neither(client):
    for asked, answered in (
        ("de", "de"),
        ("de-CH,de;q=0.9", "de"),
        ("fr, de;q=0.4", "de"),
        ("fr", "en"),
        ("en, de", "en"),
        ("de-AT, en;q=0.5", "de"),
        ("de;q=0, en", "en"),
    ):
        page = client.get("/", headers={"Accept-Language": asked})
        assert f'<html lang="{answered}">' in page.text, asked
        assert {"Accept-Language", "Cookie"} <= set(page.vary), asked


def test_a_person_chooses_against_the_browser_and_stays_on_the_page(client, form):
    answer = choose(client, form, "de", "/?view=plans&need=sign")
    assert (answer.status_code, unescape(answer.location)) == (303, "/?view=plans&need=sign")
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("hipway-language=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert '<html lang="de">' in client.get("/", headers={"Accept-Language": "en"}).text

    choose(client, form, "en")
    assert '<html lang="en">' in client.get("/", headers=GERMAN).text


def test_a_language_that_is_not_spoken_is_not_chosen_and_nobody_is_sent_elsewhere(client, form):
    fields = form(client.get("/").text, "language").values
    answer = client.post("/language", data={**fields, "language": "xx", "back": "//elsewhere.example/"})

    assert answer.location == "/"
    assert "hipway-language" not in str(answer.headers)


def test_dates_numbers_and_limits_are_written_as_the_language_writes_them(client, plans):
    page = client.get(plans["referral"], headers=GERMAN).text
    assert "Mo. 29. Juni 2026" in page
    assert "22. Juni 2026" in page
    german = words.knowing("de", catalogue.pathways())
    assert (german.number(2.5), german.number(84.0), words.of("en").number(2.5)) == ("2,5", "84", "2.5")
    assert (
        german.value("2.5 (from 25 mm) (2026-06-01, A. B.) · retracted tendon: retraction at least 1.5 cm")
        == "2,5 (aus 25 mm) (1. Juni 2026, A. B.) · retrahierte Sehne: Retraktion mindestens 1,5 cm"
    )


def test_what_is_signed_in_german_is_written_as_in_english(clinician, record, plans, form, impatient):
    page = clinician.get(plans["referral"], headers=GERMAN)
    decline = form(page.text, "decline")
    clinician.post(
        decline.action,
        data={**decline.values, "reason": "patient-wish", "text": "will warten"},
        headers=GERMAN,
    )

    with record.transaction() as tx:
        stored = resources.of_patient(tx, "gmt-1010", types=["Task"], owned=False, tenant=0)
    (task,) = [r.resource for r in stored]
    assert task["code"]["coding"][0]["display"] == "Decline a proposal"
    assert task["reasonCode"]["coding"][0]["display"] == "Patient's situation or wish"
    assert task["reasonCode"]["text"] == "Patient's situation or wish: will warten"


def test_words_of_a_person_are_not_translated():
    german = words.knowing("de", catalogue.pathways())
    concept = {
        "coding": [
            {
                "system": "https://w3id.org/hipway/CodeSystem/decision-reason",
                "code": "other",
                "display": "Other",
            }
        ],
        "text": "Other, in words: Imaging",
    }

    assert german.reworded(concept)["text"] == "Anderes, in Worten: Imaging"
    assert german.reworded({"text": "no"}) == {"text": "no"}
    for said in ("the wrong hip was scanned, right", "7.5 (from 2026-01-02)"):
        told = german.reworded({**concept, "text": f"Other, in words: {said}"})["text"]
        assert told == f"Anderes, in Worten: {said}", "to the letter, whatever it looks like"
    unknown = {"coding": [], "text": "the wrong hip was scanned, right"}
    assert german.reworded(unknown) == unknown


def test_what_the_engine_writes_is_in_its_source_as_the_catalogue_has_it():
    source = " ".join(path.read_text() for path in Path(wording.__file__).parent.rglob("*.py"))
    english = words.of("en")
    for key in ("focus", "now", "code", "nobody", "unknown", "when", "reason", "stage"):
        assert f'"{english(f"engine.refused.{key}")}"' in source, key


def test_a_message_is_marked_with_its_language_and_the_log_of_its_decision_is_made_again(client, record):
    told = playing.read(STORIES / "V08.json")
    for step in told["steps"]:
        for entry in (step["bundle"] or {"entry": ()})["entry"]:
            if entry["resource"]["resourceType"] == "Patient":
                entry["resource"]["communication"] = [{"language": {"coding": [{"code": "de-DE"}]}}]
    game = StoredPlay(database=record)
    game.tell(told)

    with record.transaction() as tx:
        plans = resources.of_patient(tx, game.patient, types=["CarePlan"], owned=True, tenant=0)
    pages = [client.get(f"/careplans/{plan.id}?entries=all").text for plan in plans]
    assert any('<span lang="de">Betrifft: ' in page for page in pages)
    assert {each.verdict for each in audit.of_patient(record, game.patient)} == {Verdict.SAME}


@pytest.mark.requires("browser")
def test_a_person_changes_the_language_and_signs_in_german(chromium, address, plans):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False, base_url=address, locale="en-GB").new_page()
        page.goto("/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        page.goto(plans["referral"])
        page.get_by_role("button", name="Deutsch").press("Enter")
        assert page.url.endswith(plans["referral"])
        assert page.locator("html").get_attribute("lang") == "de"
        page.get_by_role(
            "button", name="Überweisung an die Chirurgie, rechte Hüfte unterschreiben", exact=True
        ).press("Enter")
        said = page.locator("#decided").inner_text()
        browser.close()

    assert "Vorschlag unterschreiben" in said


@pytest.mark.requires("browser")
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("light", 320)]
)
def test_axe_finds_nothing_on_three_pages_in_german(chromium, address, plans, scheme, width):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=address, locale="de-DE"
        ).new_page()
        page.goto("/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        for path in ("/?view=all", plans["referral"], "/pathways/gluteus-medius-tear"):
            page.goto(path)
            assert page.locator("html").get_attribute("lang") == "de"
            for detail in page.locator("details").all():
                detail.evaluate("element => { element.open = true }")
            found = Axe().run(page).response["violations"]
            problems += [f"{path}: {f['id']} {f['nodes'][0]['html'][:120]}" for f in found]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                problems.append(f"{path}: scrolls sideways")
        browser.close()

    assert problems == []
