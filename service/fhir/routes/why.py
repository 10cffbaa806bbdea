"""The operation `CarePlan/[id]/$why`: each way out of the stage, and why it is taken or not.

OperationDefinition: fhir_profiles/definitions/OperationDefinition-CarePlan-why.json
"""

from flask import Response

from fhir_profiles import reading
from service import accessed, clock, situation
from service.fhir import blueprint, operations, why
from service.fhir.blueprint import fhir, needs
from service.fhir.refusals import Issue, NotFound
from service.store import resources
from service.store.senders import READ


@fhir.get("/CarePlan/<id_>/$why")
@fhir.post("/CarePlan/<id_>/$why")
@needs(READ)
def ask_why(id_: str) -> Response:
    """Return the answers of the rules to the record as it is now; nothing is stored."""
    operations.given(())
    with blueprint.database().transaction() as tx:
        stored = resources.current(tx, "CarePlan", id_, tenant=blueprint.TENANT)
        if stored is None or stored.deleted:
            raise NotFound(Issue(code="not-found", text="there is no such CarePlan"))
        plan = stored.resource
        pathway = situation.pathway_of(plan, blueprint.pathways()) if stored.owned else None
        if pathway is None:
            raise NotFound(Issue(code="not-found", text="this CarePlan is not of a pathway of this service"))
        which = situation.instance(plan)
        remembered = situation.memories(tx, which, tenant=blueprint.TENANT)
        asked = situation.read(tx, pathway, which, remembered, tenant=blueprint.TENANT)
        moment = clock.now(tx)
    if asked is None:
        raise NotFound(Issue(code="not-found", text="nothing is remembered of this CarePlan"))
    accessed.note([which.patient], stored.reference)
    return blueprint.resource(reading.write(why.parameters(asked, moment)).decode())
