"""A small OpenID Connect provider: a real HTTP server that signs tokens, rightly or in every wrong way.

https://openid.net/specs/openid-connect-core-1_0.html
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "hipway", "s3cret of the client"


@dataclass
class Provider:
    """What the provider knows, and what it is told to do wrong."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}, private=True))
    #: claims that replace the right ones; None: leave the claim out
    wrong: dict[str, Any] = field(default_factory=dict)
    #: how the token is signed
    signed: str = "RS256"
    user: str = "m.vogt"
    #: what it says of itself in place of the truth
    says: dict[str, str] = field(default_factory=dict)
    #: paths at which it closes the connection without an answer
    silent: set[str] = field(default_factory=set)
    #: what each code was given for
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, question: dict[str, str]) -> str:
        """Return where the browser of somebody who signs in is sent back to."""
        code = f"code-{len(self.codes)}"
        self.codes[code] = question
        back = {"code": code, "state": question["state"], "iss": self.issuer}
        return f"{question['redirect_uri']}?{urlencode(back)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code, as RFC 6749 and RFC 7636 have it."""
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        good = (
            given == f"{CLIENT}:{SECRET.replace(' ', '+')}"
            and asked is not None
            and asked["code_challenge_method"] == "S256"
            and proof.decode().rstrip("=") == asked["code_challenge"]
            and form["redirect_uri"] == asked["redirect_uri"]
        )
        if not good or asked is None:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "4711",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": self.user,
        }
        claims = {name: value for name, value in {**claims, **self.wrong}.items() if value is not None}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self._sign(claims)}

    def _sign(self, claims: dict[str, Any]) -> str:
        if self.signed == "none":
            parts = ({"alg": "none"}, claims)
            return ".".join(map(_part, parts)) + "."
        if self.signed == "HS256":
            # With the public key as the secret, which everybody has.
            import hmac

            head = ".".join(map(_part, ({"alg": "HS256", "kid": "one"}, claims)))
            digest = hmac.new(self.key.as_pem(private=False), head.encode(), hashlib.sha256).digest()
            return f"{head}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
        if self.signed == "another key":
            other = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
            return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other)
        return jwt.encode({"alg": self.signed, "kid": "one"}, claims, self.key)


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on a port of this machine."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path in provider.silent:
                return None
            if asked.path == "/.well-known/openid-configuration":
                names = {
                    f"{each}_endpoint": f"{provider.issuer}/{each}" for each in ("authorization", "token")
                }
                about = {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/keys", **names}
                return self._answer(200, {**about, **provider.says})
            if asked.path == "/keys":
                return self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
            question = {name: values[0] for name, values in parse_qs(asked.query).items()}
            self.send_response(302)
            self.send_header("Location", provider.authorize(question))
            self.end_headers()
            return None

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*provider.token(form, self.headers.get("Authorization", "")))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()
