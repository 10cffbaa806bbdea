"""Where in a resource the path of a patch leads: places, by the keys and positions that lead to them.

A primitive and what is beside it, such as `birthDate` and `_birthDate`, are one place.

http://hl7.org/fhirpath/N1/
http://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles.r4 import schemas
from service.fhir import elements
from service.fhir.json_patch import same
from service.fhir.patch_path import At, Both, Call, Expression, Literal, Member, NotTaken, This

Json = Mapping[str, Any]
Steps = tuple[str | int, ...]

#: the type of parts that have no name of their own
BACKBONE = "BackboneElement"

#: how often all paths of a patch may look for something together, found or not: measured, two to four tenths
#: of a second
MOST_VISITS = 200_000


@dataclass(frozen=True, slots=True)
class Place:
    """One element."""

    steps: Steps
    #: its type
    kind: str


#: what an expression leads to: places, or texts, numbers, true and false
_Found = list[Any]


def at(document: Any, steps: Sequence[str | int]) -> Any:
    """Return what is there; None: nothing, or only what is beside it."""
    for step in steps:
        if isinstance(step, str):
            document = document.get(step) if isinstance(document, dict) else None
        else:
            document = document[step] if isinstance(document, list) and step < len(document) else None
    return document


def beside(steps: Steps) -> Steps:
    """Return where the extensions of a primitive stand."""
    if isinstance(steps[-1], int):
        return (*steps[:-2], f"_{steps[-2]}", steps[-1])
    return (*steps[:-1], f"_{steps[-1]}")


class Walk:
    """Follows the paths of one patch in its document, so far and no further."""

    def __init__(self) -> None:
        """Begin with all visits left."""
        self._left = MOST_VISITS
        self._document: Any = None

    def follow(self, document: Json, path: Expression) -> list[Place]:
        """Return where the path leads, in the order of the document.

        Raises:
            NotTaken: it leads to no places of the document, or all paths look for too much.
        """
        self._document = document
        root = Place((), str(document["resourceType"]))
        found = self._all(path, [root])
        if not all(isinstance(each, Place) for each in found):
            raise NotTaken("the path does not lead to an element")
        return found

    def _all(self, path: Expression, focus: _Found) -> _Found:
        # What finds nothing has been looked for all the same.
        self._visit()
        match path:
            case This():
                return focus
            case Literal(value):
                return [value]
            case Member(This(), name) if focus == [Place((), name)]:
                # The path may begin with the type.
                return focus
            case Member(This(), name) if name in schemas.RESOURCES:
                raise NotTaken("the path begins with another type than the resource has")
            case Member(of, name):
                return [inner for each in self._all(of, focus) for inner in self.children(each, name)]
            case At(of, index):
                return self._all(of, focus)[index : index + 1]
            case Both(operator, left, right):
                return _truth(self._operated(operator, left, right, focus))
            case Call(of, name, arguments):
                return self._called(name, self._all(of, focus), arguments)

    def children(self, of: Any, name: str) -> Iterator[Place]:
        """Yield the elements of this name that an element has."""
        if not isinstance(of, Place):
            return
        held = at(self._document, of.steps)
        steps, kind = of.steps, of.kind
        if kind == "Resource" and isinstance(held, dict):
            kind = str(held.get("resourceType"))
        if of.steps and not isinstance(held, dict):
            # Of a primitive, what has been said of it.
            steps, kind = beside(of.steps), "Element"
            held = at(self._document, steps)
        for element in elements.named(kind, name) if isinstance(held, dict) else ():
            value, more = held.get(element.key), held.get(f"_{element.key}")
            if value is None and more is None:
                continue
            if not element.repeats:
                self._visit()
                yield Place((*steps, element.key), element.kind)
                continue
            for index in range(max(len(value or ()), len(more or ()))):
                self._visit()
                yield Place((*steps, element.key, index), element.kind)

    def _visit(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise NotTaken(f"the paths of a patch look at most {MOST_VISITS} times for elements together")

    def _called(self, name: str, found: _Found, arguments: tuple[Expression, ...]) -> _Found:
        match name, arguments:
            case "where", (criterion,):
                return [each for each in found if self._holds(criterion, each)]
            case "first", ():
                return found[:1]
            case "last", ():
                return found[-1:]
            case (("ofType" | "as"), (Literal(value),)):
                if not isinstance(value, str) or not (elements.is_type(value) or value == BACKBONE):
                    raise NotTaken(f"{name} is given the name of a type of R4")
                return [each for each in found if isinstance(each, Place) and self._kind(each) == value]
            case "extension", (url,):
                return [
                    inner
                    for each in found
                    for inner in self.children(each, "extension")
                    if self._all(url, [inner]) == [at(self._document, (*inner.steps, "url"))]
                ]
            case "exists", (criterion,):
                return [any(self._holds(criterion, each) for each in found)]
            case "exists", ():
                return [bool(found)]
            case "empty", ():
                return [not found]
            case "not", ():
                truth = self._truth_of(found)
                return _truth(None if truth is None else not truth)
            case "startsWith", (prefix,):
                return self._starts(found, self._all(prefix, found))
        raise AssertionError(f"{name} is read with the arguments that it takes")

    def _kind(self, place: Place) -> str:
        self._visit()
        held = at(self._document, place.steps)
        if place.kind == "Resource" and isinstance(held, dict):
            return str(held.get("resourceType"))
        return place.kind if "." not in place.kind else BACKBONE

    def _holds(self, criterion: Expression, each: Any) -> bool:
        return self._truth_of(self._all(criterion, [each])) is True

    def _operated(self, operator: str, left: Expression, right: Expression, focus: _Found) -> bool | None:
        first = self._all(left, focus)
        second = self._all(right, focus)
        if operator in ("=", "!="):
            if not first or not second:
                return None
            values = [self._value(each) for each in first], [self._value(each) for each in second]
            if any(isinstance(each, dict | list) for side in values for each in side):
                # Whatever is inside would be compared, at a cost that nothing bounds.
                raise NotTaken(f"{operator} compares texts, numbers, true and false in the path of a patch")
            return same(*values) is (operator == "=")
        # Of three values: false decides an `and`, true an `or`, whatever the other side is.
        deciding = operator == "or"
        truths = {self._truth_of(first), self._truth_of(second)}
        return deciding if deciding in truths else None if None in truths else not deciding

    def _starts(self, found: _Found, prefix: _Found) -> _Found:
        if not found or not prefix:
            return []
        text, start = self._only(found), self._only(prefix)
        if not isinstance(text, str) or not isinstance(start, str):
            raise NotTaken("startsWith() is asked of a text, and given one")
        return [text.startswith(start)]

    def _truth_of(self, found: _Found) -> bool | None:
        """Return the truth of what is one thing at most: of anything but true and false, that it is there."""
        if not found:
            return None
        value = self._only(found)
        return value if isinstance(value, bool) else True

    def _only(self, found: _Found) -> Any:
        if len(found) > 1:
            raise NotTaken("where one thing is meant, the path finds several")
        return self._value(found[0])

    def _value(self, each: Any) -> Any:
        self._visit()
        return at(self._document, each.steps) if isinstance(each, Place) else each


def _truth(value: bool | None) -> _Found:
    return [] if value is None else [value]
