"""FHIR transaction: POST a visit to the base.

http://hl7.org/fhir/R4/http.html#transaction
"""

from flask import Response
from sqlalchemy import Connection

from fhir_profiles import reading
from service.fhir import blueprint, intake
from service.fhir.blueprint import fhir
from service.fhir.transaction import Accepted


@fhir.post("")
@fhir.post("/")
def transaction() -> Response:
    """Store the Bundle whole or not at all, and promise an evaluation.

    Answers 200 and a `transaction-response` after the commit.
    """
    return intake.take_in(lambda bundle: bundle, _answer, repeatable=True, answer_reads=False)


def _answer(_tx: Connection, accepted: Accepted) -> Response:
    response = blueprint.resource(reading.write(accepted.response).decode())
    return blueprint.due_header(response, accepted)
