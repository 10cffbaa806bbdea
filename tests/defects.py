"""Twenty-eight kinds of defect, and where a resource of any type can have each.

What a resource is made of is read from the schemas of R4; a defect is one value changed, at one place.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fuzz.grammar import Grammar

from fhir_profiles import gate
from fhir_profiles.r4 import schemas
from fhir_profiles.r4.primitives import PRIMITIVES

Json = dict[str, Any]
Path = tuple[str | int, ...]

#: valid resources of a type that are made at random, so that most of its elements are seen
SAMPLES = 12

#: Every type has a meta, which can be extended: kinds of value that a type has none of itself it has here.
EVERY_KIND: Json = {
    "extension": [
        {"url": "urn:x:1", "valueIdentifier": {"use": "usual", "assigner": {"reference": "Organization/o"}}},
        {"url": "urn:x:2", "valueAnnotation": {"authorReference": {"reference": "Patient/p"}, "text": "x"}},
        {"url": "urn:x:3", "valueCodeableConcept": {"coding": [{"code": "x", "userSelected": True}]}},
        {"url": "urn:x:4", "valueQuantity": {"value": Decimal("1.5"), "comparator": "<"}},
        {"url": "urn:x:5", "valueInteger": 1},
        {"url": "urn:x:6", "valueDateTime": "2026-02-16T09:00:00Z"},
        {"url": "urn:x:7", "valueHumanName": {"given": ["x"]}},
    ]
}

NUMBERS = ("decimal", "integer", "positiveInt", "unsignedInt")
WHOLE = NUMBERS[1:]
TIMES = ("dateTime", "instant")
TEXTS = tuple(sorted(set(PRIMITIVES) - {*NUMBERS, "boolean"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One element of a resource, or one of a list."""

    resource: Json
    path: Path
    value: Any
    #: the data type, `code` with a list of codes being `enum`; of a whole list that of its items
    type: str
    #: it is a whole list
    is_list: bool
    #: what the object that holds it may have; empty within a list
    holder: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what the element is called."""
        return str(next(step for step in reversed(self.path) if isinstance(step, str)))

    def put(self, value: Any, *, at: Path | None = None) -> Json:
        """Return the resource with another value here, or at another path."""
        made: Json = _put(self.resource, at or self.path, value)
        return made

    def without(self) -> Json:
        """Return the resource without the element."""
        holder = {name: value for name, value in self.parent.items() if name != self.name}
        return self.put(holder, at=self.path[:-1]) if len(self.path) > 1 else holder

    @property
    def parent(self) -> Json:
        """Return the object that holds the element."""
        found: Any = self.resource
        for step in self.path[:-1]:
            found = found[step]
        parent: Json = found
        return parent


#: makes of a place the resource with the defect there; None: the place cannot have it
Spoil = Callable[[Place], Json | None]


def resources(kind: str) -> Iterator[Json]:
    """Yield valid resources of a type, each with every kind of value; always the same ones."""
    grammar = Grammar(random.Random(kind))
    for _ in range(SAMPLES):
        made = grammar.resource(kind, id="x", meta=EVERY_KIND)
        if not gate.check(made):
            yield made


def places(kind: str, resource: Json) -> Iterator[Place]:
    """Yield every place of a resource, but for its id, its type and what is inside resources within it."""
    definitions = schemas.definitions(kind)

    def walk(value: Json, schema: Json, path: Path) -> Iterator[Place]:
        for name, inner in value.items():
            if name == "resourceType" or (not path and name == "id") or name.startswith("_"):
                continue
            yield from visit(inner, schema["properties"][name], (*path, name), schema)

    def visit(value: Any, schema: Json, path: Path, holder: Json) -> Iterator[Place]:
        if isinstance(value, list):
            items = schema["items"]
            yield _place(resource, path, value, items, holder, is_list=True)
            for number, each in enumerate(value):
                yield from visit(each, items, (*path, number), {})
            return
        yield _place(resource, path, value, schema, holder, is_list=False)
        if isinstance(value, dict) and (within := _object(schema, definitions)):
            yield from walk(value, within, path)

    yield from walk(resource, definitions[kind], ())


def _place(resource: Json, path: Path, value: Any, schema: Json, holder: Json, *, is_list: bool) -> Place:
    type_ = "enum" if "enum" in schema else schema.get("$ref", "").rpartition("/")[2] or "text"
    return Place(resource=resource, path=path, value=value, type=type_, is_list=is_list, holder=holder)


def _object(schema: Json, definitions: Mapping[str, Json]) -> Json | None:
    """Return the schema of an object with its properties; None: it is a resource, or none is known."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name.startswith("Reference"):
        return definitions["Reference"]
    found = definitions.get(name, schema)
    return found if name != "Resource" and "additionalProperties" in found else None


def _put(value: Any, path: Path, new: Any) -> Any:
    step, *rest = path
    copied = value.copy()
    copied[step] = _put(value[step], tuple(rest), new) if rest else new
    return copied


def _of(*types: str, new: Any) -> Spoil:
    """Return the defect that puts a value in the place of one of these types."""

    def spoil(place: Place) -> Json | None:
        return place.put(new) if place.type in types and not place.is_list else None

    return spoil


def _in_capitals(place: Place) -> Json | None:
    if place.type != "enum" or place.is_list or place.value == place.value.swapcase():
        return None
    return place.put(place.value.swapcase())


def _is_object(place: Place) -> bool:
    return isinstance(place.value, dict) and place.type != "Resource"


def _one_for_a_list(place: Place) -> Json | None:
    return place.put(place.value[0]) if place.is_list else None


def _a_list_for_one(place: Place) -> Json | None:
    return place.put([place.value]) if place.holder and not place.is_list else None


def _null(place: Place) -> Json | None:
    return place.put(None) if place.holder else None


def _null_in_a_list(place: Place) -> Json | None:
    return place.put([*place.value, None]) if place.is_list else None


def _empty_list(place: Place) -> Json | None:
    return place.put([]) if place.is_list else None


def _text_for_an_object(place: Place) -> Json | None:
    return place.put("x") if _is_object(place) else None


def _empty_object(place: Place) -> Json | None:
    return place.put({}) if _is_object(place) else None


def _unknown_inside(place: Place) -> Json | None:
    return place.put({**place.value, "colour": "red"}) if _is_object(place) else None


def _unknown(place: Place) -> Json | None:
    return {**place.resource, "colour": "red"}


def _object_for_text(place: Place) -> Json | None:
    return place.put({"a": "x"}) if place.type in (*TEXTS, "enum") and not place.is_list else None


def _two_of_a_choice(place: Place) -> Json | None:
    for part in place.holder.get("allOf", ()):
        kinds = [name for one in part.get("oneOf", ()) for name in _required(one)]
        if place.name in kinds and len(kinds) > 1:
            other = "valueBoolean" if "valueBoolean" in kinds else ""
            other = next((k for k in (other, *kinds) if k and k != place.name), "")
            at = (*place.path[:-1], other)
            return place.put(place.value, at=at)
    return None


def _required(schema: Json) -> Iterator[str]:
    """Yield the elements of which a choice has one, without those that only extend."""
    for each in (schema, *schema.get("anyOf", ())):
        yield from (name for name in each.get("required", ()) if not name.startswith("_"))


def _missing(place: Place) -> Json | None:
    return place.without() if place.name in place.holder.get("required", ()) else None


def _without_zone(place: Place) -> Json | None:
    return place.put("2026-02-16T09:00:00") if place.type in TIMES and not place.is_list else None


def _other_reference(place: Place) -> Json | None:
    """Point to a type that the reference may not name, or where it may name any, to one that there is not."""
    if not place.type.startswith("Reference") or place.is_list or "reference" not in place.value:
        return None
    free = place.type in ("Reference", "Reference-to-Resource")
    types = place.type.split("-")[2:]
    wrong = "Foo" if free else next(each for each in ("Slot", "Patient") if each not in types)
    return place.put({**place.value, "reference": f"{wrong}/1"})


def _extension_without_url(place: Place) -> Json | None:
    if place.type != "Extension" or place.is_list:
        return None
    return place.put({name: value for name, value in place.value.items() if name != "url"})


def _extension_of_nothing(place: Place) -> Json | None:
    return place.put({"url": "urn:x"}) if place.type == "Extension" and not place.is_list else None


#: each kind of defect by its name
DEFECTS: Mapping[str, Spoil] = {
    "a code of no value set": _of("enum", new="no-such-code"),
    "a code in the other case": _in_capitals,
    "a number for a code": _of("enum", "code", new=1),
    "text for a number": _of(*NUMBERS, new="7"),
    "a number for text": _of(*TEXTS, new=7),
    "text for a boolean": _of("boolean", new="true"),
    "a number for a boolean": _of("boolean", new=1),
    "a boolean for a number": _of(*NUMBERS, new=True),
    "a whole number with a point": _of(*WHOLE, new=Decimal("1.0")),
    "a whole number of 33 bits": _of(*WHOLE, new=2**31),
    "one for a list": _one_for_a_list,
    "a list for one": _a_list_for_one,
    "text for an object": _text_for_an_object,
    "an object for text": _object_for_text,
    "null": _null,
    "null in a list": _null_in_a_list,
    "an empty list": _empty_list,
    "an empty object": _empty_object,
    "an empty text": _of(*TEXTS, "enum", new=""),
    "an unknown element": _unknown,
    "an unknown element inside": _unknown_inside,
    "two kinds of a choice": _two_of_a_choice,
    "a missing element": _missing,
    "a day of no calendar": _of("date", "dateTime", new="2026-02-30"),
    "a time without a zone": _without_zone,
    "a reference to another type": _other_reference,
    "an extension without a URL": _extension_without_url,
    "an extension of nothing": _extension_of_nothing,
}


def spoilt(kind: str, *, most: int) -> Iterator[tuple[str, Place, Json]]:
    """Yield for each kind of defect up to `most` resources of a type with it, of different elements.

    Elements of the type itself come before those that every type has in its meta.
    """
    found = [place for each in resources(kind) for place in places(kind, each)]
    found.sort(key=lambda place: place.path[0] == "meta")
    for name, spoil in DEFECTS.items():
        seen: set[tuple[str, ...]] = set()
        for place in found:
            steps = tuple(step for step in place.path if isinstance(step, str))
            if steps in seen or (made := spoil(place)) is None:
                continue
            seen.add(steps)
            yield name, place, made
            if len(seen) == most:
                break
