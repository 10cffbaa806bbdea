"""What is asked for beneath the base and is not offered.

http://hl7.org/fhir/R4/http.html#summary
"""

from flask import Response

from service.fhir import blueprint
from service.fhir.blueprint import fhir
from service.fhir.refusals import Issue, NotFound, NotOffered


@fhir.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def elsewhere(rest: str) -> Response:
    """Say that there is no such interaction, and what to do instead."""
    if not blueprint.methods() or "$" in rest:
        raise NotFound(Issue(code="not-supported", text="there is no such interaction; see metadata"))
    raise NotOffered(Issue(code="not-supported", text="this is not offered here; see metadata"))


@fhir.route("", methods=["GET", "PUT", "PATCH", "DELETE"])
@fhir.route("/", methods=["GET", "PUT", "PATCH", "DELETE"])
def whole_system() -> Response:
    """Say that searches name a type, and that only Bundles are sent here."""
    text = "searches name a type, and a Bundle is sent here with POST; see metadata"
    raise NotOffered(Issue(code="not-supported", text=text))
