"""FHIR transaction: POST a visit to the base.

http://hl7.org/fhir/R4/http.html#transaction
"""

from flask import Response

from fhir_profiles import reading
from service.fhir import blueprint
from service.fhir.blueprint import fhir


@fhir.post("")
@fhir.post("/")
def transaction() -> Response:
    """Store the Bundle whole or not at all, and promise an evaluation.

    Answers 200 and a `transaction-response` after the commit.
    """
    accepted = blueprint.store(blueprint.body(), repeatable=True)
    response = blueprint.resource(reading.write(accepted.response).decode())
    return blueprint.due_header(response, accepted)
