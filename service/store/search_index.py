"""What a resource can be found by: the columns of its row, and rows of its own in the search tables.

The rows of the search parameters are made by `indexing`; those for our own pages here.

http://hl7.org/fhir/R4/search.html
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from fhir_profiles import canonical
from service.store.indexing import dates, extraction
from service.store.indexing.dates import instants
from service.store.indexing.reading import folded
from service.store.indexing.rows import Rows, Value
from service.store.indexing.shortening import shortened

__all__ = ["Promoted", "Rows", "Value", "about", "folded", "instants", "promoted", "rows", "shortened"]

Json = Mapping[str, Any]


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """The values that are columns of the resource."""

    codes: tuple[str, ...] | None
    date: datetime | None
    status: str | None


#: Names of values that no body holds. `_entry`: which entry of which Bundle created it, so that the
#: same Bundle sent again finds what it made.
ENTRY = "_entry"
KEPT = (ENTRY,)

#: By what a removed resource is still found: the results of a report are withdrawn with it.
OF_REMOVED = {("DiagnosticReport", "result")}

#: Where an open plan of ours stands, by which the worklist counts and finds plans: the stage is its value,
#: the side, empty for the person, its system. No parameter of the FHIR search.
OPEN = "_open"
#: The same of an open plan that something holds, and of one that stands apart: nothing is done there until a
#: person or new data take it up again.
HELD = "_held"
APART = "_apart"
#: An identifier of a Patient that another one carries as well (`shared_identifiers`). No body says it.
SHARED = "_shared"
#: the status of a plan that stands apart
STANDING_APART = ("on-hold", "completed")

#: the element that says whom a resource is about, per type; a Patient is about itself
PATIENT_ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "BodyStructure": ("patient",),
    "CarePlan": ("subject",),
    "CareTeam": ("subject",),
    "Communication": ("subject",),
    "CommunicationRequest": ("subject",),
    "Condition": ("subject",),
    "Consent": ("patient",),
    "DetectedIssue": ("patient",),
    "Device": ("patient",),
    "DiagnosticReport": ("subject",),
    "DocumentReference": ("subject",),
    "Encounter": ("subject",),
    "Flag": ("subject",),
    "Goal": ("subject",),
    "ImagingStudy": ("subject",),
    "Immunization": ("patient",),
    "MedicationAdministration": ("subject",),
    "MedicationRequest": ("subject",),
    "MedicationStatement": ("subject",),
    "Observation": ("subject",),
    "Procedure": ("subject",),
    "QuestionnaireResponse": ("subject",),
    "RelatedPerson": ("patient",),
    "ServiceRequest": ("subject",),
    "Specimen": ("subject",),
    "Task": ("for",),
}


def about(resource: Json) -> str | None:
    """Return the id of the patient a stored resource is about; None where it is about nobody."""
    if resource.get("resourceType") == "Patient":
        return str(resource["id"])
    elements = PATIENT_ELEMENTS.get(str(resource.get("resourceType")), ())
    named = (str(resource.get(element, {}).get("reference", "")) for element in elements)
    return next((r.partition("/")[2] for r in named if r.startswith("Patient/")), None)


#: where the time of a fact stands, the first that is there
DATES = (
    "effectiveDateTime",
    "effectiveInstant",
    "performedDateTime",
    "authoredOn",
    "identifiedDateTime",
    "recorded",
    "recordedDate",
)
PERIODS = ("effectivePeriod", "performedPeriod", "period")


def rows(resource: Json, *, patient: str | None) -> Rows:
    """Return everything the resource is found by: for the search, and for our own pages.

    Args:
        patient: whom it is about, as its column has it.
    """
    found = extraction.rows(resource, patient=patient, about=PATIENT_ELEMENTS)
    match resource["resourceType"]:
        case "Patient":
            found.add_values(_of_person(resource))
        case "CarePlan":
            found.add_values(_of_plan(resource))
    return found


def promoted(resource: Json) -> Promoted:
    """Return the values that are columns."""
    status = resource.get("status")
    return Promoted(
        codes=tuple(coded(system, code) for system, code in _tokens(resource.get("code"))) or None,
        date=_date(resource),
        status=status if isinstance(status, str) else None,
    )


def coded(system: str, code: str) -> str:
    """Return a coding as the column has it."""
    return shortened(f"{system}|{code}")


def _of_person(patient: Json) -> Iterator[Value]:
    """Yield birth date and names of a person; a name from each of its words on, so that any may begin it."""
    if isinstance(born := patient.get("birthDate"), str):
        yield Value(name="birthdate", system="", value=born)
    names = patient.get("name")
    for name in names if isinstance(names, list) else ():
        for kind, text in _parts(name):
            whole = folded(text)
            for word in re.finditer(r"\b\w", whole):
                yield Value(name=kind, system="", value=shortened(whole[word.start() :]))


def _of_plan(plan: Json) -> Iterator[Value]:
    ours = any(system == canonical.CARE_PLAN_IDS for system, _ in _tokens(plan.get("identifier")))
    if ours:
        side, stage = (shortened(_coded(plan, url)) for url in (canonical.SIDE, canonical.STAGE))
        if plan.get("status") == "active":
            yield Value(name=OPEN, system=side, value=stage)
            if _says(plan, canonical.HOLD):
                yield Value(name=HELD, system=side, value=stage)
        elif plan.get("status") in STANDING_APART:
            yield Value(name=APART, system=side, value=stage)


def _says(resource: Json, url: str) -> bool:
    """Return whether there is an extension of this kind."""
    extensions = resource.get("extension")
    return any(e.get("url") == url for e in (extensions if isinstance(extensions, list) else ()))


def _coded(resource: Json, url: str) -> str:
    """Return the code that an extension says; empty without one."""
    extensions = resource.get("extension")
    for extension in extensions if isinstance(extensions, list) else ():
        if extension.get("url") == url:
            for _, code in _tokens(extension.get("valueCoding")):
                return code
    return ""


def _parts(name: Json) -> Iterator[tuple[str, str]]:
    family, given = name.get("family"), [part for part in name.get("given", ()) if part]
    if family:
        yield "family", family
    if given:
        # Written as two or as one, "Anna Maria" is found.
        yield "given", " ".join(given)
        yield from (("given", part) for part in given)
    if not (family or given) and (text := name.get("text")):
        # Which of its words are the family's nobody has said.
        yield "family", text
        yield "given", text


def _date(resource: Json) -> datetime | None:
    for element in DATES:
        if isinstance(text := resource.get(element), str):
            return dates.first(text)
    for element in PERIODS:
        if isinstance(period := resource.get(element), dict):
            return dates.first(str(period.get("end") or period.get("start") or ""))
    return None


def _tokens(element: object) -> Iterator[tuple[str, str]]:
    """Yield system and code of a code, Coding, CodeableConcept, Identifier or a list of them."""
    if isinstance(element, str):
        yield "", element
    elif isinstance(element, bool):
        yield "", str(element).lower()
    elif isinstance(element, list):
        for item in element:
            yield from _tokens(item)
    elif isinstance(element, dict):
        if "coding" in element:
            yield from _tokens(element["coding"])
        for key in ("code", "value"):
            if isinstance(value := element.get(key), str):
                yield str(element.get("system") or ""), value
