"""Sign on at the hospital: OpenID Connect Core 3.1, against a real provider that signs rightly and wrongly.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
"""

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider
import pytest
import signing_in
from signing_in import BASE, BEFORE, SESSION
from sqlalchemy import text

from service.app import create_app
from service.auth import hospital
from service.settings import HospitalSignOn
from service.store import accounts

GO, BACK = "/sign-in/hospital", "/sign-in/hospital/back"


@pytest.fixture(scope="module")
def server():
    with oidc_provider.running() as running:
        yield running


@pytest.fixture
def provider(server):
    server.wrong, server.signed, server.user = {}, "RS256", "m.vogt"
    server.says, server.silent = {}, set()
    return server


@pytest.fixture
def app(record, owner, provider):
    signing_in.account(owner, "m.vogt", "vogt", password=False)
    owner.run(lambda tx: accounts.enable(tx, "m.vogt", tenant=0))
    known = HospitalSignOn(
        issuer=provider.issuer, client_id=oidc_provider.CLIENT, client_secret=oidc_provider.SECRET
    )
    return create_app(signing_in.production(sign_on=known), record)


@pytest.fixture
def client(app):
    return signing_in.browser(app)


def away(client, back="/inbox"):
    """Go to the provider and sign in there; return where it sends the browser back to."""
    sent = client.get(GO, query_string={"next": back}, base_url=BASE)
    assert sent.status_code == 303
    return httpx.get(sent.headers["Location"], trust_env=False).headers["Location"].removeprefix(BASE)


def test_whoever_the_hospital_knows_is_signed_in_and_where_they_wanted_to_be(client):
    page = client.get("/sign-in?next=/inbox", base_url=BASE).text
    assert page.index("hospital’s sign-on") < page.index('name="password"')

    answer = client.get(away(client), base_url=BASE)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/inbox")
    assert "Maren Vogt" in client.get("/inbox", base_url=BASE).text


def test_the_provider_is_asked_with_state_nonce_and_a_challenge(client, provider):
    sent = client.get(GO, base_url=BASE).headers["Location"]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent).query).items()}

    assert asked["redirect_uri"] == BASE + BACK
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert "openid" in asked["scope"].split()
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    again = parse_qs(urlsplit(client.get(GO, base_url=BASE).headers["Location"]).query)
    assert all(again[name][0] != asked[name] for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"nonce": "another"}, id="the nonce of another sign-on"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"aud": "another-service"}, id="for another service"),
        pytest.param({"aud": ["hipway", "another-service"]}, id="for several, made for nobody"),
        pytest.param({"aud": ["hipway", "another-service"], "azp": "another-service"}, id="made for another"),
        pytest.param({"aud": None}, id="for nobody"),
        pytest.param({"iss": "https://another.example.org"}, id="another provider"),
        pytest.param({"exp": int(time.time()) - 3600}, id="expired"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"preferred_username": None}, id="without a name"),
        pytest.param({"preferred_username": ["m.vogt"]}, id="several names"),
    ],
)
def test_a_token_that_proves_something_else_signs_nobody_in(client, provider, wrong):
    provider.wrong = wrong

    answer = client.get(away(client), base_url=BASE)

    assert answer.status_code == 403
    assert "did not sign you in" in answer.text
    assert client.get_cookie(SESSION) is None


@pytest.mark.parametrize("signed", ["none", "HS256", "another key"])
def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(client, provider, signed):
    provider.signed = signed

    answer = client.get(away(client), base_url=BASE)

    assert answer.status_code == 403
    assert client.get_cookie(SESSION) is None


def test_several_audiences_are_well_where_it_was_made_for_us(client, provider):
    provider.wrong = {"aud": ["hipway", "another"], "azp": "hipway"}

    assert client.get(away(client), base_url=BASE).status_code == 303


@pytest.mark.parametrize("state", ["unknown", "disabled"])
def test_whom_the_hospital_knows_and_we_do_not_is_told_so(client, provider, owner, state):
    if state == "unknown":
        provider.user = "somebody.else"
    else:
        owner.run(lambda tx: accounts.disable(tx, "m.vogt", tenant=0))

    answer = client.get(away(client), base_url=BASE)

    assert answer.status_code == 403
    assert "there is no account for you here" in answer.text
    assert client.get_cookie(SESSION) is None


def test_a_way_back_is_for_one_browser_once_and_not_for_long(client, app, owner):
    back = away(client)
    other = signing_in.browser(app)
    other.get("/sign-in", base_url=BASE)
    assert other.get(back, base_url=BASE).status_code == 422
    assert other.get_cookie(SESSION) is None

    held = client.get_cookie(BEFORE).value
    assert client.get(back, base_url=BASE).status_code == 303
    client.set_cookie(BEFORE, held, domain="localhost")
    assert client.get(back, base_url=BASE).status_code == 422

    late = away(client)
    with owner.transaction() as tx:
        tx.execute(text("UPDATE sign_on SET began_at = began_at - interval '11 minutes'"))
    assert client.get(late, base_url=BASE).status_code == 422


def test_a_code_or_a_provider_that_was_changed_on_the_way_is_not_taken(client):
    assert client.get(away(client).replace("code=code", "code=other"), base_url=BASE).status_code == 403
    swapped = away(client).replace("iss=http", "iss=https")
    assert client.get(swapped, base_url=BASE).status_code == 403
    assert client.get_cookie(SESSION) is None


def test_a_provider_that_is_away_leaves_the_password(record, owner):
    known = HospitalSignOn(issuer="http://127.0.0.1:1", client_id="hipway", client_secret="s")
    client = signing_in.browser(create_app(signing_in.production(sign_on=known), record))

    answer = client.get(GO, query_string={"next": "/inbox"}, base_url=BASE)

    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert signing_in.hidden(answer.text, "/sign-in")["next"] == "/inbox"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"jwks_uri": "http://127.0.0.1:1/keys"}, id="its keys are away"),
        pytest.param({"jwks_uri": "http://[::1/keys"}, id="its keys are at no address"),
        pytest.param({"jwks_uri": "http://127.0.0.1:port/keys"}, id="its keys are at no port"),
        pytest.param({"jwks_uri": "ftp://127.0.0.1/keys"}, id="its keys are not on the web"),
        pytest.param({"token_endpoint": "http://127.0.0.1:port/token"}, id="tokens are at no port"),
        pytest.param("/keys", id="it closes the connection instead of telling its keys"),
        pytest.param("/.well-known/openid-configuration", id="it closes the connection at once"),
    ],
)
def test_a_provider_that_goes_away_on_the_way_leaves_the_password(client, provider, wrong):
    back = away(client)
    if isinstance(wrong, str):
        provider.silent = {wrong}
    else:
        provider.says = wrong

    answer = client.get(back, base_url=BASE)

    assert answer.status_code == 503
    assert signing_in.hidden(answer.text, "/sign-in")["next"] == "/inbox"
    assert client.get_cookie(SESSION) is None


@pytest.mark.parametrize("name", ["m.vo\0gt", "M Vogt"])
def test_a_name_that_no_account_has_is_no_error(client, provider, name):
    provider.user = name

    assert client.get(away(client), base_url=BASE).status_code == 403


@pytest.mark.parametrize("which", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_a_provider_of_elsewhere_is_used_over_tls_alone(which):
    addresses = dict.fromkeys(
        ("authorization_endpoint", "token_endpoint", "jwks_uri"), "https://login.example"
    )
    away, here = "https://login.example", "http://127.0.0.1:8080"

    hospital.require_safe(addresses, away)
    hospital.require_safe({**addresses, which: "http://127.0.0.1:8080/x"}, here)
    for unsafe in ("http://login.example/x", "javascript:alert(1)", "//login.example/x", "https://[::1/x"):
        with pytest.raises(hospital.Unreachable, match=which):
            hospital.require_safe({**addresses, which: unsafe}, away)
        with pytest.raises(hospital.Unreachable, match=which):
            hospital.require_safe({**addresses, which: unsafe}, "http://login.example")


def test_the_way_back_leads_to_our_own_pages_alone(client):
    answer = client.get(away(client, "//evil.example"), base_url=BASE)

    assert answer.headers["Location"] == "/"
