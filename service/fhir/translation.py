"""Local codes: a coding that a loaded ConceptMap knows gets its translation beside it.

The original stays first; the translation is appended, marked with what it translates, so that it can be told
from what the sender said. Units are not translated.

http://hl7.org/fhir/R4/conceptmap.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_profiles import canonical

Json = Mapping[str, Any]

#: system and code -> what they mean elsewhere
Translations = Mapping[tuple[str, str], tuple[Json, ...]]

TRANSLATED: Mapping[str, tuple[str, ...]] = {
    "Observation": ("code", "valueCodeableConcept", "bodySite"),
    "Procedure": ("code", "bodySite"),
    "DiagnosticReport": ("code",),
}
TRANSLATED_COMPONENT = ("code", "valueCodeableConcept")
SAME_MEANING = ("equal", "equivalent")


def of(concept_maps: Iterable[Json]) -> dict[tuple[str, str], tuple[Json, ...]]:
    """Return what the maps translate; retired ones translate nothing."""
    translations: dict[tuple[str, str], tuple[Json, ...]] = {}
    for concept_map in concept_maps:
        if concept_map.get("status") == "retired":
            continue
        for group in concept_map.get("group", ()):
            for element in group.get("element", ()):
                known = (group.get("source", ""), element.get("code", ""))
                found = (*translations.get(known, ()), *_targets(group, element))
                if found and all(known):
                    translations[known] = found
    return translations


def applied(resource: Json, translations: Translations) -> Json:
    """Return the resource as the ConceptMaps translate it now; the same object where nothing changes.

    What they translate is appended; what was appended once, and they translate no more, is taken away.
    """
    elements = TRANSLATED.get(resource["resourceType"])
    if not elements:
        return resource
    changed = _changed(resource, elements, translations)
    components = resource.get("component")
    if resource["resourceType"] == "Observation" and isinstance(components, list):
        translated = [
            {**component, **_changed(component, TRANSLATED_COMPONENT, translations)}
            for component in components
        ]
        if translated != components:
            changed["component"] = translated
    return {**resource, **changed} if changed else resource


def _targets(group: Json, element: Json) -> list[Json]:
    return [
        {
            "system": group["target"],
            "code": target["code"],
            **({"display": target["display"]} if target.get("display") else {}),
        }
        for target in element.get("target", ())
        if target.get("equivalence") in SAME_MEANING and target.get("code") and group.get("target")
    ]


def _changed(holder: Json, elements: tuple[str, ...], translations: Translations) -> dict[str, Any]:
    changed = {}
    for element in elements:
        concept = holder.get(element)
        if concept is None:
            continue
        translated = (
            [_concept(item, translations) for item in concept]
            if isinstance(concept, list)
            else _concept(concept, translations)
        )
        if translated != concept:
            changed[element] = translated
    return changed


def _concept(concept: Json, translations: Translations) -> Json:
    sent = concept.get("coding", [])
    # As nearly always: nothing was appended once, and nothing is to be now.
    if not any("extension" in coding or _pair(coding) in translations for coding in sent):
        return concept
    codings = [coding for coding in sent if _holds(coding, translations)]
    present = {_pair(coding) for coding in codings}
    # A translation is not translated further: the second look at a resource finds what the first one made.
    for coding in [coding for coding in codings if not _source(coding)]:
        for target in translations.get(_pair(coding), ()):
            if _pair(target) not in present:
                present.add(_pair(target))
                codings.append({**target, "extension": [_mark(coding)]})
    return {**concept, "coding": codings} if codings != sent else concept


def _mark(coding: Json) -> Json:
    source = {"system": coding["system"], "code": coding["code"]}
    return {"url": canonical.TRANSLATION_OF, "valueCoding": source}


def _holds(coding: Json, translations: Translations) -> bool:
    """Return whether a coding is the sender's own, or a translation that still is one."""
    source = _source(coding)
    return source is None or _pair(coding) in map(_pair, translations.get(_pair(source), ()))


def _source(coding: Json) -> Json | None:
    """Return what a coding translates; None for one that the sender chose."""
    marks = (e for e in coding.get("extension", ()) if e.get("url") == canonical.TRANSLATION_OF)
    return next((mark.get("valueCoding", {}) for mark in marks), None)


def _pair(coding: Json) -> tuple[str, str]:
    return coding.get("system", ""), coding.get("code", "")
