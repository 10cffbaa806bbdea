"""Sign-on at the hospital's OpenID Connect provider: the authorization code flow with PKCE, state and nonce.

    away    discovery -> an address at the provider, and what must be the same on the way back
    back    the code is exchanged for an id token over TLS -> its signature, issuer, audience, expiry and
            nonce are checked -> the claim that is the name of an account here

Only signatures by a key of the provider are taken: neither `none` nor a shared secret.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
https://www.rfc-editor.org/rfc/rfc7636, https://www.rfc-editor.org/rfc/rfc9700
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from service.auth import tokens
from service.settings import HospitalSignOn
from service.store.sign_ons import SignOn

#: a provider signs with a key of its own, and its public half is at `jwks_uri`
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

TIMEOUT_S = 10

#: how far the clocks of two machines may be apart
LEEWAY_S = 60


class Unreachable(Exception):
    """The provider does not answer, or not as OpenID Connect has it."""


class NotProved(Exception):
    """The provider, or whoever came back, did not prove who it is; the text says which check failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """A browser that is about to be sent to the provider."""

    address: str
    state: str = field(repr=False)
    #: what this browser holds meanwhile
    browser: str = field(repr=False)
    begun: SignOn


def send(hospital: HospitalSignOn, callback: str, back: str) -> Away:
    """Return where to send a browser.

    Args:
        callback: where the provider sends it back to; the provider must know this address.
        back: the page to show then.

    Raises:
        Unreachable: the provider cannot be used now.
    """
    begun = SignOn(nonce=tokens.new(), verifier=tokens.new(), back=back)
    state, browser = tokens.new(), tokens.new()
    question = {
        "response_type": "code",
        "client_id": hospital.client_id,
        "redirect_uri": callback,
        "scope": "openid profile",
        "state": state,
        "nonce": begun.nonce,
        "code_challenge": challenge(begun.verifier),
        "code_challenge_method": "S256",
    }
    with _client() as client:
        address = _discovered(client, hospital)["authorization_endpoint"]
    mark = "&" if "?" in address else "?"
    return Away(address=f"{address}{mark}{urlencode(question)}", state=state, browser=browser, begun=begun)


def account(hospital: HospitalSignOn, begun: SignOn, code: str, callback: str, now: datetime) -> str:
    """Return the name of the account that whoever came back has, in lower case.

    Args:
        now: decides whether what the provider signed is still valid.

    Raises:
        Unreachable: the provider cannot be used now.
        NotProved: nobody is signed in.
    """
    with _client() as client:
        known = _discovered(client, hospital)
        signed = _id_token(client, hospital, known, begun, code, callback)
        keys = _json(_exchange(client, "GET", known["jwks_uri"]))
    return named(hospital, claims(hospital, signed, keys, begun.nonce, now))


def claims(
    hospital: HospitalSignOn, signed: str, keys: Mapping[str, Any], nonce: str, now: datetime
) -> Mapping[str, Any]:
    """Return what an id token says, after every check.

    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation

    Raises:
        NotProved: a check fails.
    """
    registry = JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_S,
        iss={"essential": True, "value": hospital.issuer},
        sub={"essential": True},
        aud={"essential": True, "value": hospital.client_id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        token = jwt.decode(signed, KeySet.import_key_set({"keys": list(keys["keys"])}), algorithms=ALGORITHMS)
        registry.validate(token.claims)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise NotProved(f"the id token is not taken: {type(error).__name__}") from None
    audience = token.claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and token.claims.get("azp") != hospital.client_id:
        raise NotProved("the id token is for several services, and made for another one")
    return token.claims


def named(hospital: HospitalSignOn, claims: Mapping[str, Any]) -> str:
    """Return the name of the account.

    Raises:
        NotProved: the claim is not there.
    """
    name = claims.get(hospital.account_claim)
    if not isinstance(name, str) or not name:
        raise NotProved(f"the id token has no {hospital.account_claim}")
    return name.lower()


def require_safe(addresses: Mapping[str, str], issuer: str) -> None:
    """Refuse addresses over which codes, secrets and keys could be read or changed.

    TLS tells whose they are; a provider on this very machine needs none.

    Args:
        addresses: by what the provider calls them.

    Raises:
        Unreachable: the provider cannot be used with one of them.
    """
    for name, address in addresses.items():
        if not (_is_over_tls(address) or _is_here(issuer)):
            raise Unreachable(f"its {name} is not https")


def challenge(verifier: str) -> str:
    """Return what the provider is told of the verifier: its hash.

    https://www.rfc-editor.org/rfc/rfc7636#section-4.2
    """
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _id_token(
    client: httpx.Client,
    hospital: HospitalSignOn,
    known: Mapping[str, Any],
    begun: SignOn,
    code: str,
    callback: str,
) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "code_verifier": begun.verifier,
    }
    # What OpenID Connect Discovery takes for granted where the provider says nothing.
    default = ("client_secret_basic",)
    if "client_secret_basic" in known.get("token_endpoint_auth_methods_supported", default):
        # Both are written as in a form first: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        auth: httpx.Auth = httpx.BasicAuth(quote_plus(hospital.client_id), quote_plus(hospital.client_secret))
    else:
        auth = httpx.Auth()
        form |= {"client_id": hospital.client_id, "client_secret": hospital.client_secret}
    answer = _exchange(client, "POST", known["token_endpoint"], data=form, auth=auth)
    if answer.is_client_error:
        raise NotProved(f"the provider does not take the code: {answer.status_code}")
    signed = _json(answer).get("id_token")
    if not isinstance(signed, str):
        raise NotProved("the provider sends no id token")
    return signed


def _discovered(client: httpx.Client, hospital: HospitalSignOn) -> Mapping[str, Any]:
    """Return what the provider says of itself.

    https://openid.net/specs/openid-connect-discovery-1_0.html
    """
    about = f"{hospital.issuer.rstrip('/')}/.well-known/openid-configuration"
    known = _json(_exchange(client, "GET", about))
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if known.get("issuer") != hospital.issuer or not all(isinstance(known.get(each), str) for each in needed):
        raise Unreachable("it does not describe the issuer that the settings name")
    require_safe({each: known[each] for each in needed}, hospital.issuer)
    return known


def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT_S, headers={"Accept": "application/json"})


def _exchange(client: httpx.Client, method: str, address: str, **more: Any) -> httpx.Response:
    """Return the provider's answer; whatever goes wrong on the way, the provider cannot be used now."""
    try:
        return client.request(method, address, **more)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unreachable(type(error).__name__) from None


def _is_over_tls(address: str) -> bool:
    try:
        return urlsplit(address).scheme == "https"
    except ValueError:
        return False


def _is_here(issuer: str) -> bool:
    named = urlsplit(issuer)
    host = named.hostname or ""
    if named.scheme != "http":
        return False
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(type(error).__name__) from None
    if not isinstance(found, dict):
        raise Unreachable("it does not answer with an object")
    return found
