"""What is asked for beneath the base and is not offered.

http://hl7.org/fhir/R4/http.html#summary
"""

from flask import Response, request

from service.fhir.blueprint import fhir
from service.fhir.refusals import Issue, NotFound, NotOffered


@fhir.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def elsewhere(rest: str) -> Response:
    """Say that there is no such interaction, and what to do instead."""
    if request.method == "DELETE":
        text = "nothing is deleted; send the resource with status entered-in-error"
        raise NotOffered(Issue(code="not-supported", text=text))
    if request.method == "PATCH":
        raise NotOffered(Issue(code="not-supported", text="send the whole resource with PUT"))
    if request.method == "GET" or "$" in rest:
        raise NotFound(Issue(code="not-supported", text="there is no such interaction; see metadata"))
    raise NotOffered(Issue(code="not-supported", text="this is not offered here; see metadata"))


@fhir.get("")
@fhir.get("/")
def whole_system() -> Response:
    """Say that searches name a type."""
    raise NotFound(Issue(code="not-supported", text="searches name a type; see metadata"))
