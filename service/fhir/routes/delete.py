"""FHIR delete: remove one resource by id or identifier, as a transaction of one entry.

http://hl7.org/fhir/R4/http.html#delete
"""

from flask import Response, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service.fhir import blueprint, conditional, entries, intake, outcome
from service.fhir.blueprint import fhir
from service.fhir.refusals import Refusal
from service.fhir.transaction import Accepted


@fhir.delete("/<type_>/<id_>")
def delete(type_: str, id_: str) -> Response:
    """Remove the resource; one that is not there is as well removed."""
    return _delete(type_, id_, None)


@fhir.delete("/<type_>")
def conditional_delete(type_: str) -> Response:
    """Remove the resource that carries the identifier of the query; several are refused."""
    return _delete(type_, None, conditional.of_query(request.query_string))


def _delete(type_: str, id_: str | None, condition: str | None) -> Response:
    bundle = entries.one(None, method="DELETE", type_=type_, id_=id_, condition=condition)
    if etag := request.headers.get("If-Match"):
        bundle["entry"][0]["request"]["ifMatch"] = etag
    try:
        return intake.carry_out(bundle, _answer)
    except Refusal as refusal:
        raise blueprint.renamed(refusal, type_) from refusal


def _answer(_tx: Connection, accepted: Accepted) -> Response:
    head = accepted.stored[0] if accepted.stored else None
    if head and blueprint.preferred("return") == "OperationOutcome":
        text = reading.write(outcome.removed(head)).decode()
        response = blueprint.resource(text, head)
    else:
        response = blueprint.resource("", head, status=204)
        del response.headers["Content-Type"]
    return blueprint.due_header(response, accepted)
