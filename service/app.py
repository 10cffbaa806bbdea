"""The Flask application: which parts are wired, and what holds for every request."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from flask.sessions import SessionInterface
from sqlalchemy.exc import OperationalError

from fhir_profiles import reading
from pathways import catalogue
from pathways.definition import Pathway
from service import errors, health, log, origins
from service.cds import clients
from service.cds.routes import cds
from service.fhir import routes as _interactions  # noqa: F401 - importing them registers them
from service.fhir.admission import Admission
from service.fhir.blueprint import fhir
from service.fhir.refusals import FromElsewhere, Issue
from service.hook import hook
from service.openapi.routes import openapi
from service.sandbox import routes as sandbox
from service.settings import Settings
from service.store.database import Database
from service.web import pages, signed_in, visit, words
from service.web.words import Words

#: names under which a browser on the same machine reaches a sandbox
LOOPBACK = ("localhost", "127.0.0.1", "::1")

SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the routes of this process share; `app.extensions["hipway"]`."""

    settings: Settings
    database: Database
    pathways: tuple[Pathway, ...]
    #: what the pages say, by language
    words: Mapping[str, Words]
    health: health.Watch
    intake: Admission
    #: the person who is signed in, for links of pages that lead to the FHIR interface
    reader: Callable[[], str | None]
    #: what shows that somebody is signed in, and the endpoints that nobody needs it for
    session_cookie: str
    open_pages: tuple[str, ...]


class NoSession(SessionInterface):
    """No session of the framework: who is signed in, `service.web.signed_in` knows, and the rest is asked."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Return that there is none."""


class Service(Flask):
    """Flask without what every request would pay for and none here uses."""

    session_interface = NoSession()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, which is none of asyncio's: Flask would look at each, ten times a request."""
        return func


def create_app(settings: Settings, database: Database | None = None) -> Flask:
    """Return the application for these settings.

    Args:
        database: the one in the settings by default.

    Raises:
        NotDurable: the database may forget what it acknowledged.
        Exception: a pathway cannot be run; the reasons are in its message.
    """
    database = database or Database(settings.database_url, pool_size=8, overflow=settings.web_connections - 8)
    try:
        database.assert_durable()
    except OperationalError:
        # It may still be starting; readiness says so, and requests are answered 503.
        log.get().warning("database not reached at start")
    app = Service("service", static_folder=None)
    app.secret_key = settings.secret_key
    # forms too are read whole; one byte more than a body may have, which is refused by name
    app.config["MAX_CONTENT_LENGTH"] = reading.MAX_BYTES + 1
    app.json.sort_keys = False  # type: ignore[attr-defined]
    watch = health.Watch()
    intake = Admission(slots=settings.intake_slots, queue=settings.intake_queue)
    watch.registry.register(intake)
    installed = catalogue.pathways()
    app.extensions["hipway"] = App(
        settings=settings,
        database=database,
        pathways=installed,
        words={language: words.knowing(language, installed) for language in words.LANGUAGES},
        health=watch,
        intake=intake,
        reader=visit.reader,
        session_cookie=signed_in.COOKIE,
        open_pages=signed_in.OPEN,
    )
    # Whom the file trusts is part of the settings: one that cannot be used ends the start.
    trusted = clients.read(settings.cds_clients, sandbox=settings.sandbox)
    app.extensions["hipway-cds"] = trusted
    app.before_request(lambda: _check_origin(settings, trusted.origins))
    app.after_request(health.count)
    app.register_blueprint(health.health)
    app.register_blueprint(fhir)
    app.register_blueprint(cds)
    app.register_blueprint(hook)
    app.register_blueprint(openapi)
    app.register_blueprint(pages)
    if settings.sandbox:
        app.register_blueprint(sandbox)
    return app


def _check_origin(settings: Settings, trusted: Collection[str]) -> Response | None:
    """Refuse what a browser sends for a page that is not ours.

    A sandbox has no login, so whoever reaches it may do everything; a page elsewhere must
    not reach it through a visitor's browser, nor under a name it made up for our address.
    The pages of a trusted client of CDS Hooks may call that, with a token, and nothing else.
    """
    own = urlsplit(settings.base_url).netloc
    # The hospital's server may know this one by another name; its calls are told by their secret.
    elsewhere = settings.sandbox and _name(request.host) not in (_name(own), settings.host, *LOOPBACK)
    if elsewhere and request.blueprint != hook.name:
        text = "this service is not reached by that Host"
        return errors.answer(FromElsewhere(Issue(code="forbidden", text=text)))
    if request.method in SAFE:
        return None
    origin = request.headers.get("Origin")
    if origin in trusted and request.blueprint == cds.name:
        return None
    hosts = {request.host, own}
    from_elsewhere = origin is not None and not origins.names(origin, hosts)
    if from_elsewhere or request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return errors.answer(
            FromElsewhere(
                Issue(code="forbidden", text="a page of another origin may not change anything here")
            )
        )
    return None


@lru_cache(maxsize=64)  # the same few in every request
def _name(netloc: str) -> str:
    """Return the host without its port; of IPv6 without its brackets."""
    parts = origins.read(f"//{netloc}")
    return ((parts.hostname if parts else None) or "").lower()
