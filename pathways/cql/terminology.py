"""Value sets and code systems: who knows which codes are in them.

A library names value sets by address and version; their content comes from whoever loads it. `InMemory`
reads it from FHIR R4 ValueSet and CodeSystem resources.

https://hl7.org/fhir/R4/valueset.html, https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pathways.cql.values import Code

Json = Mapping[str, Any]
# A code and its system: what tells one code from another. Versions and displays do not.
Key = tuple[str | None, str | None]


class NotExpandable(Exception):
    """Why the codes of a value set cannot be told; names addresses and versions."""


class Terminology(Protocol):
    """What a library may ask about vocabularies; answers do not change while the library is in use."""

    def expansion(self, url: str, version: str | None) -> tuple[Code, ...]:
        """Return the codes in a value set, each once.

        Raises:
            NotExpandable: it is not known, not in this version, or not by its codes.
        """

    def codes(self, url: str, version: str | None) -> frozenset[str]:
        """Return the codes of a code system.

        Raises:
            NotExpandable: it is not known, not in this version, or not as a whole.
        """


class InMemory:
    """The content of resources that are given, and of no others."""

    def __init__(self, resources: Iterable[Json] = ()) -> None:
        """Keep the ValueSet and CodeSystem resources; others are passed over."""
        self._known: dict[tuple[str, str], list[Json]] = {}
        for resource in resources:
            if "url" in resource:
                key = (resource["resourceType"], resource["url"])
                self._known.setdefault(key, []).append(resource)

    def expansion(self, url: str, version: str | None) -> tuple[Code, ...]:
        """Return the codes in a value set: of its expansion if it has one, else of its definition."""
        return tuple(self._expanded(url, version, ()).values())

    def codes(self, url: str, version: str | None) -> frozenset[str]:
        """Return the codes of a code system."""
        return frozenset(concept["code"] for concept in self._concepts(url, version))

    def _expanded(self, url: str, version: str | None, within: tuple[str, ...]) -> dict[Key, Code]:
        if url in within:
            raise NotExpandable(f"value set {url} includes itself")
        value_set = self._one("ValueSet", url, version)
        if "expansion" in value_set:
            return _by_key(_listed(value_set["expansion"].get("contains", ())))
        compose = value_set.get("compose", {})
        found: dict[Key, Code] = {}
        for part in compose.get("include", ()):
            found |= self._part(part, url, (*within, url))
        for part in compose.get("exclude", ()):
            for key in self._part(part, url, (*within, url)):
                found.pop(key, None)
        return found

    def _part(self, part: Json, url: str, within: tuple[str, ...]) -> dict[Key, Code]:
        """Return the codes that one include or exclude selects: in its system and in every set it names."""
        if part.get("filter"):
            raise NotExpandable(
                f"value set {url} is defined by a filter, which only a terminology server applies"
            )
        selected = [self._of_system(part)] if "system" in part else []
        for canonical in part.get("valueSet", ()):
            other, _, version = canonical.partition("|")
            selected.append(self._expanded(other, version or None, within))
        if not selected:
            return {}
        first, *others = selected
        return {key: code for key, code in first.items() if all(key in other for other in others)}

    def _of_system(self, part: Json) -> dict[Key, Code]:
        system, version = part["system"], part.get("version")
        concepts = part.get("concept") or self._concepts(system, version)
        return _by_key(Code(c["code"], system, version, c.get("display")) for c in concepts)

    def _concepts(self, url: str, version: str | None) -> Iterator[Json]:
        system = self._one("CodeSystem", url, version)
        if system.get("content") not in ("complete", None):
            raise NotExpandable(f"code system {url} is given only in part ({system['content']})")
        return _nested(system.get("concept", ()))

    def _one(self, kind: str, url: str, version: str | None) -> Json:
        given = self._known.get((kind, url), [])
        fitting = [each for each in given if version in (None, each.get("version"))]
        name = f"{'value set' if kind == 'ValueSet' else 'code system'} {url}"
        if not given:
            raise NotExpandable(f"{name} is not given")
        if not fitting:
            versions = ", ".join(sorted(str(each.get("version")) for each in given))
            raise NotExpandable(f"{name} version {version} is not given, only {versions}")
        if len(fitting) > 1:
            raise NotExpandable(f"{name} is given more than once")
        return fitting[0]


def _by_key(codes: Iterable[Code]) -> dict[Key, Code]:
    found: dict[Key, Code] = {}
    for code in codes:
        found.setdefault((code.system, code.code), code)
    return found


def _listed(contains: Iterable[Json]) -> Iterator[Code]:
    # An abstract entry groups others and cannot be chosen itself.
    for entry in contains:
        if "code" in entry and not entry.get("abstract"):
            yield Code(entry["code"], entry.get("system"), entry.get("version"), entry.get("display"))
        yield from _listed(entry.get("contains", ()))


def _nested(concepts: Iterable[Json]) -> Iterator[Json]:
    for concept in concepts:
        yield concept
        yield from _nested(concept.get("concept", ()))
