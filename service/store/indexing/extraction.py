"""The rows of a resource: small functions made once for each type, called for the elements that are there.

    element "code" of an Observation  ->  [read a CodeableConcept, keep its codings under "code"]

A resource has few of the elements that its type may have, so the cost is that of what it says.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from service.store.indexing import narratives, parameters, reading
from service.store.indexing.parameters import Kept
from service.store.indexing.rows import Rows, Value

Json = Mapping[str, Any]
#: adds the rows of one element
Use = Callable[[Any, Rows], None]

#: To be raised whenever other rows are made of the same resource: what is stored is then indexed anew.
VERSION = 5


def rows(resource: Json, *, patient: str | None, about: Mapping[str, tuple[str, ...]]) -> Rows:
    """Return everything by which the search finds the resource.

    Args:
        patient: the id of whom it is about, as its column has it.
        about: by type the elements that say whom it is about.
    """
    type_ = resource["resourceType"]
    found = Rows(about=f"Patient/{patient}" if patient else None)
    uses = _uses(type_, about.get(type_, ()))
    for element, value in resource.items():
        for use in uses.get(element, ()):
            use(value, found)
    if narrative := resource.get("text"):
        found.narrative = narratives.vector(narrative.get("div") or "")
    if type_ == "Patient":
        # Whoever is not said to be dead is not.
        dead = bool(resource.get("deceasedBoolean") or resource.get("deceasedDateTime"))
        found.values[Value("deceased", "", str(dead).lower())] = None
    return found


@cache
def _uses(type_: str, about: tuple[str, ...]) -> Mapping[str, tuple[Use, ...]]:
    """Return, by element, how it is read."""
    found: dict[str, list[Use]] = {}
    numbered = parameters.numbered(type_)
    for kept in parameters.kept(type_):
        if kept.place.of == "deceased":
            continue
        element, *rest = kept.place.path
        is_about = not rest and element in about
        use = _use(kept, tuple(rest), is_about=is_about, numbered=element in numbered)
        found.setdefault(element, []).append(use)
    return {element: tuple(uses) for element, uses in found.items()}


def _use(kept: Kept, rest: tuple[str, ...], *, is_about: bool, numbered: bool) -> Use:
    read = reading.reader(kept.kind, kept.place.of, is_about=is_about)
    name, where = kept.name, kept.place.where

    if not rest and not where and not numbered:

        def at_once(value: Any, rows: Rows) -> None:
            for each in value if isinstance(value, list) else (value,):
                if each is not None:
                    read(name, 0, each, rows)

        return at_once

    def along(value: Any, rows: Rows) -> None:
        for number, each in enumerate(value if isinstance(value, list) else (value,), 1):
            part = number if numbered else 0
            for found in _walk(each, rest, 1, where):
                read(name, part, found, rows)

    return along


def _walk(value: Any, rest: tuple[str, ...], depth: int, where: tuple[int, str, str] | None) -> Iterator[Any]:
    """Yield what stands at the end of the way, leaving out what does not fulfil its condition."""
    if isinstance(value, list):
        for each in value:
            yield from _walk(each, rest, depth, where)
    elif value is None or (where and where[0] == depth and value.get(where[1]) != where[2]):
        return
    elif not rest:
        yield value
    else:
        yield from _walk(value.get(rest[0]), rest[1:], depth + 1, where)
