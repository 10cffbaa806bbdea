"""FHIR create: POST one resource, as a transaction of one entry.

http://hl7.org/fhir/R4/http.html#create
"""

from flask import Response, request

from service.fhir import blueprint, entries
from service.fhir.blueprint import fhir
from service.fhir.refusals import Refusal
from service.fhir.routes.update import answer


@fhir.post("/<type_>")
def create(type_: str) -> Response:
    """Store a new resource, or find the one that `If-None-Exist` names."""
    blueprint.known(type_)
    bundle = entries.one(
        blueprint.body(),
        method="POST",
        type_=type_,
        id_=None,
        condition=request.headers.get("If-None-Exist"),
    )
    try:
        return answer(blueprint.store(bundle, repeatable=False))
    except Refusal as refusal:
        raise blueprint.renamed(refusal, type_) from refusal
