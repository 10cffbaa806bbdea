"""What a resource can be found by: one table of search parameters, and how their values are read.

Only what a search of the contract needs is indexed; `_id`, `_lastUpdated`, `patient` and
`status` are columns of the resource itself.

http://hl7.org/fhir/R4/search.html
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from fhir_profiles import canonical

Json = Mapping[str, Any]
Kind = Literal["token", "reference", "uri"]


class Value(NamedTuple):
    """One value by which a resource is found."""

    name: str
    #: of a token; empty for a plain code, a reference and a uri
    system: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
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
#: the status of a plan that stands apart
STANDING_APART = ("on-hold", "completed")

#: parameter -> kind and element, per type; every type has `identifier` besides
PARAMETERS: Mapping[str, Mapping[str, tuple[Kind, str]]] = {
    "CarePlan": {"based-on": ("reference", "basedOn"), "category": ("token", "category")},
    "ServiceRequest": {
        "intent": ("token", "intent"),
        "code": ("token", "code"),
        "based-on": ("reference", "basedOn"),
    },
    "Task": {
        "intent": ("token", "intent"),
        "code": ("token", "code"),
        "focus": ("reference", "focus"),
        "based-on": ("reference", "basedOn"),
    },
    "CommunicationRequest": {"category": ("token", "category"), "based-on": ("reference", "basedOn")},
    "DetectedIssue": {"code": ("token", "code"), "implicated": ("reference", "implicated")},
    "Flag": {"code": ("token", "code"), "category": ("token", "category")},
    "AuditEvent": {"type": ("token", "type"), "subtype": ("token", "subtype")},
    "Provenance": {"target": ("reference", "target"), "activity": ("token", "activity")},
    "Goal": {"lifecycle-status": ("token", "lifecycleStatus")},
    "Condition": {"code": ("token", "code"), "clinical-status": ("token", "clinicalStatus")},
    "Observation": {"code": ("token", "code"), "category": ("token", "category")},
    "DiagnosticReport": {
        "code": ("token", "code"),
        "based-on": ("reference", "basedOn"),
        "result": ("reference", "result"),
    },
    "Procedure": {"code": ("token", "code"), "based-on": ("reference", "basedOn")},
    **{
        type_: {"url": ("uri", "url"), "name": ("token", "name"), "version": ("token", "version")}
        for type_ in (
            "ActivityDefinition",
            "CodeSystem",
            "ConceptMap",
            "Library",
            "PlanDefinition",
            "StructureDefinition",
            "ValueSet",
        )
    },
}

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

_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<clock>\d\d:\d\d:\d\d(\.\d{1,6})?)\d*(?P<zone>Z|[+-]\d\d:\d\d))?)?)?"
)


def values(resource: Json) -> tuple[Value, ...]:
    """Return everything the resource is found by, each value once."""
    found: dict[Value, None] = {}
    for system, value in _tokens(resource.get("identifier")):
        found[Value(name="identifier", system=system, value=value)] = None
    for name, (kind, element) in PARAMETERS.get(resource["resourceType"], {}).items():
        pairs = _references(resource.get(element)) if kind == "reference" else _tokens(resource.get(element))
        for system, value in pairs:
            found[Value(name=name, system=system, value=value)] = None
    match resource["resourceType"]:
        case "Patient":
            found |= dict.fromkeys(_of_person(resource))
        case "CarePlan":
            found |= dict.fromkeys(_of_plan(resource))
    return tuple(found)


def folded(text: str) -> str:
    """Return a name without accents, case and double blanks, as searches compare names.

    http://hl7.org/fhir/R4/search.html#string
    """
    plain = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join("".join(plain).casefold().split())


def promoted(resource: Json) -> Promoted:
    """Return the values that are columns."""
    status = resource.get("status")
    return Promoted(
        codes=tuple(f"{system}|{code}" for system, code in _tokens(resource.get("code"))) or None,
        date=_date(resource),
        status=status if isinstance(status, str) else None,
    )


def instants(text: str) -> tuple[datetime, datetime] | None:
    """Return the first instant a FHIR date may mean and the first it no longer means.

    A date without a time is read as a day of UTC. None: not a FHIR date.
    """
    match = _DATE.fullmatch(text)
    try:
        return _interval(match) if match else None
    except (ValueError, OverflowError):
        return None


def _of_person(patient: Json) -> Iterator[Value]:
    """Yield birth date and names of a person; a name from each of its words on, so that any may begin it."""
    if isinstance(born := patient.get("birthDate"), str):
        yield Value(name="birthdate", system="", value=born)
    names = patient.get("name")
    for name in names if isinstance(names, list) else ():
        for kind, text in _parts(name):
            whole = folded(text)
            for word in re.finditer(r"\b\w", whole):
                yield Value(name=kind, system="", value=whole[word.start() :])


def _of_plan(plan: Json) -> Iterator[Value]:
    ours = any(system == canonical.CARE_PLAN_IDS for system, _ in _tokens(plan.get("identifier")))
    if ours:
        place = {"system": _coded(plan, canonical.SIDE), "value": _coded(plan, canonical.STAGE)}
        if plan.get("status") == "active":
            yield Value(name=OPEN, **place)
            if _says(plan, canonical.HOLD):
                yield Value(name=HELD, **place)
        elif plan.get("status") in STANDING_APART:
            yield Value(name=APART, **place)


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


def _interval(match: re.Match[str]) -> tuple[datetime, datetime]:
    low = _first(match)
    if match["clock"]:
        whole = "." not in match["clock"]
        return low, low + (timedelta(seconds=1) if whole else timedelta(milliseconds=1))
    month, day = match["month"], match["day"]
    if (low.year, month or "12", day or "31") == (9999, "12", "31"):
        # Written for "never ends": there is no day after it.
        return low, datetime.max.replace(tzinfo=UTC)
    if day:
        return low, low + timedelta(days=1)
    if month:
        return low, datetime(low.year + low.month // 12, low.month % 12 + 1, 1, tzinfo=UTC)
    return low, datetime(low.year + 1, 1, 1, tzinfo=UTC)


def _first(match: re.Match[str]) -> datetime:
    year, month, day = match["year"], match["month"] or "01", match["day"] or "01"
    if match["clock"]:
        text = f"{year}-{month}-{day}T{match['clock']}{match['zone']}"
        return datetime.fromisoformat(text).astimezone(UTC)
    return datetime(int(year), int(month), int(day), tzinfo=UTC)


def _date(resource: Json) -> datetime | None:
    for element in DATES:
        if isinstance(text := resource.get(element), str):
            return _instant(text)
    for element in PERIODS:
        if isinstance(period := resource.get(element), dict):
            return _instant(str(period.get("end") or period.get("start") or ""))
    return None


def _instant(text: str) -> datetime | None:
    match = _DATE.fullmatch(text)
    try:
        return _first(match) if match else None
    except (ValueError, OverflowError):
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


def _references(element: object) -> Iterator[tuple[str, str]]:
    """Yield the targets of a Reference or a list of them, without their versions."""
    if isinstance(element, list):
        for item in element:
            yield from _references(item)
    elif isinstance(element, dict) and isinstance(reference := element.get("reference"), str):
        yield "", reference.partition("/_history/")[0]
