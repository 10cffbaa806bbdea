"""FHIR update: PUT one resource by id or identifier, as a transaction of one entry.

http://hl7.org/fhir/R4/http.html#update
"""

from typing import Any

from flask import Response, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import accessed
from service.auth import calling
from service.fhir import blueprint, conditional, entries, intake, outcome
from service.fhir.blueprint import fhir
from service.fhir.refusals import Refusal
from service.fhir.transaction import Accepted
from service.store import resources
from service.store.senders import READ


@fhir.put("/<type_>/<id_>")
def update(type_: str, id_: str) -> Response:
    """Store the resource under its id; there need not be one before."""
    return _put(type_, id_, None)


@fhir.put("/<type_>")
def conditional_update(type_: str) -> Response:
    """Store the resource that carries the identifier of the query."""
    return _put(type_, None, conditional.of_query(request.query_string))


def answer(tx: Connection, accepted: Accepted) -> Response:
    """Return the stored resource: 201 if it is new, else 200."""
    (head,) = accepted.stored
    status = 201 if accepted.response["entry"][0]["response"]["status"].startswith("201") else 200
    preferred = blueprint.preferred("return")
    # Who may only write is not told what others have written.
    hidden = not calling.may(READ) and _tells_more(accepted, head.owned)
    if preferred == "minimal" or hidden:
        text = ""
    elif preferred == "OperationOutcome":
        text = reading.write(outcome.stored(head, changed=accepted.changed)).decode()
    else:
        stored = resources.version(tx, head.type, head.id, head.version, tenant=blueprint.TENANT)
        text = stored.body if stored else ""
        if _tells_more(accepted, head.owned):
            accessed.note([head.patient], f"{head.type}/{head.id}")
    response = blueprint.resource(text, head, status=status)
    response.headers["Location"] = f"{blueprint.base()}{head.versioned}"
    return blueprint.due_header(response, accepted)


def _tells_more(accepted: Accepted, owned: bool) -> bool:
    """Return whether the answer holds what the sender did not send: it is an access then."""
    return owned or request.method == "PATCH" or (request.method == "POST" and not accepted.changed)


def _put(type_: str, id_: str | None, condition: str | None) -> Response:
    blueprint.known(type_)

    def as_bundle(resource: dict[str, Any]) -> dict[str, Any]:
        bundle = entries.one(resource, method="PUT", type_=type_, id_=id_, condition=condition)
        if etag := request.headers.get("If-Match"):
            bundle["entry"][0]["request"]["ifMatch"] = etag
        return bundle

    try:
        return intake.take_in(as_bundle, answer, repeatable=False)
    except Refusal as refusal:
        raise blueprint.renamed(refusal, type_) from refusal
