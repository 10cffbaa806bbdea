"""Profiles, tags and security labels of a resource, as sets: what is added, what is removed.

A tag or label is the same by system and code, whatever its version and display; a profile by its URL.

http://hl7.org/fhir/R4/resource-operation-meta-add.html
http://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from service.store.labels import NAMES, Label

Json = Mapping[str, Any]


def added(resource: Json, given: Json) -> dict[str, Any]:
    """Return the resource with what a meta names and it does not carry yet."""
    return _with(resource, {name: _more(resource, given, name) for name in NAMES})


def removed(resource: Json, given: Json) -> dict[str, Any]:
    """Return the resource without what a meta names."""
    return _with(resource, {name: _less(resource, given, name) for name in NAMES})


def carried(labels: Iterable[Label]) -> dict[str, Any]:
    """Return a meta with all of the labels."""
    meta: dict[str, Any] = {}
    by_name = {name: element for element, name in NAMES.items()}
    for name, system, value in labels:
        coding = {"code": value} if not system else {"system": system, "code": value}
        meta.setdefault(by_name[name], []).append(value if by_name[name] == "profile" else coding)
    return meta


#: one of them, and what its place in `_profile` holds
_Each = tuple[Any, Any]


def _with(resource: Json, lists: Mapping[str, list[_Each]]) -> dict[str, Any]:
    meta = {
        name: value for name, value in resource.get("meta", {}).items() if name.removeprefix("_") not in lists
    }
    for name, each in lists.items():
        if each:
            meta[name] = [value for value, _ in each]
        if any(more is not None for _, more in each):
            meta[f"_{name}"] = [more for _, more in each]
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _all(meta: Json, name: str) -> list[_Each]:
    return list(zip_longest(meta.get(name, ()), meta.get(f"_{name}", ())))


def _more(resource: Json, given: Json, name: str) -> list[_Each]:
    found = _all(resource.get("meta", {}), name)
    known = {_identity(value) for value, _ in found}
    for value in given.get(name, ()):
        if _identity(value) not in known:
            known.add(_identity(value))
            found.append((value, None))
    return found


def _less(resource: Json, given: Json, name: str) -> list[_Each]:
    unwanted = {_identity(value) for value in given.get(name, ())}
    return [each for each in _all(resource.get("meta", {}), name) if _identity(each[0]) not in unwanted]


def _identity(value: Any) -> object:
    """Return by what one is known: a Coding without a code by what it displays."""
    if not isinstance(value, dict):
        return value
    return value.get("system"), value.get("code"), None if "code" in value else value.get("display")
