"""Where a resource points to others, and the same resource with other targets.

http://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

Json = Mapping[str, Any]

ID = r"[A-Za-z0-9\-.]{1,64}"
TYPE = r"[A-Z][A-Za-z]{1,63}"

_LOCAL = re.compile(rf"(?P<type>{TYPE})/(?P<id>{ID})(?P<version>/_history/{ID})?(?P<part>#.*)?")
_RESTFUL = re.compile(rf"(?P<base>https?://.+/)(?P<rest>{TYPE}/{ID})(?:/_history/{ID})?")
_CONDITIONAL = re.compile(rf"(?P<type>{TYPE})\?(?P<query>.+)")


class Found(NamedTuple):
    """One literal reference."""

    #: the keys and positions that lead to its holder, from the outside in
    steps: tuple[str | int, ...]
    target: str

    @property
    def path(self) -> str:
        """Return the path within the resource, `performer[0]`."""
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return path.removeprefix(".")

    @property
    def element(self) -> str | int:
        """Return the element of the resource in which it stands; empty for the resource itself."""
        return self.steps[0] if self.steps else ""


class Conditional(msgspec.Struct, frozen=True, kw_only=True):
    """A search that must find one resource."""

    type: str
    system: str
    value: str


def literal(resource: Json) -> tuple[Found, ...]:
    """Return every literal reference of the resource that leaves it, in the order in which they stand."""
    found: list[tuple[list[str | int], str]] = []
    _collect(resource, found)
    return tuple(Found(tuple(reversed(steps)), target) for steps, target in found)


def logical(resource: Json, elements: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield element, system and value where one of the elements points by identifier alone."""
    for element in elements:
        holder = resource.get(element)
        if isinstance(holder, dict) and "reference" not in holder:
            identifier = holder.get("identifier")
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                yield element, str(identifier.get("system") or ""), identifier["value"]


def replaced(resource: Json, found: Iterable[Found], targets: Mapping[str, str]) -> dict[str, Any]:
    """Return the resource with other targets in the references found; what holds none of them is shared.

    Args:
        targets: what is to stand in place of a target; one that is not here stays.
    """
    result = dict(resource)
    own: set[tuple[str | int, ...]] = {()}
    for steps, target in found:
        new = targets.get(target, target)
        if new == target:
            continue
        node: Any = result
        for depth, step in enumerate(steps, start=1):
            # Copied on the way, once: what others see stays as it is.
            if steps[:depth] not in own:
                own.add(steps[:depth])
                inner = node[step]
                node[step] = inner.copy()
            node = node[step]
        node["reference"] = new
    return result


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


def _collect(node: Any, found: list[tuple[list[str | int], str]]) -> None:
    """Add what is found in the node with the steps to it, from the inside out: most nodes hold nothing."""
    if type(node) is dict:
        target = node.get("reference")
        if type(target) is str and not target.startswith("#"):
            found.append(([], target))
        inside: Iterable[tuple[str | int, Any]] = node.items()
    else:
        inside = enumerate(node)
    for step, value in inside:
        if type(value) is dict or type(value) is list:
            before = len(found)
            _collect(value, found)
            for steps, _ in found[before:]:
                steps.append(step)
