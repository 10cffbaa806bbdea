"""What belongs to a patient: found by any of the references that make it so.

http://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from fhir_profiles.r4 import search_parameters
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.conditions import parameters_of
from service.fhir.criteria.references import by_column
from service.fhir.criteria.sql import Sql
from service.fhir.refusals import Issue, NotFound

# Each reference is looked for by itself: joined by OR, none of them could be looked for at all.
_BELONGING = """r.key IN (
    SELECT c.key FROM resource c WHERE c.tenant = %s AND c.patient = %s AND c.type = %s AND %s
    UNION ALL
    SELECT c.key FROM search_value c
    WHERE c.tenant = %s AND c.type = %s AND c.name = ANY(%s) AND c.value = %s)"""


def condition(type_: str, patient: str, *, tenant: int) -> Sql:
    """Return the condition that a resource belongs to the patient.

    Raises:
        NotFound: resources of the type belong to nobody.
    """
    if type_ == "Patient":
        return Sql("r.id = %s", (patient,))
    names = search_parameters.in_patient_compartment().get(type_)
    if names is None:
        text = f"{type_} is not in the compartment of a patient; search it by itself"
        raise NotFound(Issue(code="not-supported", text=text))
    asked = [
        Asked(type=type_, parameter=parameter, modifier="", base="")
        for name in names
        if not (parameter := parameters_of(type_)[name]).targets or "Patient" in parameter.targets
    ]
    kept_as = [name for one in asked for name in one.kept_as]
    column = any(by_column(one) for one in asked)
    values = (tenant, patient, type_, column, tenant, type_, kept_as, f"Patient/{patient}")
    return Sql(_BELONGING, values)
