"""What belongs to a patient: found by any of the references that make it so.

http://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from fhir_profiles.r4 import search_parameters
from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.conditions import parameters_of
from service.fhir.criteria.references import matching
from service.fhir.criteria.sql import Sql
from service.fhir.refusals import Issue, NotFound


def condition(type_: str, patient: str, *, base: str, types: tuple[str, ...]) -> Sql:
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
    known = parameters_of(type_)
    found = []
    for name in names:
        parameter = known[name]
        if not parameter.targets or "Patient" in parameter.targets:
            asked = Asked(type=type_, parameter=parameter, modifier="", base=base)
            found.append(matching(asked, [f"Patient/{patient}"], types))
    return sql.any_of(found)
