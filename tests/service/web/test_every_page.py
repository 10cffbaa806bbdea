"""What holds for every page: it is listed, valid, leads to what is there, and asks no other host."""

import re
from html import unescape
from urllib.parse import urlsplit

import html5lib
import page_states
import pytest
from werkzeug.exceptions import HTTPException

KIB = 1024
#: names, birth dates and record numbers of those who are on the pages
PERSONAL = re.compile(r"(?i:jansen|petra|okoye|samuel|kowalska|rossi|lucia)|1970|GMT-")

#: as they are transferred: the first time, and when the browser has the files already
FIRST_KIB, AGAIN_KIB = 150, 30


@pytest.fixture
def plans(record, story):
    return page_states.plans(record, story)


@pytest.fixture
def every_page(record, plans):
    return page_states.pages(record, plans)


@pytest.fixture
def clinician(client, act):
    act(client, "vogt")
    return client


def test_every_route_has_a_state_that_is_checked(app, record, plans):
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}

    assert set(page_states.addresses(record, plans)) == {
        name for name in routes if name.startswith("web.") and name != "web.static"
    }


def test_every_page_is_valid_html_in_its_language(clinician, every_page):
    for path in every_page:
        page = clinician.get(path, follow_redirects=True).text
        parser = html5lib.HTMLParser(strict=True)
        parser.parse(page)
        ids = re.findall(r'\sid="([^"]*)"', page)
        assert len(ids) == len(set(ids)), path
        assert page.startswith('<!doctype html>\n<html lang="en">'), path


def test_every_link_leads_to_something_and_every_form_to_a_route(app, clinician, every_page):
    adapter = app.url_map.bind("localhost")
    asked = {}
    for path in every_page:
        page = clinician.get(path).text
        ids = set(re.findall(r'\sid="([^"]*)"', page))
        assert not PERSONAL.search(" ".join(re.findall(r'(?:href|action|hx-get)="([^"]*)"', page))), path
        for link in map(unescape, re.findall(r'<a [^>]*?href="([^"]*)"', page)):
            parts = urlsplit(link)
            if parts.netloc:
                # Only what a pathway cites is elsewhere, and where it is read from is not told there.
                assert f'<a href="{link}" rel="noreferrer">' in unescape(page), (path, link)
            elif not parts.path:
                assert not parts.fragment or parts.fragment in ids, (path, link)
            elif link not in asked:
                asked[link] = clinician.get(link).status_code
        for action in map(unescape, re.findall(r'<form method="post" action="([^"]*)"', page)):
            try:
                adapter.match(urlsplit(action).path, method="POST")
            except HTTPException:
                pytest.fail(f"{path} posts to {action}, which is no route")
        for address in map(unescape, re.findall(r'hx-get="([^"]*)"', page)):
            asked[address] = clinician.get(address).status_code

    # These stories are written by hand: their findings are named and not stored; and no worker is there.
    known = ("/fhir/Observation/", "/fhir/Condition/", "/health/ready")
    assert len(asked) > 50
    assert [link for link, status in asked.items() if status >= 400 and not link.startswith(known)] == []


def test_no_page_is_kept_framed_or_sniffed(clinician, every_page):
    for path in every_page:
        headers = clinician.get(path).headers
        assert headers["Cache-Control"] == "no-store", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert "script-src 'self'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path


def test_every_form_carries_a_token_and_none_is_carried_out_without_it(clinician, every_page):
    posted = {}
    for path in every_page:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', clinician.get(path).text, re.DOTALL):
            action = unescape(re.search(r'action="([^"]*)"', form)[1])
            if action == "/patients":
                # A search changes nothing; its words are posted to stay out of the address.
                continue
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
            assert fields["token"], (path, action)
            posted[action] = {**fields, "to": "arslan", "absent": "vogt", "by": "arslan", "text": "why"}

    for action, fields in sorted(posted.items()):
        days = {"start": "2026-06-22", "end": "2026-06-26"}
        forged = clinician.post(action, data={**fields, **days, "token": "made up"})
        assert "too old" in forged.text, action
        assert forged.status_code in (422, 403), action
        elsewhere = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        assert clinician.post(action, data=fields, headers=elsewhere).status_code == 403, action
    assert len(posted) > 10


@pytest.fixture
def tab(chromium, address):
    """A tab of a browser in which a clinician acts, and what went wrong in it so far."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
        page = context.new_page()
        page.goto("/acting")
        page.get_by_role("button", name="Maren Vogt").click()
        yield page
        browser.close()


@pytest.mark.requires("browser")
def test_no_page_errs_in_a_browser_or_asks_another_host(tab, address, every_page):
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    tab.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url)
    )

    for path in every_page:
        tab.goto(path)
        # A page that says that there is nothing is answered 404, which the browser tells as well.
        wrong = [text for text in wrong if not ("unknown" in path and "404" in text)]

    assert wrong == []


@pytest.mark.requires("browser")
def test_the_worklist_is_light_the_first_time_and_lighter_afterwards(tab, every_page):
    def transferred():
        client = tab.context.new_cdp_session(tab)
        client.send("Network.enable")
        got = []
        client.on("Network.loadingFinished", lambda event: got.append(event["encodedDataLength"]))
        tab.goto("/?view=all")
        tab.wait_for_load_state("networkidle")
        client.detach()
        return sum(got) / KIB

    cache = tab.context.new_cdp_session(tab)
    cache.send("Network.clearBrowserCache")

    assert 10 < transferred() <= FIRST_KIB
    assert transferred() <= AGAIN_KIB


@pytest.mark.requires("browser")
def test_keys_move_through_the_rows_and_open_them_and_none_signs(tab, plans):
    tab.goto("/?view=all")

    def row():
        return tab.evaluate("document.activeElement.closest('tr')?.id")

    of_rows = (
        "rows => rows.filter(row => row.querySelector('.act a, .act button, .who a')).map(row => row.id)"
    )
    ids = tab.locator("table.work tbody tr[id]").evaluate_all(of_rows)
    tab.keyboard.press("j")
    assert row() == ids[0]
    tab.keyboard.press("j")
    assert row() == ids[1]
    tab.keyboard.press("k")
    assert row() == ids[0]

    tab.goto("/?view=plans")
    tab.keyboard.press("j")
    assert tab.evaluate("document.activeElement.closest('.act') !== null")

    tab.goto(plans["referral"])
    tab.keyboard.press("s")
    assert "Surgical referral" in tab.evaluate("document.activeElement.innerText")
    tab.keyboard.press("Enter")
    assert tab.url.endswith(plans["referral"])

    tab.keyboard.press("g")
    tab.keyboard.press("i")
    tab.wait_for_url("**/inbox")
    tab.keyboard.press("/")
    tab.wait_for_url("**/patients#f-family")
    tab.wait_for_function("document.activeElement.id === 'f-family'")
    tab.keyboard.press("?")
    assert tab.locator("#f-family").input_value() == "?"


@pytest.mark.requires("browser")
def test_brackets_go_to_the_neighbours_in_the_list_one_came_from(tab, plans):
    tab.goto("/?view=plans")
    paths = tab.locator("table.work .who a[href^='/careplans/']").evaluate_all(
        "links => [...new Set(links.map(link => link.getAttribute('href')))]"
    )
    tab.goto(paths[0])
    tab.keyboard.press("]")
    tab.wait_for_url("**" + paths[1])
    tab.keyboard.press("[")
    tab.wait_for_url("**" + paths[0])


@pytest.mark.requires("browser")
def test_single_keys_can_be_turned_off(tab, plans):
    tab.goto("/")
    tab.keyboard.press("?")
    tab.wait_for_url("**/keys")
    tab.get_by_label("Turn single keys off in this browser").check()

    tab.goto("/?view=all")
    tab.keyboard.press("j")
    assert tab.evaluate("document.activeElement.closest('tr')") is None

    tab.goto("/keys")
    assert tab.get_by_label("Turn single keys off in this browser").is_checked()
