"""Accounts, senders and browsers of a service in production, for tests."""

import re
from functools import cache
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from service.auth import tokens
from service.settings import Settings
from service.store import accounts, senders
from service.store.database import Database

BASE = "https://localhost"
PASSWORD = "correct horse battery"
SESSION = "__Host-hipway-session"
BEFORE = "__Host-hipway-sign-in"


def production(**more: Any) -> Settings:
    """Settings of an installation with a sign-in."""
    return Settings(
        **{
            "mode": "production",
            "base_url": BASE,
            "secret_key": "k" * 32,
            "broker_url": "redis://127.0.0.1:1/0",
            **more,
        }
    )


@cache
def _hash() -> str:
    # As it is kept, but cheap to check: tests sign in a hundred times.
    return generate_password_hash(PASSWORD, method="scrypt:1024:8:1")


def account(owner: Database, name: str, practitioner: str, *, password: bool = True) -> None:
    """Add an account, unless it is there."""
    owner.run(lambda tx: accounts.add(tx, name, practitioner, _hash() if password else None, tenant=0))


def sender(owner: Database, name: str, *scopes: str) -> str:
    """Add a sender and return its token."""
    token = tokens.new()
    owner.run(lambda tx: senders.issue(tx, name, scopes, tokens.digest(token), tenant=0))
    return token


def hidden(html: str, action: str) -> dict[str, str]:
    """The hidden fields of the first form with this action."""
    for found in re.finditer(r'<form[^>]*action="([^"]*)".*?</form>', html, re.DOTALL):
        if found[1] == action:
            fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found[0])
            return {name: unescape(value) for name, value in fields}
    raise AssertionError(f"there is no form that posts to {action}")


def browser(app: Any) -> FlaskClient:
    """A browser that reaches the application by its name."""
    client = app.test_client()
    client.environ_base = {**client.environ_base, "wsgi.url_scheme": "https"}
    return client


def sign_in(
    client: FlaskClient, name: str = "vogt", password: str = PASSWORD, *, at: str = "/sign-in", **more: Any
):
    """Fill in the form of the sign-in page and post it."""
    fields = hidden(client.get(at, base_url=BASE).text, "/sign-in")
    return client.post("/sign-in", data={**fields, "name": name, "password": password}, base_url=BASE, **more)
