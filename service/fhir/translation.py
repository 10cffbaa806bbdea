"""Local codes: a coding that a loaded ConceptMap knows gets its translation beside it.

The original stays first; the translation is appended. Units are not translated.

http://hl7.org/fhir/R4/conceptmap.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

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
    """Return the resource with translations appended; the same object where there are none."""
    elements = TRANSLATED.get(resource["resourceType"])
    if not elements or not translations:
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
    codings = list(concept.get("coding", ()))
    present = {(coding.get("system"), coding.get("code")) for coding in codings}
    for coding in tuple(codings):
        for target in translations.get((coding.get("system", ""), coding.get("code", "")), ()):
            if (target["system"], target["code"]) not in present:
                present.add((target["system"], target["code"]))
                codings.append(target)
    return {**concept, "coding": codings} if len(codings) > len(concept.get("coding", ())) else concept
