"""Where a resource points to others, and the same resource with other targets.

http://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Json = Mapping[str, Any]

ID = r"[A-Za-z0-9\-.]{1,64}"
TYPE = r"[A-Z][A-Za-z]{1,63}"

_LOCAL = re.compile(rf"(?P<type>{TYPE})/(?P<id>{ID})(?P<version>/_history/{ID})?(?P<part>#.*)?")
_RESTFUL = re.compile(rf"(?P<base>https?://.+/)(?P<rest>{TYPE}/{ID})(?:/_history/{ID})?")
_CONDITIONAL = re.compile(rf"(?P<type>{TYPE})\?(?P<query>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One literal reference."""

    #: the path within the resource, `performer[0]`
    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """A search that must find one resource."""

    type: str
    system: str
    value: str


def literal(resource: Json) -> Iterator[Found]:
    """Yield every literal reference of the resource that leaves it."""
    for path, holder in _holders(resource, ""):
        target = holder["reference"]
        if not target.startswith("#"):
            yield Found(path=path, target=target)


def logical(resource: Json, elements: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield element, system and value where one of the elements points by identifier alone."""
    for element in elements:
        holder = resource.get(element)
        if isinstance(holder, dict) and "reference" not in holder:
            identifier = holder.get("identifier")
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                yield element, str(identifier.get("system") or ""), identifier["value"]


def replaced(resource: Json, target_of: Callable[[str], str]) -> dict[str, Any]:
    """Return the resource with each literal reference replaced; what points nowhere else is shared."""
    result = _replaced(resource, target_of)
    return result if isinstance(result, dict) else dict(resource)


def local(reference: str) -> tuple[str, str] | None:
    """Return type and id of `Type/id`, with or without a version; None for any other form."""
    match = _LOCAL.fullmatch(reference)
    return (match["type"], match["id"]) if match else None


def version_of(reference: str) -> str:
    """Return what follows `Type/id`: a version, a part, or nothing."""
    match = _LOCAL.fullmatch(reference)
    return (match["version"] or "") + (match["part"] or "") if match else ""


def base_of(full_url: str) -> str | None:
    """Return the server's base of a full URL that ends in `Type/id`."""
    match = _RESTFUL.fullmatch(full_url)
    return match["base"] if match else None


def without_version(url: str) -> str:
    """Return an absolute URL of a resource without its version."""
    return url.partition("/_history/")[0]


def conditional(reference: str) -> Conditional | None:
    """Return the search in `Type?identifier=system|value`; None for any other form."""
    match = _CONDITIONAL.fullmatch(reference)
    token = identifier_token(match["query"]) if match else None
    return Conditional(type=match["type"], system=token[0], value=token[1]) if match and token else None


def identifier_token(query: str) -> tuple[str, str] | None:
    """Return system and value of `identifier=system|value`; None for any other search."""
    name, _, token = query.partition("=")
    if name != "identifier" or "&" in token:
        return None
    # a plus is a plus: the query stands in JSON, not in a form
    system, bar, value = unquote(token).partition("|")
    return (system, value) if bar and value else None


def _holders(node: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield path, node
        for key, value in node.items():
            if isinstance(value, dict | list):
                yield from _holders(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for position, item in enumerate(node):
            if isinstance(item, dict | list):
                yield from _holders(item, f"{path}[{position}]")


def _replaced(node: object, target_of: Callable[[str], str]) -> object:
    if isinstance(node, dict):
        changed = {
            key: new
            for key, value in node.items()
            if isinstance(value, dict | list) and (new := _replaced(value, target_of)) is not value
        }
        target = node.get("reference")
        if isinstance(target, str) and not target.startswith("#") and (new := target_of(target)) != target:
            changed["reference"] = new
        return {**node, **changed} if changed else node
    if isinstance(node, list):
        items = [_replaced(item, target_of) if isinstance(item, dict | list) else item for item in node]
        return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
    return node
