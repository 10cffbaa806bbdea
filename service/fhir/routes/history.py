"""FHIR history of one resource, newest version first.

http://hl7.org/fhir/R4/http.html#history
"""

from typing import Any

import msgspec
from flask import Response

from fhir_profiles import reading
from service.fhir import blueprint
from service.fhir.blueprint import fhir
from service.fhir.refusals import Issue, NotFound
from service.store import content, resources
from service.store.resources import Stored


@fhir.get("/<type_>/<id_>/_history")
def history(type_: str, id_: str) -> Response:
    """Return every version of the resource."""
    with blueprint.database().transaction() as tx:
        versions = resources.history(tx, blueprint.known(type_), id_, tenant=blueprint.TENANT)
    if not versions:
        raise NotFound(Issue(code="not-found", text="there is no such resource"))
    link = {"relation": "self", "url": f"{blueprint.base()}{type_}/{id_}/_history"}
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "total": len(versions),
        "link": [link],
        "entry": [_entry(version) for version in versions],
    }
    return blueprint.resource(reading.write(bundle).decode())


def _entry(version: Stored) -> dict[str, Any]:
    first = version.version == 1
    return {
        "fullUrl": f"{blueprint.base()}{version.reference}",
        "resource": msgspec.Raw(version.body.encode()),
        "request": {"method": "PUT", "url": version.reference},
        "response": {
            "status": "201 Created" if first else "200 OK",
            "etag": f'W/"{version.version}"',
            "lastModified": content.instant(version.received),
        },
    }
