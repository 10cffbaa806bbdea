"""Whether two copies of a resource say the same, and in which elements they do not.

Servers stamp what they store, may leave out or write a narrative, and may write references to themselves as
addresses or without a version; none of that is a difference. What a reference means is said by its address;
the identifier, type and text beside one are hints that change with what is referred to. A reference without
an address is compared by what its identifier has meant, and not by how we would write it today.

http://hl7.org/fhir/R4/references.html#logical
"""

from collections.abc import Mapping
from typing import Any

from service.hospital.outgoing import REFERENCE

Json = Mapping[str, Any]

#: `Type/id` of what an identifier of ours has meant, by type, system and value
Meant = Mapping[tuple[str, str, str], str]
#: what stands in a Reference beside its address
HINTS = ("identifier", "type", "display")

#: elements that name whom a resource is about
ABOUT = ("subject", "for", "patient")


def difference(one: Json, other: Json, *, base: str, meant: Meant) -> frozenset[str]:
    """Return the names of the elements that differ.

    Args:
        base: of the server that has one of them.
        meant: what identifiers that were sent in place of an address have meant.
    """
    names = (set(one) | set(other)) - {"meta"}
    if not ("text" in one and "text" in other):
        names -= {"text"}
    return frozenset(n for n in names if _plain(one.get(n), base, meant) != _plain(other.get(n), base, meant))


def about_another(ours: Json, theirs: Json, *, base: str, meant: Meant) -> bool:
    """Return whether the other copy is about somebody else, or of another kind."""
    names = ("resourceType", "id", *(name for name in ABOUT if name in ours))
    return any(_target(ours.get(n), base, meant) != _target(theirs.get(n), base, meant) for n in names)


def _target(value: Any, base: str, meant: Meant) -> Any:
    """Return whom a reference means, whatever else stands beside it."""
    plain = _plain(value, base, meant)
    if isinstance(plain, Mapping):
        return plain.get("reference") or plain.get("identifier")
    return plain


def _plain(value: Any, base: str, meant: Meant) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _plain(part, base, meant) for name, part in value.items()}
        reference = parts.get("reference")
        if isinstance(reference, str):
            match = REFERENCE.fullmatch(reference.removeprefix(f"{base}/"))
            reference = f"{match[1]}/{match[2]}" if match else reference
        else:
            reference = _meant(parts, meant)
        if reference is None:
            return parts
        return {**{n: v for n, v in parts.items() if n not in HINTS}, "reference": reference}
    if isinstance(value, list):
        return [_plain(part, base, meant) for part in value]
    return value


def _meant(parts: Json, meant: Meant) -> str | None:
    """Return what a Reference without an address means, where it is one of ours."""
    type_, identifier = parts.get("type"), parts.get("identifier")
    if not isinstance(type_, str) or not isinstance(identifier, Mapping):
        return None
    system, value = identifier.get("system"), identifier.get("value")
    return meant.get((type_, system, value)) if isinstance(system, str) and isinstance(value, str) else None
