"""Which elements a type has, what is in them, and how often: read from the schemas of R4.

http://hl7.org/fhir/R4/json.html
"""

from functools import cache
from typing import Any, NamedTuple

from fhir_profiles.r4 import schemas

#: kinds that are restrictions of another type, by which a choice is named
_RESTRICTED = {"SimpleQuantity": "Quantity", "MoneyQuantity": "Quantity"}


class Element(NamedTuple):
    """One element, as JSON names it."""

    #: `valueQuantity`, not `value`
    key: str
    #: a data type, a part such as `Patient.contact`, or `Resource`
    kind: str
    repeats: bool


def named(kind: str, name: str) -> tuple[Element, ...]:
    """Return the element of this name; of a choice, such as `value`, one for each type it may have."""
    properties = _properties(kind)
    if name.startswith("_") or name == "resourceType":
        return ()
    if name in properties:
        return (_element(name, properties[name]),)
    begun = [_element(key, each) for key, each in properties.items() if key.startswith(name)]
    found = tuple(each for each in begun if each.key == f"{name}{_capital(each.kind)}")
    # `birthDate` is no choice called `birth`.
    return found if len(found) > 1 else ()


def choice(kind: str, key: str) -> tuple[Element, ...]:
    """Return the elements of which only one may be there, where `valueQuantity` is one of them."""
    (element,) = named(kind, key)
    suffix = _capital(element.kind)
    found = named(kind, key.removesuffix(suffix)) if key.endswith(suffix) else ()
    return found if element in found else (element,)


def is_type(name: str) -> bool:
    """Return whether R4 has a data type or a resource of this name."""
    return name in schemas.RESOURCES or name in schemas.definitions("Basic")


def is_primitive(kind: str) -> bool:
    """Return whether the type is one text, number or boolean: those are written small."""
    return kind[:1].islower()


def _capital(kind: str) -> str:
    return f"{kind[:1].upper()}{kind[1:]}"


@cache
def _properties(kind: str) -> dict[str, Any]:
    root = kind.partition(".")[0]
    # Every type of resource knows the data types.
    definitions = schemas.definitions(root if root in schemas.RESOURCES else "Basic")
    found: dict[str, Any] = definitions.get(kind, {}).get("properties", {})
    return found


def _element(key: str, schema: Any) -> Element:
    repeats = "items" in schema
    inner = schema["items"] if repeats else schema
    kind = inner.get("$ref", "").rpartition("/")[2]
    if not kind:
        kind = "code" if "enum" in inner else "string"
    kind = "Reference" if kind.startswith("Reference-to-") else kind
    return Element(key=key, kind=_RESTRICTED.get(kind, kind), repeats=repeats)
