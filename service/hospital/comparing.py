"""Whether two copies of a resource say the same, and in which elements they do not.

Servers stamp what they store, may leave out or write a narrative, and may write references to themselves as
addresses or without a version; none of that is a difference.
"""

from collections.abc import Mapping
from typing import Any

from service.hospital.outgoing import REFERENCE

Json = Mapping[str, Any]

#: elements that name whom a resource is about
ABOUT = ("subject", "for", "patient")


def difference(one: Json, other: Json, *, base: str) -> frozenset[str]:
    """Return the names of the elements that differ.

    Args:
        base: of the server that has one of them.
    """
    names = (set(one) | set(other)) - {"meta"}
    if not ("text" in one and "text" in other):
        names -= {"text"}
    return frozenset(n for n in names if _plain(one.get(n), base) != _plain(other.get(n), base))


def about_another(ours: Json, theirs: Json, *, base: str) -> bool:
    """Return whether the other copy is about somebody else, or of another kind."""
    names = ("resourceType", "id", *(name for name in ABOUT if name in ours))
    return any(_target(ours.get(n), base) != _target(theirs.get(n), base) for n in names)


def _target(value: Any, base: str) -> Any:
    """Return whom a reference means, whatever else stands beside it."""
    plain = _plain(value, base)
    if isinstance(plain, Mapping):
        return plain.get("reference") or plain.get("identifier")
    return plain


def _plain(value: Any, base: str) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _plain(part, base) for name, part in value.items()}
        reference = parts.get("reference")
        if isinstance(reference, str):
            match = REFERENCE.fullmatch(reference.removeprefix(f"{base}/"))
            parts["reference"] = f"{match[1]}/{match[2]}" if match else reference
        return parts
    if isinstance(value, list):
        return [_plain(part, base) for part in value]
    return value
