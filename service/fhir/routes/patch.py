"""FHIR patch: change parts of one resource by JSON Patch or FHIRPath Patch, as a transaction of one entry.

http://hl7.org/fhir/R4/http.html#patch
"""

from functools import partial
from typing import Any

from flask import Response, request

from service.fhir import blueprint, conditional, entries, intake, patching
from service.fhir.blueprint import fhir
from service.fhir.refusals import Issue, NotReadable, Refusal
from service.fhir.routes.update import answer


@fhir.patch("/<type_>/<id_>")
def patch(type_: str, id_: str) -> Response:
    """Change the resource."""
    return _patch(type_, id_, None)


@fhir.patch("/<type_>")
def conditional_patch(type_: str) -> Response:
    """Change the resource that carries the identifier of the query."""
    return _patch(type_, None, conditional.of_query(request.query_string))


def _patch(type_: str, id_: str | None, condition: str | None) -> Response:
    def as_bundle(sent: dict[str, Any]) -> dict[str, Any]:
        if not patching.is_one(sent):
            raise NotReadable(Issue(code="not-supported", text=patching.NOT_ONE))
        bundle = entries.one(sent, method="PATCH", type_=type_, id_=id_, condition=condition)
        if etag := request.headers.get("If-Match"):
            bundle["entry"][0]["request"]["ifMatch"] = etag
        return bundle

    try:
        return intake.take_in(
            as_bundle,
            answer,
            repeatable=False,
            forms=(*patching.FORMS, "application/json"),
            read=partial(patching.read, media_type=request.mimetype),
            said=patching.NOT_ONE,
        )
    except Refusal as refusal:
        raise blueprint.renamed(refusal, type_) from refusal
