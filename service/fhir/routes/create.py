"""FHIR create: POST one resource, as a transaction of one entry.

http://hl7.org/fhir/R4/http.html#create
"""

from functools import partial

from flask import Response, request

from service.fhir import blueprint, conditional, entries, intake
from service.fhir.blueprint import fhir
from service.fhir.refusals import Refusal
from service.fhir.routes.update import answer


@fhir.post("/<type_>")
def create(type_: str) -> Response:
    """Store a new resource, or find the one that the condition names."""
    blueprint.known(type_)
    condition = conditional.of_create(request.headers.get(conditional.HEADER), request.query_string)
    as_bundle = partial(entries.one, method="POST", type_=type_, id_=None, condition=condition)
    try:
        return intake.take_in(as_bundle, answer, repeatable=False)
    except Refusal as refusal:
        raise blueprint.renamed(refusal, type_) from refusal
