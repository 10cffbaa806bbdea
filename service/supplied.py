"""Resources that come along with a question: checked as if they were to be stored, and about one patient.

http://hl7.org/fhir/R4/bundle.html
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_profiles import gate
from service.fhir import references
from service.fhir.refusals import Issue, Refusal
from service.store.search_index import PATIENT_ELEMENTS

Json = Mapping[str, Any]

#: makes the refusal of its issues
Refuse = Callable[..., Refusal]


def check_gate(at: str, resource: dict[str, Any], refuse: Refuse) -> None:
    """Refuse what is not valid R4, with the words of the gate."""
    faults = [fault.within(at) for fault in gate.check(resource)]
    if faults:
        raise refuse(*(Issue(code=f.code, text=f.text, expression=f.expression) for f in faults))


def entries(at: str, bundle: Json) -> Iterator[tuple[str, Json]]:
    """Yield each resource of a Bundle with where it lies; what a search says of itself is left out."""
    for number, entry in enumerate(bundle.get("entry", ())):
        resource = entry.get("resource")
        if resource is not None and entry.get("search", {}).get("mode") != "outcome":
            yield f"{at}.entry[{number}].resource", resource


def taken(where: str, resource: Json, patient: str, base: str, refuse: Refuse) -> Json:
    """Return a resource with references to a server's own resources as `Type/id`.

    Args:
        where: it lies.
        patient: the id of whom it must be about, if it is about anybody.
        base: of the server it comes from, with a slash at the end; may be empty.
        refuse: what to raise where it has no id, or is about somebody else: nothing is mixed up.
    """
    if "id" not in resource:
        raise refuse(Issue(code="invalid", text="a resource that is read has an id", expression=where))
    resource = _relative(resource, base)
    if not _is_about(resource, patient):
        text = "this is not about the patient of the question"
        raise refuse(Issue(code="business-rule", text=text, expression=where))
    return resource


def _is_about(resource: Json, patient: str) -> bool:
    if resource["resourceType"] == "Patient":
        return bool(resource["id"] == patient)
    elements = PATIENT_ELEMENTS.get(resource["resourceType"])
    if elements is None:
        return True
    stated = [resource[e].get("reference", "") for e in elements if isinstance(resource.get(e), dict)]
    people = [local[1] for target in stated if (local := references.local(target)) and local[0] == "Patient"]
    return bool(people) and set(people) == {patient}


def _relative(resource: Json, base: str) -> Json:
    if not base:
        return resource
    found = references.literal(resource)
    return references.replaced(resource, found, {f.target: f.target.removeprefix(base) for f in found})
