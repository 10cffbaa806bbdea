"""The few forms of FHIRPath in which HL7 wrote the search parameters of R4, read into ways through JSON.

    (Observation.value as Quantity)                      valueQuantity, a Quantity
    Patient.telecom.where(system='phone')                telecom, where its system is phone
    Observation.subject.where(resolve() is Patient)      subject, of references to a Patient alone

Choices without a cast are read as each of their kinds that the kind of the parameter can be compared with.

http://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_profiles.r4 import schemas

#: data types in which values of a parameter stand, by the parameter's kind
READ: Mapping[str, frozenset[str]] = {
    kind: frozenset(types.split())
    for kind, types in {
        "token": "CodeableConcept Coding ContactPoint Identifier boolean canonical code id integer oid "
        "positiveInt string unsignedInt uri url uuid",
        "reference": "Reference canonical uri url",
        "string": "Address HumanName string markdown code id",
        "date": "Period Timing date dateTime instant",
        "number": "decimal integer positiveInt unsignedInt",
        "quantity": "Age Count Distance Duration Money Quantity Range SampledData SimpleQuantity",
        "uri": "canonical oid uri url uuid",
        # near of a Location, the only one
        "special": "Location.position",
    }.items()
}

#: the one expression that asks instead of naming: whether a person is dead
DECEASED = "Patient.deceased.exists() and Patient.deceased != false"

_STEP = re.compile(r"\.?(?:where\((?P<field>\w+)='(?P<value>[^']+)'\)|as\((?P<cast>\w+)\)|(?P<name>\w+))")
_RESOLVED = re.compile(r"\.where\(resolve\(\) is (?P<type>\w+)\)$")
_AS = re.compile(r"\((?P<path>[\w.]+) as (?P<cast>\w+)\)(?P<rest>.*)")


class NotRead(Exception):
    """An expression has a form that is not known here."""


def values(expression: str, type_: str, kind: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the ways to the values of a parameter, and the types to which its references are confined.

    Raises:
        NotRead: the expression has another form, or leads nowhere.
    """
    if type_ == "Patient" and expression == DECEASED:
        return [
            {"path": ["deceasedBoolean"], "of": "deceased"},
            {"path": ["deceasedDateTime"], "of": "deceased"},
        ], ()
    found: dict[str, dict[str, Any]] = {}
    only: list[str] = []
    for part in expression.split(" | "):
        if (resolved := _RESOLVED.search(part)) and part.lstrip("(").startswith(f"{type_}."):
            only.append(resolved["type"])
        part = _RESOLVED.sub("", part)
        if cast := _AS.fullmatch(part):
            part = f"{cast['path']}.as({cast['cast']}){cast['rest']}"
        head, _, way = part.partition(".")
        if not way:
            # Written without the type it is about.
            way = head
        elif head != type_:
            continue
        for value in _ways(way, type_, kind):
            found[repr(value)] = value
    if not found:
        raise NotRead(f"nothing of {type_} in {expression}")
    return list(found.values()), tuple(only)


def _ways(way: str, type_: str, kind: str) -> Iterator[dict[str, Any]]:
    """Yield each way to values of the kind."""
    # Resource stands for every type: what they share is their meta.
    place = "Patient" if type_ == "Resource" else type_
    at: list[tuple[tuple[str, ...], str]] = [((), place)]
    where = None
    matches = list(_STEP.finditer(way))
    if "".join(match[0] for match in matches) != way:
        raise NotRead(way)
    for number, match in enumerate(matches):
        if match["field"]:
            where = [len(at[0][0]), match["field"], match["value"]]
        elif match["name"]:
            cast = matches[number + 1]["cast"] if number + 1 < len(matches) else None
            at = [
                ((*path, name), of)
                for path, inside in at
                for name, of in _named(place, inside, match["name"], cast)
            ]
    for path, of in at:
        if of in READ[kind]:
            yield {"path": list(path), "of": of, **({"where": where} if where else {})}


def _named(type_: str, inside: str, name: str, cast: str | None) -> Iterator[tuple[str, str]]:
    """Yield property and data type of an element; of a choice each of its kinds, or the one it is cast to."""
    properties = schemas.definitions(type_).get(inside, {}).get("properties", {})
    if name in properties:
        yield name, _type(properties[name])
        return
    for each, schema in properties.items():
        rest = each.removeprefix(name)
        if rest != each and rest[:1].isupper() and (cast is None or rest.lower() == cast.lower()):
            yield each, _type(schema)


def _type(schema: Mapping[str, Any]) -> str:
    """Return the data type, or the path of an element within its type."""
    inner = schema.get("items", schema)
    name = str(inner.get("$ref", "#/$defs/code")).rpartition("/")[2]
    return "Reference" if name.startswith("Reference-to-") else name
