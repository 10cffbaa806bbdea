"""Who may call: a client that signs its tokens with a key that the installation was given, and nobody else.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
"""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cds_calls import VIEW, post, view
from fhir_visits import patient
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from service.app import create_app
from service.settings import InvalidSettings, Settings

BASE = "https://hipway.example.org"
ISSUER = "https://ehr.example.org/"
PAGE = "https://ehr.example.org"
URL = f"{BASE}/cds-services/{VIEW}"
KEY = ECKey.generate_key("P-384", {"kid": "one"})
OTHER = ECKey.generate_key("P-384", {"kid": "one"})
RSA = RSAKey.generate_key(2048, {"kid": "two"})


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cds") / "clients.json"
    keys = {"keys": [KEY.as_dict(private=False), RSA.as_dict(private=False)]}
    path.write_text(json.dumps({"clients": [{"issuer": ISSUER, "keys": keys, "origins": [PAGE]}]}))
    return path


@pytest.fixture(scope="module")
def client(database, file):
    settings = Settings(mode="production", base_url=BASE, secret_key="a", cds_clients=file)
    return create_app(settings, database).test_client()


def token(key=KEY, *, alg="ES384", kid="one", without=(), **more):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": URL, "iat": now, "exp": now + 300, "jti": "n-1"} | more
    claims = {name: value for name, value in claims.items() if name not in without}
    header = {"alg": alg, "kid": kid, "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=[alg])


def call(client, bearer=None, url=VIEW):
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return post(client, url, view([patient("a")], "a"), **headers)


@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(lambda: token(), id="by an elliptic curve"),
        pytest.param(lambda: token(RSA, alg="RS384", kid="two"), id="by RSA"),
        pytest.param(lambda: token(aud=[URL, "https://elsewhere.example.org"]), id="for several"),
    ],
)
def test_a_token_of_a_trusted_issuer_is_believed(bearer, client):
    assert call(client, bearer()).status_code == 200


def unsigned():
    _, body, _ = token().split(".")
    header = json.dumps({"alg": "none", "kid": "one", "typ": "JWT"}).encode()
    return f"{urlsafe_b64encode(header).decode().rstrip('=')}.{body}."


def by_a_secret():
    """Return a token whose secret is the public key, which everybody knows."""
    header = json.dumps({"alg": "HS256", "kid": "one", "typ": "JWT"}).encode()
    signed = f"{urlsafe_b64encode(header).decode().rstrip('=')}.{token().split('.')[1]}"
    digest = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(digest).decode().rstrip('=')}"


@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: "a.b.c", id="no token"),
        pytest.param(lambda: "a" * 9000, id="too long"),
        pytest.param(unsigned, id="unsigned"),
        pytest.param(by_a_secret, id="by a secret"),
        pytest.param(lambda: token(OTHER), id="by another key"),
        pytest.param(lambda: token(iss="https://other.example.org/"), id="of another issuer"),
        pytest.param(lambda: token(iss=["a"]), id="of an issuer that is no text"),
        pytest.param(lambda: token(aud=f"{BASE}/cds-services/other"), id="for another service"),
        pytest.param(lambda: token(aud=None), id="for nobody"),
        pytest.param(lambda: token(exp=int(time.time()) - 90), id="run out"),
        pytest.param(lambda: token(iat=int(time.time()) + 90), id="of the future"),
        pytest.param(lambda: token(exp=int(time.time()) + 9_000), id="for too long"),
        pytest.param(lambda: token(without=["exp"]), id="without an end"),
        pytest.param(lambda: token(without=["jti"]), id="without a nonce"),
    ],
)
def test_any_other_is_refused_with_a_sentence(bearer, client):
    answer = call(client, bearer())

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    (issue,) = answer.get_json()["issue"]
    assert issue["code"] == "login"
    assert "example.org" not in issue["diagnostics"]


def test_a_token_is_for_what_it_names(client):
    discovery = {"Authorization": f"Bearer {token(aud=f'{BASE}/cds-services')}"}

    assert client.get("/cds-services", headers=discovery).status_code == 200
    assert client.get("/cds-services", headers={"Authorization": f"Bearer {token()}"}).status_code == 401


def test_production_that_trusts_nobody_answers_nobody(database):
    app = create_app(Settings(mode="production", base_url=BASE, secret_key="a"), database)

    assert call(app.test_client(), token()).status_code == 401
    assert app.test_client().get("/cds-services").status_code == 401


def test_a_page_of_a_trusted_client_may_call_and_read(client):
    headers = {"Authorization": f"Bearer {token()}", "Origin": PAGE, "Sec-Fetch-Site": "cross-site"}

    asked = client.options(f"/cds-services/{VIEW}", headers={"Origin": PAGE})
    answer = post(client, VIEW, view([patient("a")], "a"), **headers)

    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)


def test_a_page_of_nobody_may_not(client):
    headers = {"Authorization": f"Bearer {token()}", "Origin": "https://evil.example.org"}

    asked = client.options(f"/cds-services/{VIEW}", headers=headers)
    answer = post(client, VIEW, view([patient("a")], "a"), **headers)

    assert "Access-Control-Allow-Origin" not in asked.headers
    assert answer.status_code == 403


def test_a_page_of_a_trusted_client_may_call_nothing_else(client):
    answer = client.post("/fhir", json={}, headers={"Origin": PAGE})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("{", id="no JSON"),
        pytest.param('{"clients": [{"issuer": "a"}]}', id="no keys"),
        pytest.param('{"clients": [{"issuer": "a", "keys": {"keys": []}}]}', id="not one key"),
        pytest.param(
            json.dumps({"clients": [{"issuer": "a", "keys": {"keys": [KEY.as_dict(private=True)]}}]}),
            id="a private key",
        ),
        pytest.param(
            json.dumps(
                {"clients": [{"issuer": "a", "keys": {"keys": [{"kty": "oct", "kid": "a", "k": "YQ"}]}}]}
            ),
            id="a secret",
        ),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start(content, database, tmp_path):
    path = tmp_path / "clients.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(InvalidSettings, match="HIPWAY_CDS_CLIENTS"):
        create_app(Settings(cds_clients=path), database)
