"""`/openapi.json`: the whole HTTP surface as an OpenAPI document. It says nothing of anybody.

https://spec.openapis.org/oas/v3.1.0
"""

from flask import Blueprint, Response, current_app, request

from fhir_profiles import reading
from service import errors
from service.openapi import document as documents
from service.openapi.answers import JSON

openapi = Blueprint("openapi", __name__)


@openapi.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """Answer what went wrong with an OperationOutcome, as the FHIR base does."""
    return errors.answer(error)


@openapi.get("/openapi.json")
def document() -> Response:
    """Return this document, made of the routes and tables of the service."""
    response = Response(reading.write(documents.kept(current_app)), content_type=JSON)
    response.add_etag()
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = 304
        response.set_data(b"")
    return response
