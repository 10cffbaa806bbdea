"""FHIRPath Patch: what is to change in a resource, as the operations of a Parameters, done all or not at all.

    add      a part to an element, at the end where there may be several
    insert   into a list, before a position
    delete   an element; one that is not there is no fault
    replace  an element
    move     an element of a list to another position

http://hl7.org/fhir/R4/fhirpatch.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.fhir import elements, patch_path
from service.fhir.elements import Element
from service.fhir.json_patch import MOST_OPERATIONS, CannotBePatched, copied
from service.fhir.patch_path import Expression, Member, NotTaken
from service.fhir.patch_places import Place, Steps, Walk, at, beside

Json = Mapping[str, Any]

#: by type, the parts that an operation must have
NEEDED: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step."""

    #: its place, for messages
    number: int
    type: str
    path: Expression
    name: str = ""
    #: the part that carries the value
    value: Json | None = None
    index: int = 0
    source: int = 0
    destination: int = 0

    def fails(self, text: str) -> CannotBePatched:
        """Return the error that names this operation."""
        return CannotBePatched(f"operation {self.number} ({self.type}): {text}")


@dataclass(slots=True)
class _Value:
    """What an operation puts somewhere."""

    #: its data type, or Resource; empty: the parts of an element
    kind: str
    value: Any
    #: what is said of a primitive
    beside: Any = None


def read(parameters: Json) -> tuple[Operation, ...]:
    """Return the operations of a patch that the gate has let pass.

    Raises:
        CannotBePatched: a parameter is no operation.
    """
    rows = parameters.get("parameter", [])
    if len(rows) > MOST_OPERATIONS:
        raise CannotBePatched(f"a FHIRPath Patch has at most {MOST_OPERATIONS} operations here")
    return tuple(_operation(number, row) for number, row in enumerate(rows))


def apply(resource: Json, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the resource after the operations; the one that was given stays as it is.

    Raises:
        CannotBePatched: an operation does not fit.
    """
    document: dict[str, Any] = copied(resource)
    walk = Walk()
    for operation in operations:
        try:
            _OPERATIONS[operation.type](document, operation, walk)
        except NotTaken as error:
            raise operation.fails(str(error)) from None
    return document


def _operation(number: int, row: Json) -> Operation:
    where = f"operation {number}"
    if row.get("name") != "operation":
        raise CannotBePatched(f"{where}: each parameter of a patch is named operation")
    parts: dict[str, Json] = {}
    for part in row.get("part", ()):
        if (name := part.get("name", "")) in parts:
            raise CannotBePatched(f"{where}: a part is given twice")
        parts[name] = part
    kind = parts.get("type", {}).get("valueCode", parts.get("type", {}).get("valueString"))
    if kind not in NEEDED:
        raise CannotBePatched(f"{where}: type is one of {', '.join(NEEDED)}, as valueCode")
    if missing := [name for name in NEEDED[kind] if name not in parts]:
        raise CannotBePatched(f"{where} ({kind}): it needs {', '.join(missing)}")
    if unknown := set(parts) - set(NEEDED[kind]) - {"type"}:
        known = ", ".join(NEEDED[kind])
        raise CannotBePatched(f"{where} ({kind}): {len(unknown)} parts are not of such an operation: {known}")
    try:
        path = patch_path.read(_text(parts["path"], f"{where} ({kind}): path"))
    except NotTaken as error:
        raise CannotBePatched(f"{where} ({kind}): {error}") from None
    numbers = {
        name: _number(parts[name], f"{where} ({kind}): {name}")
        for name in ("index", "source", "destination")
        if name in parts
    }
    name = _text(parts["name"], f"{where} ({kind}): name") if "name" in parts else ""
    return Operation(number=number, type=kind, path=path, name=name, value=parts.get("value"), **numbers)


def _text(part: Json, what: str) -> str:
    value = part.get("valueString", part.get("valueCode"))
    if not isinstance(value, str):
        raise CannotBePatched(f"{what} is a valueString")
    return value


def _number(part: Json, what: str) -> int:
    value = part.get("valueInteger", part.get("valueUnsignedInt"))
    if not isinstance(value, int) or value < 0:
        raise CannotBePatched(f"{what} is a valueInteger from 0 on")
    return value


def _add(document: dict[str, Any], operation: Operation, walk: Walk) -> None:
    place = _one(operation, walk.follow(document, operation.path))
    assert operation.value is not None
    steps, kind = _holder(document, place, operation)
    _put(at(document, steps), kind, operation.name, operation.value, operation)


def _insert(document: dict[str, Any], operation: Operation, walk: Walk) -> None:
    holder, element = _list(document, operation, walk)
    assert operation.value is not None
    found = _value(operation.value, (element,), operation)
    _fitting((element,), found, operation)
    count = _count(holder, element.key)
    if operation.index > count:
        raise operation.fails("the list has fewer elements than index says")
    _into(holder, element.key, operation.index, found, count)


def _delete(document: dict[str, Any], operation: Operation, walk: Walk) -> None:
    places = walk.follow(document, operation.path)
    if not places:
        return
    _remove(document, _inside(operation, places).steps)


def _replace(document: dict[str, Any], operation: Operation, walk: Walk) -> None:
    place = _inside(operation, walk.follow(document, operation.path))
    assert operation.value is not None
    index = place.steps[-1] if isinstance(place.steps[-1], int) else None
    key = str(place.steps[-1 if index is None else -2])
    steps = place.steps[: -1 if index is None else -2]
    holder = at(document, steps)
    element, found = _chosen(_kind_at(document, steps), key, operation)
    if index is not None:
        _remove_from(holder, key, index)
        _into(holder, key, index, found, _count(holder, key))
        return
    for name in (key, f"_{key}"):
        holder.pop(name, None)
    _set(holder, element.key, found)


def _move(document: dict[str, Any], operation: Operation, walk: Walk) -> None:
    holder, element = _list(document, operation, walk)
    count = _count(holder, element.key)
    if operation.source >= count or operation.destination >= count:
        raise operation.fails("the list has no such position")
    for name in (element.key, f"_{element.key}"):
        if name in holder:
            holder[name].insert(operation.destination, holder[name].pop(operation.source))


def _one(operation: Operation, places: Sequence[Place]) -> Place:
    if len(places) != 1:
        found = "several elements" if places else "nothing"
        raise operation.fails(f"the path leads to {found}; it has to lead to one element")
    return places[0]


def _inside(operation: Operation, places: Sequence[Place]) -> Place:
    place = _one(operation, places)
    if not place.steps:
        raise operation.fails("the path leads to the whole resource; send a PUT or a DELETE for that")
    return place


def _list(document: dict[str, Any], operation: Operation, walk: Walk) -> tuple[dict[str, Any], Element]:
    """Return what holds the list that the path names, and the element that repeats in it."""
    path = operation.path
    if not isinstance(path, Member):
        raise operation.fails("the path of a list ends with the name of its elements")
    place = _one(operation, walk.follow(document, path.of))
    steps, kind = _holder(document, place, operation)
    named = elements.named(kind, path.name)
    if len(named) != 1 or not named[0].repeats:
        raise operation.fails("there is no list of this name")
    return at(document, steps), named[0]


def _holder(document: Any, place: Place, operation: Operation) -> tuple[Steps, str]:
    """Return where the parts of an element stand, which of a primitive are beside it, and their kind."""
    held = at(document, place.steps)
    if isinstance(held, dict):
        return place.steps, str(held["resourceType"]) if place.kind == "Resource" else place.kind
    steps = beside(place.steps)
    if at(document, steps) is None:
        if isinstance(steps[-1], int):
            raise operation.fails("nothing is added beside one of several texts or numbers; replace it")
        at(document, steps[:-1])[steps[-1]] = {}
    return steps, "Element"


def _kind_at(document: Any, steps: Steps) -> str:
    """Return the kind of what holds an element, from the outside in."""
    kind = str(document["resourceType"])
    so_far: Steps = ()
    for step in steps:
        so_far = (*so_far, step)
        if isinstance(step, int):
            continue
        kind = "Element" if step.startswith("_") else elements.named(kind, step)[0].kind
        if kind == "Resource":
            index = steps[len(so_far)] if len(so_far) < len(steps) else None
            inner = at(document, so_far if index is None else (*so_far, index))
            kind = str(inner["resourceType"])
    return kind


def _chosen(kind: str, key: str, operation: Operation) -> tuple[Element, _Value]:
    """Return the element that a value is, of those that may stand in its place, and the value."""
    assert operation.value is not None
    among = elements.choice(kind, key)
    found = _value(operation.value, among, operation)
    return _fitting(among, found, operation), found


def _put(holder: Any, kind: str, name: str, part: Json, operation: Operation) -> None:
    """Add a part to what holds it."""
    named = elements.named(kind, name)
    if not named:
        raise operation.fails("an element of this type has no part of this name")
    among = elements.choice(kind, named[0].key) if len(named) == 1 else named
    found = _value(part, named, operation)
    element = _fitting(named, found, operation)
    if element.repeats:
        count = _count(holder, element.key)
        _into(holder, element.key, count, found, count)
        return
    if any(each.key in holder or f"_{each.key}" in holder for each in among):
        raise operation.fails("the element is there already, and there may be one; replace it")
    _set(holder, element.key, found)


def _value(part: Json, among: Sequence[Element], operation: Operation) -> _Value:
    """Return what a part carries: a value, a resource, or the parts of an element."""
    if "resource" in part:
        return _Value("Resource", part["resource"])
    if "part" in part:
        built: dict[str, Any] = {}
        for inner in part["part"]:
            _put(built, among[0].kind, inner.get("name", ""), inner, operation)
        return _Value("", built)
    name = next((each for each in part if each.startswith(("value", "_value"))), "")
    if not name:
        raise operation.fails("value holds a value, a resource, or the parts of an element")
    suffix = name.removeprefix("_").removeprefix("value")
    kind = suffix if elements.is_type(suffix) else f"{suffix[:1].lower()}{suffix[1:]}"
    return _Value(kind, part.get(f"value{suffix}"), part.get(f"_value{suffix}"))


def _fitting(among: Sequence[Element], found: _Value, operation: Operation) -> Element:
    """Return the element that takes a value: of a choice the one of its type.

    So the document keeps the shape by which further operations find their way; the rest the gate tells.
    """
    fitting = [
        each
        for each in among
        if each.kind == found.kind
        or (len(among) == 1 and elements.is_primitive(each.kind) and elements.is_primitive(found.kind))
        or (not found.kind and not elements.is_primitive(each.kind) and each.kind != "Resource")
    ]
    if len(fitting) != 1:
        raise operation.fails("the element does not have a value of this type")
    return fitting[0]


def _count(holder: Any, key: str) -> int:
    return max(len(holder.get(key, ())), len(holder.get(f"_{key}", ())))


def _into(holder: Any, key: str, index: int, found: _Value, count: int) -> None:
    """Put a value into a list; what is said of primitives stays beside each of them."""
    beside_key = f"_{key}"
    for name, value in ((key, found.value), (beside_key, found.beside)):
        if name in holder or value is not None:
            holder.setdefault(name, [None] * count).insert(index, value)


def _set(holder: Any, key: str, found: _Value) -> None:
    for name, value in ((key, found.value), (f"_{key}", found.beside)):
        if value is not None:
            holder[name] = value


def _remove_from(holder: Any, key: str, index: int) -> None:
    for name in (key, f"_{key}"):
        if name in holder:
            del holder[name][index]
            if all(each is None for each in holder[name]):
                del holder[name]


def _remove(document: dict[str, Any], steps: Steps) -> None:
    """Remove an element, and what is empty without it."""
    index = steps[-1] if isinstance(steps[-1], int) else None
    outside = steps[: -1 if index is None else -2]
    holder, key = at(document, outside), str(steps[-1 if index is None else -2])
    if index is not None:
        _remove_from(holder, key, index)
    else:
        for name in (key, f"_{key}"):
            holder.pop(name, None)
    if outside and not holder:
        _remove_empty(document, outside)


def _remove_empty(document: dict[str, Any], steps: Steps) -> None:
    """Remove what has become empty; beside a primitive it goes alone."""
    index = steps[-1] if isinstance(steps[-1], int) else None
    key = str(steps[-1 if index is None else -2])
    if not key.startswith("_"):
        _remove(document, steps)
        return
    holder = at(document, steps[: -1 if index is None else -2])
    if index is None:
        del holder[key]
        return
    holder[key][index] = None
    if all(each is None for each in holder[key]):
        del holder[key]


_OPERATIONS: Mapping[str, Callable[[dict[str, Any], Operation, Walk], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
