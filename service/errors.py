"""Errors a client can see: one table from what happened to how it is answered.

An exception that is not in the table is a fault of ours: 500, with an id that is in
the log. Neither the answer nor the log repeats what the request held.
"""

import traceback
from collections.abc import Mapping
from uuid import uuid4

import psycopg
from flask import Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from fhir_profiles import reading
from service import log
from service.auth import calling
from service.fhir import outcome, refusals
from service.fhir.admission import Throttled
from service.fhir.refusals import Issue, Refusal
from service.store.database import sqlstate
from service.store.resources import VersionConflict

MEDIA_TYPE = "application/fhir+json"

ANSWERS: Mapping[type[Refusal], int] = {
    refusals.NotExchanged: 400,
    refusals.NoCredentials: 401,
    refusals.NotInScope: 403,
    refusals.NotYours: 403,
    refusals.FromElsewhere: 403,
    refusals.NotFound: 404,
    refusals.Gone: 410,
    refusals.NotOffered: 405,
    refusals.NotAcceptable: 406,
    refusals.Referred: 409,
    refusals.Ambiguous: 412,
    refusals.OutOfDate: 412,
    refusals.TooLarge: 413,
    refusals.NotReadable: 415,
    refusals.KeyReused: 422,
    refusals.NotValid: 422,
    refusals.TooMany: 429,
    refusals.WentWrong: 500,
    refusals.NotIndexed: 503,
}

#: seconds after which a client may try again when the database was not there
RETRY_AFTER_S = "5"

#: seconds after which a search may be tried again that `hipway reindex` has yet to make possible
INDEXED_AFTER_S = "60"

#: seconds after which whoever has as many of something as one may have may ask for one more
MANY_AFTER_S = "60"

#: no connection (08), shutting down (57P), too long a wait for a lock or a statement, no space
UNAVAILABLE = ("08", "57P", "57014", "55P03", "53", "40001", "40P01", "25P03")


def answer(error: Exception) -> Response:
    """Return the OperationOutcome, and its status, for what went wrong."""
    if isinstance(error, refusals.NoCredentials):
        response = respond(error.issues, ANSWERS[type(error)])
        response.headers.extend(
            [("WWW-Authenticate", challenge) for challenge in calling.challenges(request)]
        )
        return response
    if isinstance(error, Refusal):
        response = respond(error.issues, _status(error))
        if isinstance(error, refusals.NotIndexed):
            response.headers["Retry-After"] = INDEXED_AFTER_S
        if isinstance(error, refusals.TooMany):
            response.headers["Retry-After"] = MANY_AFTER_S
        return response
    if isinstance(error, reading.Unreadable):
        return respond([Issue(code=error.code, text=error.detail)], error.status)
    if isinstance(error, VersionConflict):
        text = f"{error} has another version than the one named"
        return respond([Issue(code="conflict", text=text)], 412)
    if isinstance(error, Throttled):
        text = f"more is sent than can be stored now, nothing was stored; {error}"
        response = respond([Issue(code="throttled", text=text)], 429)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    if isinstance(error, HTTPException):
        # Flask refuses by itself what it cannot parse.
        return respond([Issue(code="processing", text=error.name)], error.code or 400)
    if unavailable(error):
        log.get().warning("database unavailable", route=_route(), error=type(error).__name__)
        issue = Issue(code="transient", text="the database cannot be reached now; try again")
        response = respond([issue], 503)
        response.headers["Retry-After"] = RETRY_AFTER_S
        return response
    text = f"an error of this service, recorded as {record(error)}"
    return respond([Issue(code="exception", text=text)], 500)


def _status(refusal: Refusal) -> int:
    """Return the status of a refusal: that of its kind, or of what its kind is one of."""
    return next(ANSWERS[kind] for kind in type(refusal).__mro__ if kind in ANSWERS)


def respond(issues: list[Issue] | tuple[Issue, ...], status: int) -> Response:
    """Return an OperationOutcome with the issues."""
    return Response(reading.write(outcome.of(issues)), status, content_type=MEDIA_TYPE)


def record(error: Exception) -> str:
    """Log a fault of ours and return the id under which it is found.

    The message of an exception may hold values of a record, so only its type and the
    places it passed are written.
    """
    error_id = str(uuid4())
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    log.get().error(
        "request failed",
        error_id=error_id,
        route=_route(),
        error=type(error).__name__,
        places=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return error_id


def unavailable(error: Exception) -> bool:
    """Return whether the database was away or too busy, so that trying again may help."""
    if isinstance(error, NoConnection):
        return True
    if not isinstance(error, DBAPIError | psycopg.Error):
        return False
    state = sqlstate(error)
    if state is None:
        # A connection that is refused or breaks has no state to tell.
        cause = error.orig if isinstance(error, DBAPIError) else error
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(UNAVAILABLE)


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"
