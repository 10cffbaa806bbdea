"""Which callers are trusted: issuers with their public keys, and the pages that may call from a browser.

    HIPWAY_CDS_CLIENTS=clients.json
    {"clients": [{"issuer": "https://ehr.example.org/", "keys": {"keys": [...]}, "origins": ["https://ehr.example.org"]}]}

Every call carries a token that its sender has signed. Keys are in the file and are never fetched from where a
token says. Without the setting a sandbox is open, as all of it is, and production answers nobody.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.settings import InvalidSettings

VARIABLE = "HIPWAY_CDS_CLIENTS"

#: signatures by a private key alone: neither none at all, nor one by a secret that both sides know
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
#: the clocks of two machines differ
LEEWAY = timedelta(seconds=60)
#: a token is made for a call; one that is good for longer is worth stealing
LONGEST = timedelta(hours=1)
MOST_CHARACTERS = 8_192
SECRET = ("d", "k", "p", "q")


class NotTrusted(Exception):
    """The call does not say who makes it, or it cannot be believed. The message names no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Who may call."""

    #: the keys of each issuer
    issuers: Mapping[str, KeySet]
    origins: frozenset[str] = frozenset()
    #: whether a call needs no token: a sandbox that nobody has told whom to trust
    open: bool = False

    def check(self, token: str | None, audience: tuple[str, ...], now: datetime) -> str:
        """Return the issuer of the token; empty where everybody may call.

        Args:
            audience: the URLs of what is called, of which the token must name one.

        Raises:
            NotTrusted: saying what is wrong with it.
        """
        if self.open:
            return ""
        if not token:
            raise NotTrusted("send Authorization: Bearer with a token that the client has signed")
        issuer = self._issuer(token)
        try:
            claims = jwt.decode(token, self.issuers[issuer], algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError):
            raise NotTrusted("the signature of the token is not one of its issuer") from None
        _check_claims(claims, audience, now)
        return issuer

    def _issuer(self, token: str) -> str:
        """Return who the token says it is from: that chooses the keys, and they tell whether it is so."""
        try:
            if len(token) > MOST_CHARACTERS:
                raise ValueError
            claims = msgspec.json.decode(jws.extract_compact(token.encode()).payload)
            issuer = claims["iss"]
        except (JoseError, ValueError, KeyError, TypeError):
            raise NotTrusted("the token cannot be read as a signed JWT with an issuer") from None
        if not isinstance(issuer, str) or issuer not in self.issuers:
            raise NotTrusted("the issuer of the token is not one of those that are trusted here")
        return issuer


def read(path: Path | None, *, sandbox: bool) -> Clients:
    """Return the callers that the file names.

    Raises:
        InvalidSettings: the file cannot be used.
    """
    if path is None:
        return Clients(issuers={}, open=sandbox)
    try:
        clients = msgspec.json.decode(path.read_bytes())["clients"]
        return Clients(
            issuers={str(client["issuer"]): _keys(client["keys"]) for client in clients},
            origins=frozenset(str(origin) for client in clients for origin in client.get("origins", ())),
        )
    except OSError as error:
        raise InvalidSettings(VARIABLE, f"names a file that cannot be read ({error.strerror})") from None
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        form = '{"clients": [{"issuer": ..., "keys": {"keys": [...]}}]}'
        text = f"names a file that is not {form} with public keys"
        raise InvalidSettings(VARIABLE, text) from None


def _keys(given: Any) -> KeySet:
    if not given["keys"] or any(
        part in key or not key.get("kid") for key in given["keys"] for part in SECRET
    ):
        raise ValueError
    return KeySet.import_key_set(given)


def _check_claims(claims: Mapping[str, Any], audience: tuple[str, ...], now: datetime) -> None:
    named = claims.get("aud")
    if not {*audience} & {*(named if isinstance(named, list) else [named])}:
        raise NotTrusted("the audience of the token is not the URL that was called")
    begins, ends = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    if begins is None or ends is None:
        raise NotTrusted("the token needs iat and exp, in seconds")
    seconds = now.timestamp()
    if begins > seconds + LEEWAY.total_seconds() or ends < seconds - LEEWAY.total_seconds():
        raise NotTrusted("the token is not valid now")
    if ends - begins > LONGEST.total_seconds():
        raise NotTrusted(f"a token is valid for {LONGEST.total_seconds():.0f} seconds at most")
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise NotTrusted("the token needs jti")


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
