"""Which side an input is about: found in its body site, checked against its report and its order.

R4 has no laterality element on these types, so hospitals say it in one of three ways: a code that names the
side, a laterality extension on any body site, or a body structure. They must agree, and the side is never
taken from anywhere else (clinical-rules 3.3, fhir-contract 3).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_profiles import canonical
from pathways.record import Entry, Json, pairs

BOTH = "both"
NAMES = {"L": "left", "R": "right", "B": BOTH}


class Sides:
    """The table of codes that name a side, from the pathway's inputs; empty where it has no sides."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._sites = {(c["system"], c["code"]): NAMES[c["side"]] for c in table.get("codes", ())}
        self._lateralities = {
            (c["system"], c["code"]): NAMES[c["side"]] for c in table.get("lateralityCodes", ())
        }
        self._laterality_urls = frozenset(table.get("lateralityExtensions", ()))
        self._structure_url = table.get("bodyStructureExtension")

    def stated(self, entry: Entry, structures: Mapping[str, Json]) -> tuple[str, ...]:
        """Return every side the resource states: "left", "right" or "both", in document order."""
        body = entry.body
        sites = body.get("bodySite", ())
        found: list[str] = []
        for site in sites if isinstance(sites, list) else (sites,) if sites else ():
            found += self._of_codes(pairs(site))
            if "extension" in site:
                found += self._of_extensions(site["extension"], entry, structures)
        if "extension" in body:
            found += self._of_extensions(body["extension"], entry, structures)
        return tuple(found)

    def named(self, entry: Entry, structures: Mapping[str, Json]) -> frozenset[str]:
        """Return the sides the resource states as "left" and "right", whether they agree or not."""
        stated = self.stated(entry, structures)
        return frozenset({"left", "right"} if BOTH in stated else stated)

    def of_output(self, body: Mapping[str, Any]) -> set[str]:
        """Return the side that a resource written by a pathway carries, as a set of none or one.

        What somebody else wrote in its form may carry anything there.
        """
        for extension in body.get("extension", ()):
            if extension.get("url") == canonical.SIDE:
                coding = extension.get("valueCoding", {})
                side = self._sites.get((coding.get("system", ""), coding.get("code", "")))
                return {side} if side else set()
        return set()

    def _of_codes(self, codes: Iterable[tuple[str, str]]) -> list[str]:
        return [self._sites[code] for code in codes if code in self._sites]

    def _of_extensions(
        self, extensions: Iterable[Json], entry: Entry, structures: Mapping[str, Json]
    ) -> list[str]:
        found = []
        for extension in extensions:
            if extension.get("url") in self._laterality_urls:
                codes = pairs(extension.get("valueCodeableConcept"))
                found += [self._lateralities[code] for code in codes if code in self._lateralities]
            elif extension.get("url") == self._structure_url:
                reference = extension.get("valueReference", {}).get("reference", "")
                structure = _structure(reference, entry, structures)
                if structure is not None:
                    found += self._of_codes(pairs(structure.get("location")))
                    for qualifier in structure.get("locationQualifier", ()):
                        codes = pairs(qualifier)
                        found += [self._lateralities[c] for c in codes if c in self._lateralities]
        return found


def _structure(reference: str, entry: Entry, structures: Mapping[str, Json]) -> Json | None:
    if reference.startswith("#"):
        contained = entry.body.get("contained", ())
        return next((r for r in contained if r.get("id") == reference[1:]), None)
    return structures.get(reference)
