"""A search as a value: which parameters there are, what was asked, and the SQL for it.

http://hl7.org/fhir/R4/search.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fhir_profiles.r4 import schemas
from service.fhir import references, subset
from service.fhir.entries import NOT_KEPT
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.subset import Shape
from service.store import content, search_index
from service.store.search_index import PARAMETERS, PATIENT_ELEMENTS

DEFAULT_COUNT = 50
MOST_COUNT = 1_000

#: kinds as the CapabilityStatement names them
COMMON: Mapping[str, str] = {"_id": "token", "_lastUpdated": "date", "identifier": "token"}

#: types about a patient that do not say so in one element
ALSO_OF_A_PATIENT = ("AuditEvent", "Provenance")

WITH_STATUS = (
    "ActivityDefinition",
    "CarePlan",
    "Communication",
    "CommunicationRequest",
    "ConceptMap",
    "DetectedIssue",
    "DiagnosticReport",
    "Encounter",
    "Flag",
    "ImagingStudy",
    "Library",
    "Observation",
    "PlanDefinition",
    "Procedure",
    "ServiceRequest",
    "Task",
)

#: they shape the answer and select nothing
OF_THE_ANSWER = ("_count", "_elements", "_format", "_page", "_pretty", "_summary")

_COMPARED = re.compile(r"(?P<prefix>eq|ne|gt|lt|ge|le)?(?P<date>\d.*)")

#: what is kept of R4
TYPES = tuple(sorted(set(schemas.RESOURCES) - set(NOT_KEPT)))

WHOLE = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was asked for."""

    type: str
    #: parameter and value as they were given and used, for the self link
    used: tuple[tuple[str, str], ...]
    conditions: tuple[str, ...]
    parameters: tuple[Any, ...]
    count: int
    #: which part of each resource
    shape: Shape = WHOLE
    #: the key after which the page begins
    after: int = 0
    #: beyond which nothing is shown, because something before it may still appear
    ends: datetime | None = None

    @property
    def polls(self) -> bool:
        """Return whether it may be asked to learn what is new."""
        return any(name == "_lastUpdated" for name, _ in self.used)

    def until(self, horizon: datetime) -> "Search":
        """Return the search of what was received before the horizon."""
        return replace(
            self,
            conditions=(*self.conditions, "r.received < %s"),
            parameters=(*self.parameters, horizon),
            ends=horizon,
        )

    @property
    def used_further(self) -> tuple[tuple[str, str], ...]:
        """Return what the next page is asked for with: the horizon of the first one holds for all."""
        if self.ends is None or self.after:
            return self.used
        return (*self.used, ("_lastUpdated", f"lt{content.instant(self.ends)}"))


def parameters_of(type_: str) -> dict[str, str]:
    """Return the search parameters of a type and their kinds."""
    found = dict(COMMON)
    if type_ in PATIENT_ELEMENTS or type_ in ALSO_OF_A_PATIENT:
        found["patient"] = "reference"
    if type_ in WITH_STATUS:
        found["status"] = "token"
    return found | {name: kind for name, (kind, _) in PARAMETERS.get(type_, {}).items()}


def read(type_: str, asked: Iterable[tuple[str, str]], *, base: str, lenient: bool) -> Search:
    """Return the search that the parameters ask for.

    Args:
        base: the service's own base; a reference may begin with it.
        lenient: pass over what is not known, as `Prefer: handling=lenient` asks.

    Raises:
        NotExchanged: a parameter is not known, or its value cannot be read.
    """
    kinds = parameters_of(type_)
    used: list[tuple[str, str]] = []
    shaping: list[tuple[str, str]] = []
    conditions = ["r.tenant = %s", "r.type = %s", "NOT r.deleted"]
    values: list[Any] = []
    count, after = DEFAULT_COUNT, 0
    asked = tuple(asked)
    shape = subset.read(asked, of_search=True)
    subset.check(type_, shape)
    for name, value in asked:
        if name in OF_THE_ANSWER:
            if name == "_count":
                count = min(_number(name, value), MOST_COUNT)
            elif name == "_page":
                after = _number(name, value)
            elif name in subset.PARAMETERS and value:
                shaping.append((name, value))
            continue
        if name not in kinds:
            if lenient:
                continue
            known = ", ".join(sorted({*kinds, "_count"}))
            text = f"{type_} is searched by {known}"
            raise NotExchanged(Issue(code="not-supported", text=text))
        if not value:
            # Left out, it would widen the answer to everybody's; an empty variable must not do that.
            raise NotExchanged(Issue(code="value", text=f"{name} has no value"))
        condition, parameters = _condition(name, kinds[name], value, base)
        used.append((name, value))
        conditions.append(condition)
        values += parameters
    return Search(
        type=type_,
        used=(*used, *shaping),
        conditions=tuple(conditions),
        parameters=tuple(values),
        count=0 if shape.summary == "count" else count,
        shape=shape,
        after=after,
    )


def _condition(name: str, kind: str, value: str, base: str) -> tuple[str, Sequence[Any]]:
    choices = [choice.replace("\\,", ",") for choice in re.split(r"(?<!\\),", value)]
    if name == "_id":
        return "r.id = ANY(%s)", [choices]
    if name == "_lastUpdated":
        parts = [_updated(choice) for choice in choices]
        return f"({' OR '.join(sql for sql, _ in parts)})", [v for _, found in parts for v in found]
    if name == "patient":
        return "r.patient = ANY(%s)", [[_patient(choice, base) for choice in choices]]
    if name == "status":
        return "r.status = ANY(%s)", [[choice.rpartition("|")[2] for choice in choices]]
    parts = [_indexed(kind, choice, base) for choice in choices]
    matches = " OR ".join(sql for sql, _ in parts)
    condition = (
        "EXISTS (SELECT FROM search_value s WHERE s.key = r.key AND s.tenant = r.tenant AND s.type = r.type "
        f"AND s.name = %s AND ({matches}))"
    )
    return condition, [name, *(v for _, found in parts for v in found)]


def _indexed(kind: str, choice: str, base: str) -> tuple[str, Sequence[Any]]:
    if kind == "reference":
        target = choice.removeprefix(base)
        if "/" in target:
            return "s.value = %s", [references.without_version(target)]
        return "split_part(s.value, '/', 2) = %s", [target]
    if kind == "token" and "|" in choice:
        system, _, code = choice.partition("|")
        return ("s.system = %s AND s.value = %s", [system, code]) if code else ("s.system = %s", [system])
    return "s.value = %s", [choice]


def _patient(choice: str, base: str) -> str:
    type_, slash, id_ = choice.removeprefix(base).rpartition("/")
    if slash and type_ != "Patient":
        raise NotExchanged(Issue(code="value", text="patient is Patient/id or the id alone"))
    return id_


def _updated(choice: str) -> tuple[str, Sequence[Any]]:
    # A plus before the zone arrives as a space when it was not escaped.
    match = _COMPARED.fullmatch(choice.replace(" ", "+"))
    interval = search_index.instants(match["date"]) if match else None
    if match is None or interval is None:
        text = "_lastUpdated is a date or instant with one of eq, ne, gt, lt, ge, le before it"
        raise NotExchanged(Issue(code="value", text=text))
    low, high = interval
    match match["prefix"]:
        case "gt":
            return "r.received >= %s", [high]
        case "ge":
            return "r.received >= %s", [low]
        case "lt":
            return "r.received < %s", [low]
        case "le":
            return "r.received < %s", [high]
        case "ne":
            return "(r.received < %s OR r.received >= %s)", [low, high]
        case _:
            return "(r.received >= %s AND r.received < %s)", [low, high]


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise NotExchanged(Issue(code="value", text=f"{name} is a whole number"))
    return int(value)
