"""A pathway in another language than that of its definition: the words change, nothing that is evaluated.

The titles of a definition, the phrases of its rules and the displays of its codes are English. What they are
in another language stands in `texts.<language>.json` by code or CQL name, and as designations of our
CodeSystems.
https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.concept.designation
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fhir_profiles import definitions
from pathways.definition import Activity, Parameter, Pathway, Side
from pathways.inputs import Gate
from pathways.record import Json

#: the language of definitions
OWN = "en"


def own_texts(pathway: Pathway) -> dict[str, str]:
    """Return the words that stand in the definition itself, by the key under which a translation has them."""
    named = {"pathway.title": pathway.title}
    named |= {f"condition.{name}": phrase for name, phrase in pathway.library.phrases.items()}
    named |= {
        f"remembered.{name}": name for name in pathway.library.parameters if name not in pathway.parameters
    }
    named |= {f"source.{source}": source for source in _sources(pathway)}
    for row in pathway.inputs["inputs"]:
        named[f"input.{row['id']}"] = row["title"]
    for coding in _answers(pathway.inputs["inputs"]):
        if (coding["system"], coding["code"]) not in pathway.displays:
            named[f"code.{coding['code']}"] = coding["display"]
    if "course" in pathway.inputs.get("charts", {}):
        course = pathway.inputs["charts"]["course"]
        named |= {"course.title": course["title"], "course.note": course["note"]}
        named["course.attested"] = course["attested"]["text"]
    for topic in pathway.evidence.get("topics", ()):
        named[f"evidence.{topic['topic']}"] = topic["topic"]
        named[f"evidence.{topic['topic']}.supports"] = topic["supports"]
    return named


def in_language(pathway: Pathway, language: str) -> Pathway:
    """Return the pathway with its words in this language; codes, rules and limits are the same."""
    if language == OWN:
        return pathway
    texts, displays = pathway.texts[language], definitions.displays(language)
    inputs = {**pathway.inputs, "inputs": [_input(row, texts, displays) for row in pathway.inputs["inputs"]]}
    if "course" in inputs.get("charts", {}):
        inputs["charts"] = {**inputs["charts"], "course": _course(inputs["charts"]["course"], texts)}
    return replace(
        pathway,
        title=texts["pathway.title"],
        stages={code: replace(stage, title=texts[f"stage.{code}"]) for code, stage in pathway.stages.items()},
        rules=tuple(replace(rule, title=texts[f"rule.{rule.id}"]) for rule in pathway.rules),
        activities={id: _activity(a, texts, displays) for id, a in pathway.activities.items()},
        sides={name: _side(side, displays) for name, side in pathway.sides.items()},
        parameters={name: _parameter(p, texts) for name, p in pathway.parameters.items()},
        inputs=inputs,
        gate=Gate(inputs),
        evidence=_evidence(pathway.evidence, texts),
        displays=displays,
    )


def _activity(
    activity: Activity, texts: Mapping[str, str], displays: Mapping[tuple[str, str], str]
) -> Activity:
    role = _said(activity.role, texts, displays) if activity.role else None
    return replace(activity, title=texts[f"output.{activity.id}"], role=role)


def _parameter(parameter: Parameter, texts: Mapping[str, str]) -> Parameter:
    return replace(parameter, source=texts.get(f"source.{parameter.source}", parameter.source))


def _sources(pathway: Pathway) -> Iterator[str]:
    """Yield what limits rest on, where it is said in words and not by numbers alone."""
    return (p.source for p in pathway.parameters.values() if any(map(str.isalpha, p.source)))


def _side(side: Side, displays: Mapping[tuple[str, str], str]) -> Side:
    return replace(side, codings=tuple(_said(coding, {}, displays) for coding in side.codings))


def _input(row: Json, texts: Mapping[str, str], displays: Mapping[tuple[str, str], str]) -> Json:
    return {**_said(row, texts, displays), "title": texts[f"input.{row['id']}"]}


def _course(course: Json, texts: Mapping[str, str]) -> Json:
    attested = {**course["attested"], "text": texts["course.attested"]}
    return {**course, "title": texts["course.title"], "note": texts["course.note"], "attested": attested}


def _evidence(evidence: Json, texts: Mapping[str, str]) -> Json:
    topics = [
        {
            **topic,
            "topic": texts[f"evidence.{topic['topic']}"],
            "supports": texts[f"evidence.{topic['topic']}.supports"],
        }
        for topic in evidence.get("topics", ())
    ]
    return {**evidence, "topics": topics}


def _said(value: Any, texts: Mapping[str, str], displays: Mapping[tuple[str, str], str]) -> Any:
    """Return a part of a definition with the display of each coding in it."""
    if isinstance(value, list):
        return [_said(part, texts, displays) for part in value]
    if not isinstance(value, dict):
        return value
    found = {name: _said(part, texts, displays) for name, part in value.items()}
    if "display" in found and "code" in found:
        known = displays.get((found.get("system", ""), found["code"])) or texts.get(f"code.{found['code']}")
        found["display"] = known or found["display"]
    return found


def _answers(rows: list[Json]) -> Iterator[Json]:
    """Yield every coding with words that a value may be answered with."""
    for row in rows:
        for answer in row.get("value", {}).get("answers", ()):
            yield from (coding for coding in answer["codes"] if "display" in coding)
