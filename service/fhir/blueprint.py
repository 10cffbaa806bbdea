"""The FHIR base, and what every interaction beneath it shares.

http://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from pathways.definition import Pathway
from service import accessed, acting, errors
from service.auth import calling
from service.fhir import media_types, patching, references, sent
from service.fhir.refusals import (
    Issue,
    NotExchanged,
    NotFound,
    NotOffered,
    NotReadable,
    OutOfDate,
    Refusal,
)
from service.fhir.searching import TYPES
from service.fhir.transaction import Accepted
from service.store import content
from service.store.database import Database
from service.store.resources import Head, Stored
from service.store.senders import READ as READ_SCOPE
from service.store.senders import WRITE as WRITE_SCOPE

fhir = Blueprint("fhir", __name__, url_prefix="/fhir")

_View = TypeVar("_View", bound=Callable[..., Response])

#: the scope that a view needs where its method does not tell, by the name of the view
_NEEDED: dict[str, str] = {}

#: the one tenant that is served
TENANT = 0

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: routes that only say that something is not offered
NOTHING_THERE = ("fhir.elsewhere", "fhir.whole_system")


@fhir.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """Answer what went wrong with an OperationOutcome."""
    if isinstance(error, NotFound) and (offered := methods()) and request.method not in offered:
        error = NotOffered(Issue(code="not-supported", text=f"here is {', '.join(offered)}; see metadata"))
    response = errors.answer(error)
    if isinstance(error, NotOffered):
        response.headers["Allow"] = ", ".join(methods())
    if isinstance(error, NotReadable) and request.method == "PATCH":
        response.headers["Accept-Patch"] = ", ".join(patching.FORMS)
    return response


@fhir.app_errorhandler(MethodNotAllowed)
def not_a_method(error: MethodNotAllowed) -> BaseResponse:
    """Answer a method that FHIR does not have, as TRACE, as one that is not offered. Elsewhere: as ever."""
    if f"{request.path}/".startswith(f"{fhir.url_prefix}/"):
        return failed(NotOffered(Issue(code="not-supported", text="there is no such method; see metadata")))
    return error.get_response()


@fhir.after_request
def pretty(response: Response) -> Response:
    """Write the answer for people where they ask for it."""
    if request.args.get("_pretty") == "true" and response.content_length and not response.is_streamed:
        response.set_data(msgspec.json.format(response.get_data(), indent=2))
    return response


def methods() -> tuple[str, ...]:
    """Return the methods that there are for the URL of the request; empty: it is none of ours."""
    urls = current_app.create_url_adapter(request)
    assert urls is not None
    found = []
    for method in METHODS:
        try:
            endpoint, of_url = urls.match(method=method)
        except HTTPException:
            continue
        if endpoint not in NOTHING_THERE and _is_place(of_url):
            found.append(method)
    # What is not found is said to be so by a route of its own, which knows OPTIONS as well.
    return (*found, "OPTIONS") if found else ()


def needs(scope: str) -> Callable[[_View], _View]:
    """Say which scope a view needs whatever its method is: an operation asked by POST may only read."""

    def say(view: _View) -> _View:
        _NEEDED[f"{fhir.name}.{view.__name__}"] = scope
        return view

    return say


@fhir.before_request
def only_with_credentials() -> None:
    """Refuse whoever does not say who they are, before anything else is said. A sandbox asks nobody."""
    hipway = current_app.extensions["hipway"]
    if hipway.settings.sandbox or request.endpoint == "fhir.metadata":
        return
    shown = request.authorization
    reader = hipway.reader() if shown is None and request.method in accessed.READS else None
    if reader is None:
        calling.note(calling.system(database(), shown, tenant=TENANT))
    else:
        calling.note(calling.person(reader))
    calling.require(*_scopes())


def _scopes() -> tuple[str, ...]:
    """Return the scopes of which one is needed. Of a Bundle, each entry needs its own later."""
    if request.method == "OPTIONS" or request.endpoint == "fhir.transaction":
        return (READ_SCOPE, WRITE_SCOPE)
    by_method = READ_SCOPE if request.method in accessed.READS else WRITE_SCOPE
    return (_NEEDED.get(request.endpoint or "", by_method),)


@fhir.before_request
def check_text() -> None:
    """Refuse a zero character in a URL or a form: no text of the store can hold one."""
    forms = (request.args, request.form) if request.path.endswith("/_search") else (request.args,)
    given = (text for form in forms for pair in form.items(multi=True) for text in pair)
    if any("\0" in text for text in (request.path, *given)):
        raise NotExchanged(Issue(code="value", text="a character is not allowed in a URL"))


@fhir.before_request
def check_place() -> None:
    """Refuse a URL whose parts cannot be a type and an id, before anything else is said of it."""
    if not _is_place(request.view_args or {}):
        raise NotFound(Issue(code="not-supported", text="R4 has no such type, or it is not kept here"))


@fhir.before_request
def options() -> Response | None:
    """Answer which methods there are for a URL."""
    if request.method != "OPTIONS":
        return None
    if not (offered := methods()):
        raise NotFound(Issue(code="not-supported", text="there is nothing here; see metadata"))
    response = Response(status=204)
    response.headers["Allow"] = ", ".join(offered)
    if "PATCH" in offered:
        response.headers["Accept-Patch"] = ", ".join(patching.FORMS)
    return response


fhir.before_request(media_types.check_accept)


@fhir.after_request
def write_down(response: Response) -> Response:
    """Write down whose data the answer holds."""
    settings = current_app.extensions["hipway"].settings
    # A link of a page leads here, too, and then it is a person who reads.
    cookie = request.cookies.get(acting.COOKIE) if settings.sandbox else None
    person = acting.opened(settings.secret_key, cookie)
    accessed.by(f"Practitioner/{person}" if person else calling.caller().name)
    accessed.write(response, tenant=TENANT)
    return response


@fhir.after_request
def write_down_what_was_sent(response: Response) -> Response:
    """Write down a request that was refused; what was stored is written down with it."""
    sent.write_others(response, database(), tenant=TENANT)
    return response


def base() -> str:
    """Return this service's own base, with a slash at the end."""
    return f"{current_app.extensions['hipway'].settings.base_url}/fhir/"


def database() -> Database:
    """Return the store."""
    found: Database = current_app.extensions["hipway"].database
    return found


def pathways() -> tuple[Pathway, ...]:
    """Return the pathways of this application."""
    found: tuple[Pathway, ...] = current_app.extensions["hipway"].pathways
    return found


def known(type_: str) -> str:
    """Return the type if resources of it are kept.

    Raises:
        NotFound: they are not.
    """
    if type_ not in TYPES:
        raise NotFound(Issue(code="not-supported", text="R4 has no such type, or it is not kept here"))
    return type_


def resource(text: str, version: Head | Stored | None = None, *, status: int = 200) -> Response:
    """Return a resource, with its version where it has one."""
    response = Response(text, status, content_type=errors.MEDIA_TYPE)
    if version:
        response.headers["ETag"] = f'W/"{version.version}"'
        response.last_modified = _whole_second(version.received)
    return response


def conditional(response: Response, version: int) -> Response:
    """Return the answer to a read, or 304 if the client has this version.

    Raises:
        OutOfDate: If-Match names another one.
    """
    # Versions are weak ETags here, by which If-Match never holds to those who follow HTTP to the letter.
    wanted = request.if_match
    if wanted and not wanted.contains_weak(str(version)):
        text = "the resource has another version than the one that If-Match names"
        raise OutOfDate(Issue(code="conflict", text=text))
    response.make_conditional({**request.environ, "HTTP_IF_MATCH": ""})
    return response


def preferred(name: str) -> str | None:
    """Return what the client prefers: of `Prefer: return=minimal`, `minimal`.

    https://www.rfc-editor.org/rfc/rfc7240#section-2
    """
    for preference in re.split("[,;]", request.headers.get("Prefer", "")):
        given, _, value = preference.strip().partition("=")
        if given.strip().lower() == name:
            return value.strip().strip('"')
    return None


def lenient() -> bool:
    """Return whether parameters that are not known are to be passed over."""
    return preferred("handling") == "lenient"


def due_header(response: Response, accepted: Accepted) -> Response:
    """Say when the evaluation follows, for whoever waits for it."""
    if accepted.due:
        response.headers["Evaluation-Due"] = content.instant(accepted.due.at)
    return response


def renamed(refusal: Refusal, type_: str) -> Refusal:
    """Return the refusal of a one-entry transaction as one of the resource itself."""
    return type(refusal)(
        *(
            Issue(code=issue.code, text=issue.text, expression=_alone(issue.expression, type_))
            for issue in refusal.issues
        )
    )


def _alone(expression: str | None, type_: str) -> str | None:
    entry = "Bundle.entry[0]"
    if expression is None or not expression.startswith(entry):
        return expression
    return expression.replace(f"{entry}.resource", type_).removeprefix(f"{entry}.")


def _is_place(of_url: Mapping[str, str]) -> bool:
    id_ = of_url.get("id_", "any")
    return of_url.get("type_", TYPES[0]) in TYPES and re.fullmatch(references.ID, id_) is not None


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
