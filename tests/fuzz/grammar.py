"""Valid R4 resources at random, made from the schemas that the gate itself is made of.

Every text, number and day of theirs can be recognised, so that one that turns up where no value of a record
may stand is found: see `MARKS`.
"""

import random
from collections.abc import Mapping
from typing import Any

from fhir_profiles.r4 import schemas

Json = dict[str, Any]

#: in every text, in every number with a point, and in every day
TEXT, NUMBER, DAY = "Qvxz", "7351945", "1873-04-17"
MARKS = (TEXT, NUMBER, DAY)
#: of an element that nobody knows: an answer may say which one it was, a log line and a metric may not
NAME = "Wjkyx"

#: ids are shared by all requests, so that they meet
IDS = 40
#: deeper than this only what must be there is there
DEEP = 4

_TAILS = ("", "", "", " b", "é", "😀", "'", '"', "\\", "|", "$", ",", "%", " & <b>", "\u202e", "İ")


class Grammar:
    """Makes resources with the chance it is given."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def resource(self, kind: str, **fixed: Any) -> Json:
        """Return a resource of the type with these elements; nearly all are valid."""
        definitions = schemas.definitions(kind)
        made = self._object(definitions[kind], definitions, 0, skip=("id", "contained", "meta", *fixed))
        if self.chance.random() < 0.05:
            made["contained"] = [{"resourceType": "Basic", "id": "c", "code": {"text": self.text()}}]
        if self.chance.random() < 0.1:
            made["meta"] = {"tag": [{"system": self.uri(), "code": self.text().split()[0]}]}
        return {"resourceType": kind, **made, **fixed}

    def id(self) -> str:
        """Return an id that others use as well."""
        return f"f-{self.chance.randrange(IDS)}"

    def text(self) -> str:
        """Return a text by which a leak is known."""
        return f"{TEXT}{self.chance.randrange(30)}{self.chance.choice(_TAILS)}"

    def uri(self) -> str:
        """Return a URI by which a leak is known."""
        return f"https://{TEXT.lower()}.example.org/{self.chance.randrange(6)}"

    def day(self) -> str:
        """Return a day, a moment or a year."""
        return self.chance.choice(
            (
                DAY,
                DAY,
                "1873-04",
                f"{DAY}T10:00:00Z",
                f"{DAY}T10:00:00.123+02:00",
                "2026-01-05T08:40:00Z",
                "2026",
            )
        )

    def _object(
        self, schema: Json, definitions: Mapping[str, Json], depth: int, skip: tuple[str, ...] = ()
    ) -> Json:
        properties: Json = {n: s for n, s in schema.get("properties", {}).items() if n not in skip}
        required = [n for n in schema.get("required", ()) if n in properties and n != "resourceType"]
        choices, one_of = _choices(schema)
        plain = [
            n for n in properties if not n.startswith("_") and n not in ("id", "extension", "resourceType")
        ]
        wanted = [0.25, 0.15, 0.08, 0.03, 0.0][min(depth, DEEP)]
        names = {*required, *(n for n in plain if self.chance.random() < wanted)}
        for group in one_of:
            names = _at_most_one(names, group, self.chance)
        for group in choices:
            if not names & group and not group & set(skip):
                names.add(
                    self.chance.choice(sorted(n for n in group if n in properties and n[0] != "_") or ["id"])
                )
        if not names and depth:
            names = {self.chance.choice(plain)}
        for name, others in schema.get("dependentRequired", {}).items():
            if name in names:
                names |= set(others)
        made = {
            name: self._value(properties[name], definitions, depth + 1)
            for name in sorted(names)
            if name in properties
        }
        if "extension" in properties and self.chance.random() < 0.02:
            made["extension"] = [{"url": self.uri(), "valueString": self.text()}]
        return made

    def _value(self, schema: Json, definitions: Mapping[str, Json], depth: int) -> Any:
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        if schema.get("type") == "array":
            many = min(self.chance.choice((1, 1, 1, 2)), schema.get("maxItems", 2))
            return [self._value(schema["items"], definitions, depth) for _ in range(many)]
        name = schema.get("$ref", "").rpartition("/")[2]
        if name.startswith("Reference"):
            return self.reference(name.removeprefix("Reference-to-").removeprefix("Reference").split("-"))
        if name in _PRIMITIVES:
            return _PRIMITIVES[name](self)
        if name == "Extension":
            return {"url": self.uri(), "valueString": self.text()}
        if name == "Resource":
            return {"resourceType": "Basic", "code": {"text": self.text()}}
        if name == "Period":
            return {"start": DAY, "end": "1874-04-17"}
        if name:
            return self._object(definitions[name], definitions, depth)
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, definitions, depth)
        return self.text()

    def reference(self, types: list[str]) -> Json:
        """Return a reference to one of the types; to a Patient always the same, which `about` replaces."""
        type_ = self.chance.choice(
            [each for each in types if each and each != "Resource"] or ["Patient", "Organization"]
        )
        if type_ == "Patient":
            return {"reference": "Patient/f-0"}
        if self.chance.random() < 0.2:
            return {"identifier": {"system": self.uri(), "value": self.text()}, "display": self.text()}
        return {"reference": f"{type_}/{self.id()}"}


def about(resource: Any, patient: str) -> Any:
    """Return the resource with its references to a Patient leading to this one."""
    if isinstance(resource, dict):
        return {
            name: f"Patient/{patient}"
            if name == "reference" and isinstance(value, str) and value.startswith("Patient/")
            else about(value, patient)
            for name, value in resource.items()
        }
    return [about(each, patient) for each in resource] if isinstance(resource, list) else resource


def _choices(schema: Json) -> tuple[list[set[str]], list[set[str]]]:
    """Return the groups of names of which one must be there, and those of which at most one may."""
    must, most = [], []
    for part in schema.get("allOf", ()):
        for word, found in (("anyOf", must), ("oneOf", most)):
            if word in part:
                found.append({name for each in part[word] for name in _named(each)})
    return must, most


def _named(part: Json) -> set[str]:
    if "not" in part:
        return set()
    return {*part.get("required", ()), *(name for each in part.get("anyOf", ()) for name in _named(each))}


def _at_most_one(names: set[str], group: set[str], chance: random.Random) -> set[str]:
    both = sorted(names & group)
    return names - set(both) | {chance.choice(both)} if len(both) > 1 else names


def _number(it: Grammar) -> float:
    return float(f"{NUMBER}.{it.chance.randrange(1, 99)}")


_PRIMITIVES = {
    "base64Binary": lambda it: "UXZ4eg==",
    "boolean": lambda it: it.chance.random() < 0.5,
    "canonical": Grammar.uri,
    "code": lambda it: f"{TEXT}{it.chance.randrange(9)}",
    "date": lambda it: it.day()[:10],
    "dateTime": Grammar.day,
    "decimal": _number,
    "id": Grammar.id,
    "instant": lambda it: f"{DAY}T10:00:00Z",
    "integer": lambda it: it.chance.choice((0, 1, int(NUMBER))),
    "markdown": Grammar.text,
    "oid": lambda it: "urn:oid:1.2.7351945",
    "positiveInt": lambda it: it.chance.choice((1, int(NUMBER))),
    "string": Grammar.text,
    "time": lambda it: "10:00:00",
    "unsignedInt": lambda it: it.chance.choice((0, int(NUMBER))),
    "uri": Grammar.uri,
    "url": Grammar.uri,
    "uuid": lambda it: "urn:uuid:00000000-0000-4000-8000-000007351945",
    "xhtml": lambda it: f'<div xmlns="http://www.w3.org/1999/xhtml">{TEXT}</div>',
}
