"""Whether a resource keeps to one of our profiles, judged by the StructureDefinition itself.

Checked are what our definitions use: how often an element must and may be there, its types and the types of
what it refers to, fixed values and patterns, required bindings to our value sets, slices by the URL of an
extension or by a pattern, and invariants. Every extension of ours in a resource is checked, too.

Not checked: whether a reference leads anywhere, bindings to value sets of others, the elements on which an
extension may stand. Texts say what was expected and hold no value of the data.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fhir_profiles import canonical, definitions
from fhir_profiles.faults import Fault

Json = Mapping[str, Any]

CHOICE = "[x]"


@dataclass(slots=True, kw_only=True)
class _Element:
    """An element of a profile: what is asked of it, and of what is below it."""

    name: str
    asked: Json = field(default_factory=dict)
    below: dict[str, "_Element"] = field(default_factory=dict)
    slices: dict[str, "_Element"] = field(default_factory=dict)


def known(url: str) -> Json | None:
    """Return the profile of ours with this canonical URL, with or without its version, or None."""
    for profile in definitions.structure_definitions():
        if url in (profile["url"], f"{profile['url']}|{profile['version']}"):
            return profile
    return None


def check(resource: Json, profile: Json) -> tuple[Fault, ...]:
    """Return where the resource, which has passed the gate, does not keep to the profile.

    Args:
        profile: as returned by `known`.
    """
    kind = str(resource["resourceType"])
    if profile["type"] != kind:
        return (_fault(kind, "invalid", profile, f"it is a profile of {profile['type']}"),)
    return tuple(_of_profile(resource, profile, kind))


def extensions(resource: Json) -> tuple[Fault, ...]:
    """Return where an extension of ours in the resource is not as its definition says."""
    return tuple(_extensions(resource, str(resource["resourceType"])))


def _extensions(node: Any, at: str) -> Iterator[Fault]:
    if isinstance(node, list):
        for number, each in enumerate(node):
            yield from _extensions(each, f"{at}[{number}]")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name in ("extension", "modifierExtension") and isinstance(value, list):
            for number, extension in enumerate(value):
                profile = known(str(extension.get("url", "")))
                if profile is not None and profile["type"] == "Extension":
                    yield from _of_profile(extension, profile, f"{at}.{name}[{number}]")
        yield from _extensions(value, f"{at}.{name}")


def _of_profile(value: Json, profile: Json, at: str) -> Iterator[Fault]:
    base = known(str(profile["baseDefinition"]))
    if base is not None:
        yield from _of_profile(value, base, at)
    # The root is the resource itself; how often an extension may be there is asked of its holder.
    yield from _within(_tree(str(profile["url"])), value, at, profile)


@cache
def _tree(url: str) -> _Element:
    profile = known(url)
    assert profile is not None
    root = _Element(name=str(profile["type"]))
    for element in profile["differential"]["element"]:
        _, *parts = str(element["id"]).split(".")
        node = root
        for part in parts:
            name, _, slice_ = part.partition(":")
            node = node.below.setdefault(name, _Element(name=name))
            if slice_:
                node = node.slices.setdefault(slice_, _Element(name=name))
        node.asked = element
    return root


def _within(element: _Element, value: Json, at: str, profile: Json) -> Iterator[Fault]:
    """Yield what is wrong with a value: its invariants, then what is below it."""
    yield from _invariants(element.asked, value, at, profile)
    if not isinstance(value, dict):
        return
    for below in element.below.values():
        found = list(_values(value, below.name))
        where = f"{at}.{below.name}"
        yield from _counted(below.asked, len(found), where, profile)
        for name, one in found:
            yield from _value(below, name, one, f"{at}.{name}", profile)
        if below.slices:
            yield from _sliced(below, found, at, profile)


def _values(holder: Json, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what an element holds, each with the place it has in its holder."""
    stem = name.removesuffix(CHOICE)
    for key, value in holder.items():
        is_choice = (
            name.endswith(CHOICE) and key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper()
        )
        if key != name and not is_choice:
            continue
        if isinstance(value, list):
            yield from ((f"{key}[{number}]", each) for number, each in enumerate(value))
        else:
            yield key, value


def _sliced(element: _Element, found: Sequence[tuple[str, Any]], at: str, profile: Json) -> Iterator[Fault]:
    left = dict(found)
    for name, slice_ in element.slices.items():
        mine = [(place, value) for place, value in found if _is_of(slice_, value)]
        yield from _counted(slice_.asked, len(mine), f"{at}.{element.name}", profile, of=f" {name}")
        for place, value in mine:
            left.pop(place, None)
            yield from _within(slice_, value, f"{at}.{place}", profile)
    if element.asked.get("slicing", {}).get("rules") == "closed":
        for place in left:
            yield _fault(f"{at}.{place}", "structure", profile, "none but the named ones may be here")


def _is_of(slice_: _Element, value: Any) -> bool:
    """Return whether a value belongs to the slice: by the profile of the extension, or by what is below."""
    if not isinstance(value, dict):
        return False
    urls = [url for type_ in slice_.asked.get("type", ()) for url in type_.get("profile", ())]
    if urls:
        return value.get("url") in urls
    told = [(below.name, asked) for below in slice_.below.values() if (asked := _fixed(below.asked))]
    return all(_holds(value.get(name), wanted, exact=exact) for name, (wanted, exact) in told)


def _value(element: _Element, name: str, value: Any, at: str, profile: Json) -> Iterator[Fault]:
    asked = element.asked
    mistyped = list(_typed(asked, name, value, at, profile))
    if mistyped:
        # Of a value of another kind nothing else can be said.
        yield from mistyped
        return
    fixed = _fixed(asked)
    if fixed is not None and not _holds(value, fixed[0], exact=fixed[1]):
        yield _fault(at, "value", profile, f"it has one value here{_named(fixed[0])}")
    binding = asked.get("binding", {})
    if binding.get("strength") == "required" and str(binding["valueSet"]).startswith(canonical.BASE):
        members = set(definitions.members(str(binding["valueSet"])))
        if not members & set(_codes(value, members)):
            yield _fault(at, "code-invalid", profile, f"a code of {binding['valueSet']} is required")
    yield from _within(element, value, at, profile)


def _typed(asked: Json, name: str, value: Any, at: str, profile: Json) -> Iterator[Fault]:
    types = asked.get("type", ())
    stem = str(asked.get("path", "")).rpartition(".")[2]
    if types and stem.endswith(CHOICE):
        given = name.removeprefix(stem.removesuffix(CHOICE)).partition("[")[0]
        codes = [str(type_["code"]) for type_ in types]
        if given.lower() not in (code.lower() for code in codes):
            yield _fault(at, "structure", profile, f"expected {' or '.join(codes)}")
            return
    wanted = {url.rpartition("/")[2] for type_ in types for url in type_.get("targetProfile", ())}
    reference = value.get("reference") if isinstance(value, dict) else None
    kind, slash, _ = str(reference or "").partition("/")
    if wanted and slash and kind.isalpha() and kind not in wanted:
        yield _fault(at, "value", profile, f"it refers to {' or '.join(sorted(wanted))}")


def _counted(asked: Json, count: int, at: str, profile: Json, of: str = "") -> Iterator[Fault]:
    least, most = int(asked.get("min", 0)), str(asked.get("max", "*"))
    if count < least:
        yield _fault(at, "required", profile, f"at least {least}{of} is required")
    if most != "*" and count > int(most):
        yield _fault(at, "structure", profile, f"at most {most}{of} may be here")


def _fixed(asked: Json) -> tuple[Any, bool] | None:
    """Return the value that is fixed, or whose pattern is asked for, and whether it must be exactly so."""
    for name, value in asked.items():
        if name.startswith(("fixed", "pattern")):
            return value, name.startswith("fixed")
    return None


def _holds(value: Any, wanted: Any, *, exact: bool) -> bool:
    """Return whether a value is the wanted one, or for a pattern: whether all of the pattern is in it."""
    if exact or not isinstance(wanted, dict | list):
        return bool(value == wanted)
    if isinstance(wanted, list):
        held = value if isinstance(value, list) else []
        return all(any(_holds(each, one, exact=False) for each in held) for one in wanted)
    return isinstance(value, dict) and all(
        _holds(value.get(name), each, exact=False) for name, each in wanted.items()
    )


def _codes(value: Any, members: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        # A bare code is of the system that its value set has.
        yield from ((system, value) for system, _ in members)
    elif isinstance(value, dict):
        codings = value.get("coding", ()) if "coding" in value or "code" not in value else (value,)
        yield from ((str(c.get("system", "")), str(c.get("code", ""))) for c in codings)


def _invariants(asked: Json, value: Any, at: str, profile: Json) -> Iterator[Fault]:
    for constraint in asked.get("constraint", ()):
        if _compiled(str(constraint["expression"]))(value) != [True]:
            yield _fault(at, "invariant", profile, f"{constraint['human']} ({constraint['key']})")


@cache
def _compiled(expression: str) -> Callable[[Any], list[Any]]:
    # FHIRPath is loaded when something is validated, not when the service starts.
    import fhirpathpy

    compiled: Callable[..., list[Any]] = fhirpathpy.compile(expression)
    return compiled


def _named(wanted: Any) -> str:
    return f": {wanted}" if isinstance(wanted, str) else ""


def _fault(at: str, code: str, profile: Json, text: str) -> Fault:
    return Fault(expression=at, code=code, text=f"{text} (profile {profile['name']})")
