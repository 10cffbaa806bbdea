"""Read the elements of FHIR resources that the pages show.

Words come from the resources themselves (`display`, `text`, `description`), so a
page never needs to know what a code means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.web.words import Words

Json = Mapping[str, Any]

STRUCTURE = "https://w3id.org/hipway/StructureDefinition/"
CODES = "https://w3id.org/hipway/CodeSystem/"

#: Tasks that a person still has to do something about
OPEN_TASK = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")
#: priorities of FHIR that mean today
PRESSING = ("stat", "asap", "urgent")


@dataclass(frozen=True, slots=True)
class Word:
    """A code and how to say it."""

    code: str
    text: str


def extensions(resource: Json, name: str) -> Iterator[Json]:
    """Yield our extensions of that name."""
    url = STRUCTURE + name
    return (e for e in resource.get("extension", ()) if e.get("url") == url)


def extension_word(resource: Json, name: str) -> Word | None:
    """Return the coding of our extension of that name."""
    for extension in extensions(resource, name):
        return _word(extension.get("valueCoding", {}))
    return None


def side(resource: Json) -> Word | None:
    """Return the side the resource is about, in words; None: the whole person."""
    return extension_word(resource, "pathway-side")


def stage(plan: Json) -> Word:
    """Return the stage of a CarePlan."""
    return extension_word(plan, "pathway-stage") or Word("", "")


def words(concept: Json | None) -> tuple[Word, ...]:
    """Return every coding of a CodeableConcept."""
    return tuple(_word(coding) for coding in (concept or {}).get("coding", ()))


def word(concept: Json | None, system: str | None = None) -> Word | None:
    """Return the first coding, of one of our systems if one is named."""
    for coding in (concept or {}).get("coding", ()):
        if system is None or coding.get("system") == CODES + system:
            return _word(coding)
    return None


def say(concept: Json | None) -> str:
    """Return the words of a CodeableConcept: its text, else its first display."""
    concept = concept or {}
    first = word(concept)
    return str(concept.get("text") or (first.text if first else ""))


def reference(element: Json | None) -> str:
    """Return `Type/id` of a Reference without its version; empty when there is none."""
    return str((element or {}).get("reference", "")).split("/_history/")[0]


def references(elements: Sequence[Json]) -> tuple[str, ...]:
    """Return `Type/id` of each Reference."""
    return tuple(reference(element) for element in elements)


def identity(resource: Json) -> str:
    """Return `Type/id` of a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def version(resource: Json) -> str:
    """Return the version of a stored resource."""
    return str(resource.get("meta", {}).get("versionId", ""))


def orders_to_sign(task: Json) -> tuple[str, ...]:
    """Return the proposals a signing Task asks to sign; empty for every other Task."""
    return tuple(
        reference(item.get("valueReference"))
        for item in task.get("input", ())
        if (kind := word(item.get("type"), "pathway-task-input")) and kind.code == "order"
    )


def roles(task: Json) -> tuple[Word, ...]:
    """Return the roles a Task is for."""
    return tuple(w for concept in task.get("performerType", ()) if (w := word(concept, "pathway-role")))


def due(task: Json) -> str:
    """Return until when a Task wants to be done, as FHIR writes it."""
    return str(task.get("restriction", {}).get("period", {}).get("end", ""))


def named(text: str, which: Word | None, words: Words) -> str:
    """Return the name of an order with its side in full words, at the end."""
    if which is None:
        return text
    full = words.inline(which.text)
    short = ", " + full.split(" ")[0]
    if text.endswith(short):
        return text[: -len(short)] + ", " + full
    return text if full.lower() in text.lower() else f"{text}, {full}"


def capital(text: str) -> str:
    """Return a text as it begins a sentence or a line."""
    return text[:1].upper() + text[1:]


def _word(coding: Json) -> Word:
    code = str(coding.get("code", ""))
    return Word(code, str(coding.get("display") or code))
