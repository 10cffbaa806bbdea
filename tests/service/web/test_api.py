"""`/api`: every request of the service, read and tried without any other host."""

import json
import re
from html import unescape

import pytest
from fhir_visits import patient

from fhir_profiles import reading
from service.app import create_app
from service.openapi import bodies, document
from service.settings import Settings


def test_every_request_of_the_document_is_listed_and_has_a_page(client, app):
    listed = client.get("/api").text
    names = [each["operationId"] for path in document.kept(app)["paths"].values() for each in path.values()]

    assert len(names) > 80
    for name in names:
        assert f'href="/api/{name}"' in listed, name
        assert client.get(f"/api/{name}").status_code == 200, name
    assert client.get("/api/fhir.nothing").status_code == 404


def test_a_page_says_what_a_request_takes_and_how_it_is_answered(client):
    page = client.get("/api/fhir.update").text

    for said in ("PUT /fhir/{type}/{id}", "If-Match", "application/fhir+json", "<dt>412</dt>", "example-1"):
        assert said in page, said
    assert 'lang="en"' in page


def test_the_search_parameters_of_a_type_are_shown(client):
    assert "<code>combo-code-value-quantity</code>" in client.get("/api/fhir.search?type=Observation").text
    assert "<code>combo-code-value-quantity</code>" not in client.get("/api/fhir.search?type=Patient").text
    assert client.get("/api/fhir.search?type=Nothing").status_code == 200


def chosen(page):
    """Return the type that the form of a page has chosen."""
    field = page.split('data-name="type"')[1].split("</select>")[0]
    return re.search(r"<option selected[^>]*>(\w+)<", field)[1]


@pytest.mark.parametrize(
    ("address", "type_"),
    [
        ("fhir.search?type=Observation", "Observation"),
        ("fhir.search", "Patient"),
        ("fhir.search?type=Nothing", "Patient"),
        ("fhir.read?type=CarePlan", "CarePlan"),
        ("fhir.update?type=Encounter", "Encounter"),
        ("fhir.update", "Observation"),
        ("fhir.patch?media=application/fhir%2Bjson", "Observation"),
        ("fhir.patch?media=application/fhir%2Bjson&type=Task", "Task"),
    ],
)
def test_the_type_that_is_asked_about_is_filled_in(client, address, type_):
    assert chosen(client.get(f"/api/{address}").text) == type_


def test_a_patch_is_tried_in_each_of_its_shapes(client):
    first = client.get("/api/fhir.patch").text
    links = [unescape(link) for link in re.findall(r'href="(/api/fhir\.patch\?media=[^"]*)"', first)]
    pages = [client.get(link).text for link in links]

    assert [re.search(r'data-media="([^"]*)"', page)[1] for page in pages] == [
        "application/json-patch+json",
        "application/fhir+json",
    ]
    bodies = [
        json.loads(unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", p, re.DOTALL)[1])) for p in pages
    ]
    assert isinstance(bodies[0], list)
    assert bodies[1]["resourceType"] == "Parameters"
    assert all(page.count('aria-current="true"') == 1 for page in pages)
    assert "data-media" not in client.get("/api/fhir.read?media=application/fhir%2Bjson").text


def test_a_page_is_described_and_not_tried(client):
    page = client.get("/api/web.decide").text

    assert "/careplans/{id}/decisions" in page
    assert "api.js" not in page
    assert not re.search(r"<form[^>]*id=.try.[^>]*>.*<button", page, re.DOTALL)


def test_production_shows_it_behind_a_sign_in(database_url, broker_url, database):
    production = Settings(mode="production", database_url=database_url, broker_url=broker_url)
    client = create_app(production, database).test_client()

    for path in ("/api", "/api/fhir.read"):
        answer = client.get(path)
        assert (answer.status_code, answer.location.startswith("/sign-in")) == (303, True), path
    assert client.get("/openapi.json").status_code == 200


@pytest.mark.requires("browser")
def test_requests_are_sent_from_the_page_and_to_this_service_alone(chromium, address, client):
    from playwright.sync_api import sync_playwright

    client.put("/fhir/Patient/tried", data=reading.write(patient("tried", gender="female")))
    about = bodies.example("observation-stored")["subject"]["reference"].partition("/")[2]
    client.put(f"/fhir/Patient/{about}", data=reading.write(patient(about)))
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 320, "height": 640}, base_url=address).new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(address) else wrong.append(asked.url))

        page.goto("/api")
        page.get_by_role("link", name="GET /fhir/{type}/{id}", exact=True).click()
        page.get_by_label("id", exact=False).first.fill("tried")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("200 OK").wait_for()
        read = page.locator("#answer").inner_text()

        page.goto("/api/fhir.search")
        page.get_by_label("criteria").fill("_id=tried&gender=female")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("200 OK").wait_for()
        found = page.locator("#answer").inner_text()

        page.goto("/api/fhir.update")
        page.get_by_role("button", name="Send").click()
        page.locator("#answer-status").get_by_text(re.compile("20[01]|422")).wait_for()
        stored = page.locator("#answer").inner_text()

        page.goto("/api/fhir.patch?type=Observation")
        page.get_by_role("link", name="application/fhir+json").click()
        page.get_by_label("id", exact=False).first.fill("example-1")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("200 OK").wait_for()
        patched = page.locator("#answer").inner_text()
        sideways = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        browser.close()

    assert wrong == []
    assert '"gender": "female"' in read
    assert "GET /fhir/Patient/tried" in read
    assert "etag: w/" in read.lower()
    assert '"total": 1' in found
    assert "/fhir/Patient?_id=tried&gender=female" in found
    assert "PUT /fhir/Observation/example-1" in stored
    assert "content-type: application/fhir+json" in stored.lower()
    assert "PATCH /fhir/Observation/example-1" in patched
    assert '"status": "amended"' in patched
    assert not sideways
