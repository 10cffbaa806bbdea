"""Sign in, stay signed in, be signed out: OWASP's authentication and session management cheat sheets.

Sessions end by the database's clock, so tests make them old in the database.
"""

import re
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import page_states
import pytest
import signing_in
from fhir_visits import TENDERNESS, asked_about
from signing_in import BASE, BEFORE, PASSWORD, SESSION
from sqlalchemy import text

from service import web
from service.app import create_app
from service.auth import tokens
from service.store import accounts, sessions

SIGN_IN = "/sign-in"


@pytest.fixture
def production(record, owner):
    """The application, with an account for each of the people, and for somebody without a role."""
    for name, practitioner in (("vogt", "vogt"), ("lindqvist", "lindqvist"), ("gone", "nobody-known")):
        signing_in.account(owner, name, practitioner)
    owner.run(lambda tx: accounts.enable(tx, "vogt", tenant=0))
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM sign_in_failure"))
        tx.execute(text("DELETE FROM session"))
        tx.execute(text("DELETE FROM kept_form"))
    return create_app(signing_in.production(trusted_proxies=()), record)


@pytest.fixture
def client(production):
    return signing_in.browser(production)


@pytest.fixture
def plan(record, story):
    return f"/careplans/{story('referral').save(record).plan}"


def get(client, path, **more):
    return client.get(path, base_url=BASE, **more)


def age(record, column, how_long):
    with record.transaction() as tx:
        tx.execute(text(f"UPDATE session SET {column} = {column} - interval '{how_long}'"))


def test_every_page_leads_to_the_sign_in_and_tells_nothing(client, record, story, app):
    plans = page_states.plans(record, story)
    leads = {"web.show_sign_in", "web.go_to_hospital", "web.come_from_hospital"}
    found = page_states.addresses(record, plans)
    paths = [(name, path) for name, of_name in found.items() if name not in leads for path in of_name]

    assert len(paths) > 20
    for _, path in paths:
        answer = get(client, path)
        if path.startswith("/sandbox"):
            assert answer.status_code == 404, path
        else:
            assert (answer.status_code, answer.headers.get("Location", "")[:8]) == (303, "/sign-in"), path
        assert not re.search("Jansen|Okoye|Kowalska|Vogt", answer.text, re.IGNORECASE), path


def test_no_form_does_anything_for_somebody_unknown(client, app):
    open_to_all = {"web.sign_in", "web.sign_out", "web.choose_language"}
    rules = [r for r in app.url_map.iter_rules() if r.endpoint.startswith("web.") and "POST" in r.methods]
    posts = [r for r in rules if r.endpoint not in open_to_all and not r.rule.startswith("/sandbox")]

    assert len(posts) > 8
    for rule in posts:
        path = re.sub("<[^>]*>", "any", re.sub("<int:[^>]*>", "1", rule.rule))
        answer = client.post(path, base_url=BASE, data={"token": "made up"})
        assert (answer.status_code, answer.headers.get("Location", "")[:8]) == (303, "/sign-in"), path


@pytest.mark.parametrize(
    ("came_from", "led_to"),
    [
        (f"{BASE}/audit?day=2026-06-22", "/sign-in?next=/audit?day%3D2026-06-22&ended=1"),
        ("http://[", "/sign-in?ended=1"),
        ("https://elsewhere.example//evil", "/sign-in?ended=1"),
    ],
)
def test_a_form_leads_back_to_its_page_and_to_nowhere_that_is_none(client, came_from, led_to):
    answer = client.post("/views", base_url=BASE, data={"token": "x"}, headers={"Referer": came_from})

    assert (answer.status_code, answer.headers["Location"]) == (303, led_to)


def test_whoever_signs_in_is_where_they_wanted_to_be_and_who_they_are(client, plan):
    away = get(client, plan + "?entries=all").headers["Location"]

    answer = signing_in.sign_in(client, at=away)

    assert answer.status_code == 303
    assert answer.headers["Location"] == plan + "?entries=all"
    page = get(client, plan)
    assert "Maren Vogt" in page.text
    assert "Sign surgical referral" in page.text
    assert "Choose who acts" not in page.text
    assert get(client, SIGN_IN).status_code == 303


def test_what_one_may_do_follows_the_roles_of_the_account_s_practitioner(client, plan):
    signing_in.sign_in(client, "lindqvist")

    page = get(client, plan)

    assert "Jonas Lindqvist" in page.text
    assert "Sign surgical referral, right hip</button>" not in page.text


def test_the_choice_of_the_sandbox_is_nothing_here(client, plan):
    from service import acting

    client.set_cookie(acting.COOKIE, acting.seal("k" * 32, "vogt"), domain="localhost")
    assert get(client, plan).status_code == 303
    signing_in.sign_in(client, "lindqvist")
    assert "Jonas Lindqvist" in get(client, plan).text
    assert client.post("/acting", base_url=BASE, data={"person": "vogt"}).status_code == 404


def test_somebody_without_a_role_today_is_shown_nothing_and_can_leave(client, plan):
    signing_in.sign_in(client, "gone")

    page = get(client, plan)

    assert page.status_code == 403
    assert "Jansen" not in page.text
    assert (
        client.post("/sign-out", base_url=BASE, data=signing_in.hidden(page.text, "/sign-out")).status_code
        == 303
    )
    assert get(client, plan).status_code == 303


def test_the_cookie_is_for_this_host_over_tls_and_no_script(client):
    page = get(client, SIGN_IN)
    answer = signing_in.sign_in(client)

    for name, found in ((BEFORE, page), (SESSION, answer)):
        (said,) = [
            c for c in found.headers.getlist("Set-Cookie") if c.startswith(name) and "Max-Age=0" not in c
        ]
        flags = {part.strip().lower() for part in said.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= flags
        assert not any(flag.startswith(("domain", "expires", "max-age")) for flag in flags)


def test_a_session_that_somebody_else_put_there_is_never_signed_in(client, production, plan):
    planted = tokens.new()
    client.set_cookie(SESSION, planted, domain="localhost")

    signing_in.sign_in(client)

    assert client.get_cookie(SESSION).value != planted
    thief = signing_in.browser(production)
    thief.set_cookie(SESSION, planted, domain="localhost")
    assert get(thief, plan).status_code == 303


def test_signing_in_again_ends_the_session_before(client, production, plan):
    signing_in.sign_in(client)
    before = client.get_cookie(SESSION).value
    page = get(signing_in.browser(production), SIGN_IN)
    fields = signing_in.hidden(page.text, SIGN_IN)
    cookie = re.search(f"{BEFORE}=([^;]*)", page.headers["Set-Cookie"])[1]
    client.set_cookie(BEFORE, cookie, domain="localhost")

    client.post(SIGN_IN, base_url=BASE, data={**fields, "name": "vogt", "password": PASSWORD})

    assert client.get_cookie(SESSION).value != before
    old = signing_in.browser(production)
    old.set_cookie(SESSION, before, domain="localhost")
    assert get(old, plan).status_code == 303
    assert get(client, plan).status_code == 200


def test_another_site_signs_nobody_in(client, production):
    fields = signing_in.hidden(get(client, SIGN_IN).text, SIGN_IN)
    filled = {**fields, "name": "vogt", "password": PASSWORD}
    elsewhere = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post(SIGN_IN, base_url=BASE, data=filled, headers=elsewhere).status_code == 403

    # The attacker's own token, in the browser of somebody else.
    stranger = signing_in.browser(production)
    get(stranger, SIGN_IN)
    assert stranger.post(SIGN_IN, base_url=BASE, data=filled).status_code == 422
    assert stranger.get_cookie(SESSION) is None
    assert client.post(SIGN_IN, base_url=BASE, data={**filled, "token": "made up"}).status_code == 422
    assert client.post(SIGN_IN, base_url=BASE, data=filled).status_code == 303


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_signing_in_leads_to_our_own_pages_alone(client, elsewhere):
    fields = signing_in.hidden(
        client.get(SIGN_IN, query_string={"next": elsewhere}, base_url=BASE).text, SIGN_IN
    )
    filled = {**fields, "name": "vogt", "password": PASSWORD}

    assert fields["next"] == ""
    answer = client.post(SIGN_IN, base_url=BASE, data={**filled, "next": elsewhere})

    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param("vogt", "wrong horse battery", id="a wrong password"),
        pytest.param("vogt", "", id="none"),
        pytest.param("nobody", PASSWORD, id="an unknown user"),
        pytest.param("", PASSWORD, id="no user"),
        pytest.param("vo\0gt", PASSWORD, id="a character that no text of the database holds"),
        pytest.param("vogt'--", PASSWORD, id="what no account is called"),
        pytest.param("off", PASSWORD, id="a disabled account"),
        pytest.param("hospital-only", PASSWORD, id="an account without a password"),
    ],
)
def test_whatever_was_wrong_the_answer_is_the_same(client, owner, name, password):
    signing_in.account(owner, "off", "vogt")
    signing_in.account(owner, "hospital-only", "vogt", password=False)
    owner.run(lambda tx: accounts.disable(tx, "off", tenant=0))

    answer = signing_in.sign_in(client, name, password)

    assert answer.status_code == 422
    assert "User or password is not right, or the account is disabled." in answer.text
    assert client.get_cookie(SESSION) is None
    assert not password or password not in answer.text
    with owner.transaction() as tx:
        counted = "SELECT count(*) FROM sign_in_failure WHERE account = sha256(:name)"
        assert tx.execute(text(counted), {"name": name.encode()}).scalar_one() == 1


def test_a_user_may_be_typed_with_capitals_and_spaces(client):
    assert signing_in.sign_in(client, " Vogt ").status_code == 303


def test_a_disabled_account_is_out_at_once_everywhere(client, owner, plan):
    signing_in.sign_in(client)
    assert get(client, plan).status_code == 200

    owner.run(lambda tx: accounts.disable(tx, "vogt", tenant=0))

    assert get(client, plan).status_code == 303
    # Even enabled again: nobody knows who holds that browser now.
    owner.run(lambda tx: sessions.end_all(tx, "vogt", tenant=0))
    owner.run(lambda tx: accounts.enable(tx, "vogt", tenant=0))
    assert get(client, plan).status_code == 303


def test_signing_out_ends_the_session_and_not_only_the_cookie(client, production, plan):
    signing_in.sign_in(client)
    held = client.get_cookie(SESSION).value
    fields = signing_in.hidden(get(client, plan).text, "/sign-out")

    assert client.post("/sign-out", base_url=BASE, data={"token": "made up"}).headers["Location"] == "/"
    assert get(client, plan).status_code == 200
    assert client.post("/sign-out", base_url=BASE, data=fields).headers["Location"] == "/sign-in?ended=out"

    assert client.get_cookie(SESSION) is None
    kept = signing_in.browser(production)
    kept.set_cookie(SESSION, held, domain="localhost")
    assert get(kept, plan).status_code == 303


def test_who_does_nothing_for_long_and_everybody_after_a_day_signs_in_again(client, record, plan):
    signing_in.sign_in(client)
    age(record, "seen_at", "29 minutes")
    assert get(client, plan).status_code == 200
    age(record, "seen_at", "29 minutes")
    assert get(client, plan).status_code == 200, "the time of doing nothing began anew"
    age(record, "seen_at", "31 minutes")
    assert get(client, plan).status_code == 303

    signing_in.sign_in(client)
    age(record, "began_at", "11 hours 59 minutes")
    assert get(client, plan).status_code == 200
    age(record, "began_at", "2 minutes")
    assert get(client, plan).status_code == 303


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(client, record):
    signing_in.sign_in(client)
    age(record, "seen_at", "29 minutes")
    assert "/live" in get(client, "/live", headers={"HX-Request": "true"}).text
    age(record, "seen_at", "2 minutes")

    part = get(client, "/live", headers={"HX-Request": "true"})

    # The open page stays as it is and says so; it is not changed for a sign-in page.
    assert part.status_code == 200
    assert "Signed out" in part.text
    assert "hx-get" not in part.text


def checking(client, plan):
    """The page of a decision that no worker has carried out yet."""
    typed = decline(get(client, plan).text)
    return client.post(plan + "/decisions", base_url=BASE, data=typed).headers["Location"].partition("#")[0]


def being_tried(client, plan):
    """The page of a code of which a meaning is being tried."""
    page = get(client, "/inbox/codes/mapping?" + urlencode(asked_about())).text
    (action,) = re.findall(r'action="(/inbox/codes/mapping/preview[^"]*)"', page)
    fields = signing_in.hidden(page, action)
    answer = client.post(unescape(action), base_url=BASE, data={**fields, "meaning": TENDERNESS})
    return answer.headers["Location"].partition("#")[0]


#: each template that asks again by itself, and a page that holds it; in production there is no sandbox
REFRESHED = {
    "_evaluating.html": None,
    # Part of the page of operations, which it asks for.
    "_exports.html": lambda client, plan: "/operations",
    "_live.html": lambda client, plan: plan,
    "_outcome.html": checking,
    "_preview.html": being_tried,
    "operations.html": lambda client, plan: "/operations",
}


def test_every_template_that_asks_again_by_itself_is_tried():
    templates = Path(web.__file__).parent / "templates"
    found = {path.name for path in templates.glob("**/*.html") if 'hx-trigger="every' in path.read_text()}

    assert found == set(REFRESHED)


@pytest.mark.parametrize("template", REFRESHED)
def test_nothing_that_a_page_asks_by_itself_keeps_somebody_signed_in(
    client, record, plan, impatient, template
):
    signing_in.sign_in(client)
    page = REFRESHED[template]
    asked = ["/sandbox/progress"]
    if page:
        asked = re.findall(r'hx-get="([^"]+)"[^>]*hx-trigger="every', get(client, page(client, plan)).text)
        # Every page has the stamp, and two ask for something besides.
        assert len(asked) == (1 if template == "_live.html" else 2)
    age(record, "seen_at", "20 minutes")

    def seen():
        with record.transaction() as tx:
            return tx.execute(text("SELECT seen_at FROM session")).scalar_one()

    before = seen()
    for address in map(unescape, asked):
        answer = get(client, address, headers={"HX-Request": "true"})
        assert answer.status_code == (200 if page else 404)
        assert seen() == before, address
    get(client, plan)
    assert seen() > before


def decline(html):
    """The fields of the form by which a referral is declined, with a reason and a few words."""
    for form in re.findall(r'<form[^>]*action="[^"]*/decisions".*?</form>', html, re.DOTALL):
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        if fields.get("decision") == "decline":
            return {**fields, "reason": "other", "text": "Would rather wait until autumn."}
    raise AssertionError("nothing can be declined")


def test_what_was_written_when_the_sign_in_ended_is_there_again_for_its_writer_alone(
    client, production, record, plan, impatient
):
    signing_in.sign_in(client)
    typed = decline(get(client, plan).text)
    age(record, "seen_at", "1 hour")

    late = client.post(plan + "/decisions", base_url=BASE, data=typed)

    away = late.headers["Location"]
    assert "what you had entered is kept for you" in get(client, away).text
    with record.transaction() as tx:
        assert (
            tx.execute(text("SELECT count(*) FROM resource WHERE type = 'Task' AND NOT owned")).scalar_one()
            == 0
        )
    other = signing_in.browser(production)
    assert signing_in.sign_in(other, "lindqvist", at=away).headers["Location"] == plan + "?kept=1"
    assert "until autumn" not in get(other, plan + "?kept=1").text

    back = signing_in.sign_in(client, at=away).headers["Location"]
    page = get(client, back).text

    assert back == plan + "?kept=1"
    assert "Your sign-in had ended" in page
    assert re.search(r"<textarea[^>]*>Would rather wait until autumn\.</textarea>", page)
    assert "until autumn" not in get(client, plan).text
    assert client.post(plan + "/decisions", base_url=BASE, data=decline(page)).status_code == 303
    assert "until autumn" not in get(client, back).text.split('id="decided"')[0]
    with record.transaction() as tx:
        assert tx.execute(text("SELECT count(*) FROM kept_form")).scalar_one() == 0


@pytest.mark.parametrize("token", ["made up", "of the sign-in page", "of its choice of a language"])
def test_nobody_keeps_words_with_a_token_of_nobody(client, record, plan, token):
    page = get(client, SIGN_IN).text
    forms = {"of the sign-in page": SIGN_IN, "of its choice of a language": "/language"}
    shown = signing_in.hidden(page, forms[token])["token"] if token in forms else token

    answer = client.post(
        plan + "/decisions", base_url=BASE, data={"token": shown, "text": "words", "decision": "decline"}
    )

    assert answer.headers["Location"].startswith(SIGN_IN)
    assert "ended=kept" not in answer.headers["Location"]
    with record.transaction() as tx:
        assert tx.execute(text("SELECT count(*) FROM kept_form")).scalar_one() == 0


def test_after_many_failures_one_waits_and_is_never_locked_out(client, record, owner):
    for _ in range(5):
        assert signing_in.sign_in(client, password="wrong horse battery").status_code == 422

    early = signing_in.sign_in(client)
    assert early.status_code == 429
    assert 0 < int(early.headers["Retry-After"]) <= 2
    assert "not locked" in early.text
    with owner.transaction() as tx:
        tx.execute(text("UPDATE sign_in_failure SET at = at - interval '2 seconds'"))
    assert signing_in.sign_in(client).status_code == 303
    # It is forgotten with the sign-in.
    with record.transaction() as tx:
        assert tx.execute(text("SELECT count(*) FROM sign_in_failure")).scalar_one() == 0


def test_the_page_lets_password_managers_work_and_names_the_hospital_only_where_there_is_one(client):
    page = get(client, SIGN_IN).text

    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page
    assert "hospital’s sign-on" not in page
    assert get(client, "/sign-in/hospital").headers["Location"] == "/sign-in"


def test_in_a_sandbox_nobody_signs_in(app, record):
    sandbox = app.test_client()

    assert sandbox.get("/sign-in").headers["Location"] == "/acting"
    assert sandbox.post("/sign-in").headers["Location"] == "/acting"
    assert sandbox.get("/").status_code == 200


def test_a_proxy_may_call_us_by_another_name(record, production):
    """Its own host name is in `Host`, the users' in `Origin`."""
    client = signing_in.browser(production)
    inside = {"Host": "10.0.0.5:8000", "Origin": BASE}
    page = client.get(SIGN_IN, base_url="https://10.0.0.5:8000")
    client.set_cookie(
        BEFORE, re.search(f"{BEFORE}=([^;]*)", page.headers["Set-Cookie"])[1], domain="10.0.0.5"
    )

    filled = {**signing_in.hidden(page.text, SIGN_IN), "name": "vogt", "password": PASSWORD}

    assert (
        client.post(SIGN_IN, base_url="https://10.0.0.5:8000", data=filled, headers=inside).status_code == 303
    )
