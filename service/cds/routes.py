"""The three URLs of CDS Hooks: discovery, a call of a service, and feedback on what it answered.

    GET  /cds-services                 what there is, and what each service asks for
    POST /cds-services/{id}            cards; nothing is stored
    POST /cds-services/{id}/feedback   what became of cards; kept

https://cds-hooks.hl7.org/2.0/
"""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, current_app, g, request
from sqlalchemy import Connection, func, select

from fhir_profiles import reading
from pathways import catalogue
from service import accessed, clock, consulting, errors
from service.cds import asking, cards, feedback, services
from service.cds.asking import Lacking
from service.cds.clients import Clients, NotTrusted
from service.cds.services import Service
from service.fhir import knowledge
from service.fhir.refusals import Issue, NotFound, NotReadable
from service.store import feedback as kept_feedback
from service.store import site
from service.store.database import Database

cds = Blueprint("cds", __name__, url_prefix="/cds-services")

#: the one tenant that is served, as at the FHIR base
TENANT = 0
JSON = "application/json"
#: how long a browser may remember what it may send
PREFLIGHT_S = "600"


@cds.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """Answer what went wrong with an OperationOutcome, as the FHIR base does."""
    if isinstance(error, Lacking):
        return errors.respond([Issue(code="required", text=str(error))], 412)
    if isinstance(error, NotTrusted):
        response = errors.respond([Issue(code="login", text=str(error))], 401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return errors.answer(error)


@cds.before_request
def check_caller() -> None:
    """Refuse whoever is not trusted, before anything is read.

    Raises:
        NotTrusted: the call names nobody who is trusted.
    """
    if request.method == "OPTIONS":
        # A browser asks first, and cannot sign its question.
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    called = f"{_base()}{request.path.rstrip('/')}"
    audience = (called, called.removesuffix("/feedback"))
    with _database().transaction() as tx:
        now = _machine_time(tx)
    g.cds_client = _clients().check(token if scheme.lower() == "bearer" else None, audience, now)


@cds.after_request
def let_pages_read(response: Response) -> Response:
    """Let the pages of trusted clients read the answer in a browser.

    https://cds-hooks.hl7.org/2.0/#cross-origin-resource-sharing
    """
    origin = request.headers.get("Origin")
    response.headers.add("Vary", "Origin")
    if origin in _clients().origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = PREFLIGHT_S
    return response


@cds.after_request
def write_down(response: Response) -> Response:
    """Write down whose data, of those stored here, the answer holds."""
    accessed.by(g.get("cds_client") or "cds-client")
    accessed.write(response, tenant=TENANT)
    return response


@cds.get("")
@cds.get("/")
def discovery() -> Response:
    """Return the services and what each asks for."""
    with _database().transaction() as tx:
        state = site.read(tx, tenant=TENANT)
        translations = knowledge.translations(tx, state.concept_maps, tenant=TENANT)
    return _json(services.discovery(catalogue.codes(), translations))


@cds.post("/<id_>")
def call(id_: str) -> Response:
    """Return the cards of a service for what was sent along. Nothing is stored."""
    service = _service(id_)
    asked = asking.read(service, _body())
    pathways = current_app.extensions["hipway"].pathways

    def look(tx: Connection) -> consulting.Consultation:
        return consulting.consult(tx, asked.patient, asked.resources, pathways, tenant=TENANT)

    found = _database().run(look, isolation="REPEATABLE READ")
    made = (
        cards.of_orders(found, asked.orders, base=_base())
        if service is services.SIGN
        else cards.of_patient(found, base=_base())
    )
    if found.known:
        accessed.note([found.patient])
    return _json({"cards": made})


@cds.post("/<id_>/feedback")
def give_feedback(id_: str) -> Response:
    """Keep what became of cards."""
    given = feedback.read(_service(id_), _body())
    with _database().transaction() as tx:
        kept_feedback.add(tx, given, tenant=TENANT, sender=g.cds_client, now=clock.now(tx))
    return Response(status=200)


def _service(id_: str) -> Service:
    if id_ not in services.SERVICES:
        known = ", ".join(services.SERVICES)
        raise NotFound(Issue(code="not-found", text=f"the services are {known}; see /cds-services"))
    return services.SERVICES[id_]


def _body() -> dict[str, Any]:
    if request.mimetype not in (JSON, ""):
        raise NotReadable(Issue(code="not-supported", text=f"send Content-Type: {JSON}"))
    return reading.read(request.get_data())


def _json(answer: dict[str, Any]) -> Response:
    return Response(reading.write(answer), 200, content_type=JSON)


def _machine_time(tx: Connection) -> datetime:
    """Return the database's time: tokens follow real time, also where a sandbox has set its clock."""
    now: datetime = tx.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _base() -> str:
    return str(current_app.extensions["hipway"].settings.base_url)


def _clients() -> Clients:
    found: Clients = current_app.extensions["hipway-cds"]
    return found


def _database() -> Database:
    found: Database = current_app.extensions["hipway"].database
    return found
