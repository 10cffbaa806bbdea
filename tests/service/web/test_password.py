"""Another password, by whoever is signed in: OWASP's authentication cheat sheet on changing passwords."""

from uuid import uuid4

import pytest
import signing_in
from signing_in import BASE, PASSWORD
from sqlalchemy import text

from service.app import create_app
from service.auth import passwords
from service.store import accounts
from service.web import words

PAGE = "/acting/password"
NEW = "four more words here"


@pytest.fixture
def name(owner):
    """An account of its own, whose password may be changed."""
    made = f"p-{uuid4().hex[:8]}"
    signing_in.account(owner, made, "vogt")
    return made


@pytest.fixture
def production(record, name):
    with record.transaction() as tx:
        tx.execute(text("DELETE FROM sign_in_failure"))
    return create_app(signing_in.production(trusted_proxies=()), record)


@pytest.fixture
def client(production, name):
    browser = signing_in.browser(production)
    assert signing_in.sign_in(browser, name).status_code == 303
    return browser


def change(client, old=PASSWORD, new=NEW, again=None, **more):
    fields = signing_in.hidden(client.get(PAGE, base_url=BASE).text, PAGE)
    typed = {"old": old, "new": new, "again": new if again is None else again, **more}
    return client.post(PAGE, base_url=BASE, data={**fields, **typed})


def is_in(client):
    return client.get("/", base_url=BASE).status_code == 200


def test_the_new_password_holds_and_the_old_one_does_not(client, production, name):
    answer = change(client)

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}?changed=1")
    assert words.of("en")("password.changed") in client.get(answer.headers["Location"], base_url=BASE).text
    other = signing_in.browser(production)
    assert signing_in.sign_in(other, name).status_code == 422
    assert signing_in.sign_in(other, name, NEW).status_code == 303


def test_all_other_sessions_end_and_this_one_goes_on_under_a_new_value(client, production, name):
    elsewhere = signing_in.browser(production)
    signing_in.sign_in(elsewhere, name)
    before = client.get_cookie(signing_in.SESSION).value
    assert is_in(elsewhere)

    change(client)

    assert is_in(client)
    assert not is_in(elsewhere)
    assert client.get_cookie(signing_in.SESSION).value != before
    client.set_cookie(signing_in.SESSION, before, domain="localhost", secure=True)
    assert not is_in(client)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("typed", "trouble"),
    [
        ({"old": "wrong horse battery"}, "wrong"),
        ({"again": "four more words there"}, "different"),
        ({"new": "tiny-word"}, "short"),
        ({"new": "long" * 100}, "long"),
        ({"new": "ababababababab"}, "repeats"),
        ({"new": PASSWORD}, "same"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(client, production, name, typed, trouble, language):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language

    answer = change(client, **typed)

    told = words.of(language)(f"password.{trouble}", n=passwords.SHORTEST, most=passwords.LONGEST)
    assert answer.status_code == 422
    assert told in answer.text
    assert typed.get("new", NEW) not in answer.text
    assert signing_in.sign_in(signing_in.browser(production), name).status_code == 303


def test_a_password_that_holds_the_name_is_not_taken(client, production, name):
    answer = change(client, new=f"my name is {name} today")

    assert words.of("en")("password.name") in answer.text
    assert signing_in.sign_in(signing_in.browser(production), name).status_code == 303


def test_who_tries_old_passwords_waits_as_at_the_sign_in(client, name, record):
    for _ in range(5):
        assert change(client, old="wrong horse battery").status_code == 422

    early = change(client)

    assert early.status_code == 429
    assert 0 < int(early.headers["Retry-After"]) <= 2
    with record.transaction() as tx:
        tx.execute(text("UPDATE sign_in_failure SET at = at - interval '2 seconds'"))
    assert change(client).status_code == 303


@pytest.fixture
def not_granted(owner):
    """The database refuses to write passwords, as it does until the grant was run again."""
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'permission denied' USING ERRCODE = 'insufficient_privilege'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION refuse();
    """
    with owner.transaction() as tx:
        tx.execute(text(refuse))
    yield
    with owner.transaction() as tx:
        tx.execute(text("DROP FUNCTION refuse CASCADE"))


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_until_the_service_may_write_passwords_that_is_said_and_no_try_is_counted(
    client, production, name, record, not_granted, language
):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language

    answer = change(client)

    assert answer.status_code == 503
    assert words.of(language)("password.not_granted") in answer.text
    assert is_in(client)
    with record.transaction() as tx:
        assert tx.execute(text("SELECT count(*) FROM sign_in_failure")).scalar_one() == 0
    assert signing_in.sign_in(signing_in.browser(production), name).status_code == 303


def test_without_a_form_of_ours_or_a_sign_in_nothing_is_changed(client, production, name):
    typed = {"old": PASSWORD, "new": NEW, "again": NEW}

    assert client.post(PAGE, base_url=BASE, data={**typed, "token": "x"}).status_code == 422
    stranger = signing_in.browser(production)
    assert stranger.get(PAGE, base_url=BASE).headers["Location"].startswith("/sign-in")
    assert stranger.post(PAGE, base_url=BASE, data=typed).headers["Location"].startswith("/sign-in")
    assert signing_in.sign_in(stranger, name).status_code == 303


def test_an_account_that_was_disabled_meanwhile_gets_no_password(client, owner, name, record):
    fields = signing_in.hidden(client.get(PAGE, base_url=BASE).text, PAGE)
    owner.run(lambda tx: accounts.disable(tx, name, tenant=0))

    client.post(PAGE, base_url=BASE, data={**fields, "old": PASSWORD, "new": NEW, "again": NEW})

    with record.transaction() as tx:
        assert not passwords.matches(accounts.find(tx, name, tenant=0).password, NEW)


def test_an_account_of_the_hospital_s_sign_on_is_told_where_its_password_is(record, owner, production):
    name = f"h-{uuid4().hex[:8]}"
    signing_in.account(owner, name, "vogt")
    browser = signing_in.browser(production)
    signing_in.sign_in(browser, name)
    with owner.transaction() as tx:
        tx.execute(text("UPDATE account SET password = NULL WHERE name = :name"), {"name": name})

    page = browser.get(PAGE, base_url=BASE).text

    assert words.of("en")("password.elsewhere") in page
    assert 'type="password"' not in page


def test_password_managers_find_their_fields(client):
    page = client.get(PAGE, base_url=BASE).text

    assert page.count('autocomplete="new-password"') == 2
    assert 'autocomplete="current-password"' in page
    assert 'autocomplete="username"' in page
    assert f'href="{PAGE}"' in client.get("/acting", base_url=BASE).text


def test_in_a_sandbox_there_are_no_passwords(app):
    sandbox = app.test_client()

    assert sandbox.get(PAGE).headers["Location"] == "/acting"
    assert sandbox.post(PAGE).status_code == 404
