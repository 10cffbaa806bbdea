"""FHIR read and vread.

http://hl7.org/fhir/R4/http.html#read
"""

from flask import Response, request

from fhir_profiles import reading
from service import accessed, digits
from service.fhir import access_events, blueprint, subset
from service.fhir.blueprint import fhir
from service.fhir.refusals import Gone, Issue, NotFound
from service.fhir.subset import Shape
from service.store import resources
from service.store.resources import Stored


@fhir.get("/<type_>/<id_>")
def read(type_: str, id_: str) -> Response:
    """Return the current version, or 304 if the client has it."""
    shape = _shape(type_)
    with blueprint.database().transaction() as tx:
        if type_ == access_events.TYPE and (event := access_events.one(tx, id_, tenant=blueprint.TENANT)):
            return blueprint.resource(subset.of(reading.write(event).decode(), shape))
        stored = resources.current(tx, blueprint.known(type_), id_, tenant=blueprint.TENANT)
    return _answer(stored, shape)


@fhir.get("/<type_>/<id_>/_history/<version>")
def vread(type_: str, id_: str, version: str) -> Response:
    """Return one version, current or superseded."""
    shape = _shape(type_)
    number = digits.read(version, most=9) or 0
    with blueprint.database().transaction() as tx:
        stored = resources.version(tx, blueprint.known(type_), id_, number, tenant=blueprint.TENANT)
    return _answer(stored, shape)


def _shape(type_: str) -> Shape:
    shape = subset.read(request.args.items(multi=True), of_search=False)
    subset.check(blueprint.known(type_), shape)
    return shape


def _answer(stored: Stored | None, shape: Shape) -> Response:
    if stored is None:
        raise NotFound(Issue(code="not-found", text="there is no such resource or version"))
    if stored.deleted:
        raise Gone(Issue(code="deleted", text="the resource was removed"))
    accessed.note([stored.patient], stored.reference)
    return blueprint.conditional(blueprint.resource(subset.of(stored.body, shape), stored), stored.version)
