"""How we say who we are: not at all, by a password, by a token, or by a statement we sign.

http://hl7.org/fhir/smart-app-launch/backend-services.html
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from service.environment import InvalidSettings
from service.hospital.answers import SKEW_S, Answer, Kind, read
from service.hospital.settings import PREFIX, Hospital
from service.hospital.transport import Failed, Raw, Transport

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: a statement is good for a few minutes, a token is renewed a little before its end
LIFE = timedelta(minutes=4)
EARLY = timedelta(seconds=30)
#: of a token whose end is not said
UNSAID_S = 60

Time = Callable[[], datetime]


class NotAuthenticated(Exception):
    """The authorization server gave no token; its answer says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.kind.value)
        self.answer = answer


class Authentication(Protocol):
    """What stands in the Authorization header."""

    def header(self) -> str | None:
        """Return the value of the header.

        Raises:
            NotAuthenticated: there is none to be had.
        """

    def renew(self) -> bool:
        """Forget what was refused. Returns whether the next header is another one."""


class Fixed:
    """Nothing, a password or a token that somebody wrote down."""

    def __init__(self, value: str | None) -> None:
        """Keep the value."""
        self._value = value

    def header(self) -> str | None:
        """Return the value."""
        return self._value

    def renew(self) -> bool:
        """Return that it stays the same."""
        return False


class Signed:
    """SMART Backend Services: a statement signed with our key is exchanged for a short token."""

    def __init__(self, hospital: Hospital, transport: Transport, now: Time) -> None:
        """Read the key; nothing is asked yet.

        Raises:
            InvalidSettings: it is no key.
        """
        self._hospital = hospital
        self._transport = transport
        self._now = now
        self._key, self._algorithm = _private(hospital.key)
        self._token = ""
        self._until: datetime | None = None

    def header(self) -> str:
        """Return the token, a new one if the last one is at its end."""
        if self._until is None or self._now() >= self._until:
            self._fetch()
        return f"Bearer {self._token}"

    def renew(self) -> bool:
        """Forget the token: it may have been taken back before its time."""
        had = self._until is not None
        self._until = None
        return had

    def _fetch(self) -> None:
        url = self._hospital.token_url or self._discovered()
        raw = self._ask_for_token(url, at=self._now())
        answer = _of_token(raw, self._now())
        if not answer.taken and answer.skew_s is not None and abs(answer.skew_s) > SKEW_S:
            # A server whose clock is wrong takes a right statement for an old one, or for one of the
            # future. It is made once more, for the time that the server believes it is.
            raw = self._ask_for_token(url, at=self._now() + timedelta(seconds=answer.skew_s))
            again = _of_token(raw, self._now())
            if not again.taken:
                raise NotAuthenticated(
                    Answer(kind=Kind.NO_TOKEN_FOR_CLOCK, status=again.status, skew_s=again.skew_s)
                )
            answer = again
        if not answer.taken:
            raise NotAuthenticated(answer)
        self._token = answer.body["access_token"]
        life = answer.body.get("expires_in")
        seconds = life if isinstance(life, int) and life > 0 else UNSAID_S
        self._until = self._now() + max(timedelta(seconds=min(seconds, 86_400)) - EARLY, timedelta(seconds=1))

    def _ask_for_token(self, url: str, *, at: datetime) -> Raw:
        claims = {
            "iss": self._hospital.client_id,
            "sub": self._hospital.client_id,
            "aud": url,
            "iat": int(at.timestamp()),
            "exp": int((at + LIFE).timestamp()),
            "jti": str(uuid4()),
        }
        header = {"alg": self._algorithm, "typ": "JWT"}
        if kid := self._hospital.key_id or str(self._key.kid or ""):
            header["kid"] = kid
        statement = jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
        form = {
            "grant_type": "client_credentials",
            "scope": self._hospital.scope,
            "client_assertion_type": ASSERTION,
            "client_assertion": statement,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return self._exchange("POST", url, urlencode(form).encode(), headers)

    def _discovered(self) -> str:
        """Return where the server says that tokens are given; never in clear where the server is not."""
        url = f"{self._hospital.url}/.well-known/smart-configuration"
        raw = self._exchange("GET", url, None, {"Accept": "application/json"})
        found = _object(raw.body).get("token_endpoint") if raw.status == 200 else None
        secure = isinstance(found, str) and found.startswith("https://")
        if not isinstance(found, str) or not (secure or self._hospital.url.startswith("http://")):
            raise NotAuthenticated(Answer(kind=Kind.NO_TOKEN, status=raw.status))
        return found

    def _exchange(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> Raw:
        try:
            return self._transport.exchange(method, url, content=content, headers=headers)
        except Failed as failed:
            # Whatever it was, the FHIR server itself has not been asked anything yet.
            untrusted = failed.kind is Kind.UNTRUSTED
            kind = Kind.UNTRUSTED if untrusted else Kind.NO_TOKEN
            raise NotAuthenticated(Answer(kind=kind, status=failed.status)) from None


def of(hospital: Hospital, transport: Transport, now: Time) -> Authentication:
    """Return how we say to this server who we are.

    Args:
        now: the machine's own clock; tokens end by it.

    Raises:
        InvalidSettings: the key cannot be used.
    """
    match hospital.auth:
        case "basic":
            pair = base64.b64encode(f"{hospital.user}:{hospital.password}".encode()).decode()
            return Fixed(f"Basic {pair}")
        case "bearer":
            return Fixed(f"Bearer {hospital.token}")
        case "smart":
            return Signed(hospital, transport, now)
        case _:
            return Fixed(None)


def _private(text: str) -> tuple[jwk.RSAKey | jwk.ECKey, str]:
    """Return the key and the algorithm that the specification asks of every server for such a key."""
    variable = PREFIX + "KEY_FILE"
    key: object
    try:
        if text.lstrip().startswith("{"):
            key = jwk.import_key(json.loads(text))
        else:
            key = _from_pem(text)
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidSettings(variable, "names a file that holds no private key, as PEM or JWK") from None
    if isinstance(key, jwk.RSAKey) and key.is_private:
        return key, "RS384"
    if isinstance(key, jwk.ECKey) and key.is_private and key.curve_name == "P-384":
        return key, "ES384"
    raise InvalidSettings(variable, "must hold a private key of RSA, or of the curve P-384")


def _from_pem(text: str) -> jwk.RSAKey | jwk.ECKey:
    try:
        return jwk.RSAKey.import_key(text)
    except (JoseError, ValueError, TypeError):
        return jwk.ECKey.import_key(text)


def _of_token(raw: Raw, now: datetime) -> Answer:
    """Return a token response as an answer; its body is the token's."""
    found = _object(raw.body)
    token = found.get("access_token")
    skew = read(raw.status, raw.headers, b"", expected="", now=now).skew_s
    if raw.status == 200 and isinstance(token, str) and token.isprintable() and token.isascii():
        return Answer(kind=Kind.TAKEN, status=200, body=found, skew_s=skew)
    return Answer(kind=Kind.NO_TOKEN, status=raw.status, skew_s=skew)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
