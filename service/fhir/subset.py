"""A part of a resource, where a client asks for less: `_summary` and `_elements`.

What is left out is said by the tag SUBSETTED, so that nobody stores the part as the whole.

http://hl7.org/fhir/R4/search.html#summary
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from fhir_profiles import reading
from fhir_profiles.r4 import schemas
from service.fhir.refusals import Issue, NotExchanged
from service.store import content

PARAMETERS = ("_elements", "_summary")

SUBSETTED: Mapping[str, str] = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}

#: they are always there
_HEAD = ("resourceType", "id", "meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which part is asked for. Both empty: the whole."""

    #: true, text or data; `count` is of a search, which then has no resources
    summary: str | None = None
    elements: tuple[str, ...] = ()


def read(asked: Iterable[tuple[str, str]], *, of_search: bool) -> Shape:
    """Return the part that the parameters ask for.

    Raises:
        NotExchanged: they contradict each other, or ask for a count where nothing is counted.
    """
    given = {name: value for name, value in asked if name in PARAMETERS and value}
    summary = given.get("_summary")
    kinds = ("true", "text", "data", "false", *(("count",) if of_search else ()))
    if summary is not None and summary not in kinds:
        text = f"_summary is one of {', '.join(kinds)}"
        raise NotExchanged(Issue(code="value", text=text))
    elements = tuple(name.strip() for name in given.get("_elements", "").split(",") if name.strip())
    if elements and summary not in (None, "false"):
        raise NotExchanged(Issue(code="value", text="ask with _summary or with _elements, not with both"))
    return Shape(summary=None if summary == "false" else summary, elements=elements)


def of(body: str, shape: Shape) -> str:
    """Return the part of a stored resource as text, with its tag; the whole as it is.

    Raises:
        NotExchanged: an element is named that the type does not have, or it has no summary here.
    """
    if not (shape.elements or shape.summary):
        return body
    resource = content.read(body)
    names = _names(resource["resourceType"], shape)
    part = {name: value for name, value in resource.items() if name.removeprefix("_") in names}
    # What is rendered when it is asked for, as an access is, has none.
    meta = part.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    return reading.write({**part, "meta": {**meta, "tag": [*tags, SUBSETTED]}}).decode()


def check(type_: str, shape: Shape) -> None:
    """Refuse what cannot be asked of the type, whether or not anything is found.

    Raises:
        NotExchanged: as in `of`.
    """
    if shape.elements or shape.summary in ("true", "text", "data"):
        _names(type_, shape)


def has(type_: str, name: str) -> bool:
    """Return whether the type has such an element; `value` is one of Observation, whatever its kind."""
    try:
        return bool(_named(type_, name, tuple(schemas.definitions(type_)[type_]["properties"])))
    except NotExchanged:
        return False


def _names(type_: str, shape: Shape) -> frozenset[str]:
    """Return the elements that are shown, choices by their full name."""
    properties = schemas.definitions(type_)[type_]["properties"]
    if shape.elements:
        chosen = {known for name in shape.elements for known in _named(type_, name, tuple(properties))}
        return frozenset({*_HEAD, *chosen, *_mandatory(type_)})
    if shape.summary == "text":
        return frozenset({*_HEAD, "text", *_mandatory(type_)})
    if shape.summary == "data":
        return frozenset(name for name in properties if name != "text")
    return frozenset({*_HEAD, *_summary(type_), *_mandatory(type_)})


def _named(type_: str, name: str, properties: tuple[str, ...]) -> list[str]:
    """Return the properties of an element: `value` is that of Observation.value[x], whatever its kind."""
    name = name.removeprefix(f"{type_}.").removesuffix("[x]")
    if name in properties:
        return [name]
    found = [
        each for each in properties if each.startswith(name) and each[len(name) : len(name) + 1].isupper()
    ]
    if not found or name.startswith("_"):
        text = f"_elements names something that is no element of {type_}; elements are named without a path"
        raise NotExchanged(Issue(code="value", text=text))
    return found


@cache
def _mandatory(type_: str) -> frozenset[str]:
    """Return the elements that every resource of the type has; of a choice each of its kinds."""
    schema = schemas.definitions(type_)[type_]
    choices = [part["anyOf"] for part in schema.get("allOf", ()) if set(part) == {"anyOf"}]
    kinds = {name for choice in choices for kind in choice for name in kind.get("required", ())}
    return frozenset({*schema.get("required", ()), *kinds})


@cache
def _summary(type_: str) -> frozenset[str]:
    """Return the elements that the specification marks as a summary."""
    # Loaded when it is first asked for: nothing else of the web process needs the models.
    from fhir.resources.R4B import get_fhir_model_class

    try:
        return frozenset(get_fhir_model_class(type_).summary_elements_sequence())
    except (KeyError, ValueError):
        text = f"which elements of {type_} are its summary is not known here; name them with _elements"
        raise NotExchanged(Issue(code="not-supported", text=text)) from None
