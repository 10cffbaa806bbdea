"""The words of what is written: notes, descriptions and messages, always with the side in words."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pathways.definition import Pathway, Side
from pathways.inputs import Fact
from pathways.reasons import value
from pathways.record import Json, codings
from pathways.sheet import Sheet
from pathways.steps import Raised, Step

LANGUAGE = "en"


def side(pathway: Pathway, instance: str, language: str = LANGUAGE) -> str:
    """Return the side in words, with a capital; where there is none, that there is none."""
    return pathway.text(language, f"side.{instance if instance in pathway.sides else 'person'}")


def language(pathway: Pathway, patient: Mapping[str, Any]) -> str:
    """Return in which language of the definition a patient is written to: preferred, else one of theirs.

    `de-AT` is answered in `de` (RFC 4647); a patient who says nothing, or speaks none of them, in English.
    https://hl7.org/fhir/R4/patient-definitions.html#Patient.communication
    """
    spoken = sorted(patient.get("communication", ()), key=lambda each: not each.get("preferred", False))
    codes = (str(c.get("code", "")) for each in spoken for c in codings(each.get("language")))
    parts = (code.partition("-")[0].lower() for code in codes)
    return next((part for part in parts if part in pathway.texts), LANGUAGE)


def named(title: str, of: Side | None) -> str:
    """Return the title of a request or a problem with the side behind it, where it has one."""
    return f"{title}, {of.name}" if of else title


def lowered(words: str) -> str:
    """Return the words for the middle of a sentence: only the first letter changes."""
    return words[:1].lower() + words[1:]


def text(title: str, words: str) -> Json:
    """Return a generated narrative."""
    div = (
        f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{escape(title)}</b></p><p>{escape(words)}</p></div>'
    )
    return {"status": "generated", "div": div}


def note(sheet: Sheet, step: Step, facts: Sequence[Fact]) -> str:
    """Return why a proposal was made: rule, profile, values with dates, and that it needs a signature."""
    values = "; ".join(f"{fact.title}: {value(fact)}" for fact in facts) or "none"
    changed = ", ".join(f"{name} {value}" for name, value in sorted(sheet.changed.items()))
    profile = f"profile {sheet.profile}" + (f", changed: {changed}" if changed else "")
    return (
        f"{side(sheet.pathway, step.instance)}. Rule {step.rule} ({step.title}), {profile}. "
        f"Used: {values}. Not a decision: needs a signature."
    )


def task(sheet: Sheet, step: Step, one: Raised) -> str:
    """Return what is asked, in one sentence with the side and the reason."""
    # What is not of the pathway has its own title.
    title = sheet.pathway.texts[LANGUAGE].get(f"output.{one.activity.id}", one.activity.title)
    if step.instance not in sheet.pathway.sides:
        return f"{title}. {step.title}."
    return f"{title}, {lowered(side(sheet.pathway, step.instance))}. {step.title}."


def message(pathway: Pathway, step: Step, one: Raised, language: str) -> str:
    """Return the text to a patient or a team."""
    words = side(pathway, step.instance, language)
    qualifiers = ", ".join(pathway.qualifier(code)["display"] for code in one.qualifiers)
    key = f"message.{one.activity.id}"
    # What is said about the person names no side: it has a text of its own where the plain one would.
    of_person = f"{key}.person"
    texts = pathway.texts[language]
    template = texts[of_person if step.instance not in pathway.sides and of_person in texts else key]
    return template.format(side=lowered(words), Side=words, qualifiers=qualifiers or step.title)


def issue(pathway: Pathway, step: Step) -> str:
    """Return what is wrong with the data, and where to correct it."""
    about = side(pathway, step.instance) + ": " if step.instance in pathway.sides else ""
    return f"{about}{step.title}. Correct it where it was recorded and send it again."
