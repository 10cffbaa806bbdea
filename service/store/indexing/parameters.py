"""How each search parameter is kept: in a column of the resource, or in rows under which names.

Two parameters often read the same element (`code` and `combo-code`, `subject` and `patient`). Each value is
kept once; a parameter is the list of names under which its values are kept.

http://hl7.org/fhir/R4/searchparameter-registry.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from fhir_profiles.r4 import schemas, search_parameters
from fhir_profiles.r4.search_parameters import Parameter, Place

#: HL7's extension of a Condition: when it was first asserted
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


def _token(name: str, of: str) -> Parameter:
    return Parameter(name=name, kind="token", places=(Place(path=(name,), of=of),))


#: What a type is found by here and not in R4: because pathways have it, or because US Core asks for it
#: (https://hl7.org/fhir/us/core/STU6.1/SearchParameter-us-core-condition-asserted-date.html).
BESIDES: Mapping[str, tuple[Parameter, ...]] = {
    "Condition": (
        Parameter(
            name="asserted-date",
            kind="date",
            places=(Place(path=("extension", "valueDateTime"), of="dateTime", where=(1, "url", ASSERTED)),),
        ),
    ),
    "DetectedIssue": (_token("status", "code"),),
    "Flag": (
        _token("status", "code"),
        _token("category", "CodeableConcept"),
        _token("code", "CodeableConcept"),
    ),
    "Provenance": (_token("activity", "CodeableConcept"),),
}

#: the words of the narrative, which every type has but Binary; they have a table of their own and no name
NARRATIVE = Parameter(name="_text", kind="narrative")

#: columns of the resource, which need no rows
COLUMNS: Mapping[str, str] = {"_id": "id", "_lastUpdated": "received", "status": "status"}

#: One place and the kind of its parameters: what is read from it is the same for all of them.
Read = tuple[str, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Values of one or more parameters, kept under one name."""

    name: str
    #: token, reference, uri, string, date, number, quantity or special
    kind: str
    place: Place


@cache
def of(type_: str) -> Mapping[str, Parameter]:
    """Return the parameters by which a type is searched, by name."""
    found = dict(search_parameters.of(type_))
    found |= {each.name: each for each in BESIDES.get(type_, ())}
    if _has(type_, "text", "Narrative"):
        found[NARRATIVE.name] = NARRATIVE
    if "identifier" not in found and _has(type_, "identifier", "Identifier"):
        # Conditional creates and updates are by identifier, of whatever type.
        place = Place(path=("identifier",), of="Identifier")
        found["identifier"] = Parameter(name="identifier", kind="token", places=(place,))
    return found


@cache
def kept(type_: str) -> tuple[Kept, ...]:
    """Return what rows are made of for a type."""
    return tuple(
        Kept(name=name, kind=kind, place=place)
        for (kind, place), name in _names(type_).items()
        if not _is_column(name, kind, place)
    )


@cache
def names(type_: str, parameter: str) -> tuple[str, ...]:
    """Return under which names the values of a parameter are kept; none: it is a column."""
    one, all_ = of(type_)[parameter], _names(type_)
    if column(type_, parameter):
        return ()
    return tuple(dict.fromkeys(all_[one.kind, _plain(place)] for place in one.places))


def column(type_: str, parameter: str) -> str | None:
    """Return the column of the resource that a parameter is, if it is one."""
    one = of(type_)[parameter]
    if parameter in COLUMNS and all(_is_column(parameter, one.kind, place) for place in one.places):
        return COLUMNS[parameter]
    return None


@cache
def numbered(type_: str) -> frozenset[str]:
    """Return the repeating elements within which the parts of a composite stand together."""
    return frozenset(element for parameter in of(type_).values() for element in parameter.beside if element)


@cache
def _names(type_: str) -> Mapping[Read, str]:
    """Return the name of each place: that of the parameters that read it, of one that reads nothing else."""
    readers: dict[Read, list[str]] = {}
    for parameter in of(type_).values():
        for place in parameter.places:
            readers.setdefault((parameter.kind, _plain(place)), []).append(parameter.name)
    groups: dict[tuple[str, tuple[str, ...]], list[Read]] = {}
    for (kind, place), theirs in readers.items():
        groups.setdefault((kind, tuple(sorted(set(theirs)))), []).append((kind, place))
    found: dict[Read, str] = {}
    taken: set[str] = set()
    # A parameter that reads all of a group and nothing else gives it its name before any other may.
    for exact in (True, False):
        for (_, by), reads in sorted(groups.items()):
            if any(read in found for read in reads):
                continue
            whole = [name for name in by if _reads(of(type_)[name]) == set(reads)]
            if exact and not whole:
                continue
            name = _preferred(whole) if whole else _free(by, taken)
            taken.add(name)
            found |= dict.fromkeys(reads, name)
    return found


def _preferred(whole: Iterable[str]) -> str:
    # `patient` is `subject` with a condition.
    return min(whole, key=lambda name: (name == "patient", name))


def _free(by: Iterable[str], taken: Iterable[str]) -> str:
    """Return a name for what is part of several parameters and all of none."""
    first = min(by)
    return next(name for n in range(len(tuple(taken)) + 2) if (name := f"{first}+{n}") not in taken)


def _reads(parameter: Parameter) -> set[Read]:
    return {(parameter.kind, _plain(place)) for place in parameter.places}


def _plain(place: Place) -> Place:
    return replace(place, systems=()) if place.systems else place


def _is_column(name: str, kind: str, place: Place) -> bool:
    if name == "status":
        return kind == "token" and place.path == ("status",) and place.of == "code"
    return name in COLUMNS


def _has(type_: str, element: str, of: str) -> bool:
    """Return whether a type has an element of a data type."""
    schema = schemas.definitions(type_).get(type_, {}).get("properties", {}).get(element, {})
    return bool(schema.get("items", schema).get("$ref", "").endswith(f"/{of}"))
