"""FHIR read and vread.

http://hl7.org/fhir/R4/http.html#read
"""

from flask import Response, request

from service.fhir import blueprint
from service.fhir.blueprint import fhir
from service.fhir.refusals import Gone, Issue, NotFound
from service.store import resources
from service.store.resources import Stored


@fhir.get("/<type_>/<id_>")
def read(type_: str, id_: str) -> Response:
    """Return the current version, or 304 if the client has it."""
    with blueprint.database().transaction() as tx:
        stored = resources.current(tx, blueprint.known(type_), id_, tenant=blueprint.TENANT)
    return _answer(stored)


@fhir.get("/<type_>/<id_>/_history/<version>")
def vread(type_: str, id_: str, version: str) -> Response:
    """Return one version, current or superseded."""
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
    with blueprint.database().transaction() as tx:
        stored = resources.version(tx, blueprint.known(type_), id_, number, tenant=blueprint.TENANT)
    return _answer(stored)


def _answer(stored: Stored | None) -> Response:
    if stored is None:
        raise NotFound(Issue(code="not-found", text="there is no such resource or version"))
    if stored.deleted:
        raise Gone(Issue(code="deleted", text="the resource was removed"))
    response = blueprint.resource(stored.body, stored)
    response.make_conditional(request)
    return response
