"""Who a page is about, as the banner and the worklist say it."""

from dataclasses import dataclass
from datetime import date

from service.web.elements import Json
from service.web.moments import Moments
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient in words: family name in capitals, so that the parts cannot be confused."""

    id: str
    name: str
    plain_name: str
    born: str
    age: str
    sex: str
    identifier: str


def describe(patient: Json, moments: Moments, words: Words) -> Person:
    """Return how the patient is named. What is not recorded is said, never left empty."""
    missing = words("not_recorded")
    names = patient.get("name", ())
    name = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    # Of one of several names an extension alone may say why it is not known.
    family, given = str(name.get("family", "")), " ".join(filter(None, name.get("given", ())))
    born = _day(patient.get("birthDate"))
    identifiers = patient.get("identifier", ())
    usual = next((i for i in identifiers if i.get("use") == "usual"), identifiers[0] if identifiers else {})
    return Person(
        id=str(patient.get("id", "")),
        name=", ".join(part for part in (family.upper(), given) if part) or name.get("text") or missing,
        plain_name=" ".join(part for part in (given, family) if part) or name.get("text") or missing,
        born=moments.plain(born) if born else str(patient.get("birthDate") or missing),
        age=words("years", n=moments.age(born)) if born else "",
        sex=words(f"sex.{patient['gender']}") if patient.get("gender") else missing,
        identifier=str(usual.get("value") or missing),
    )


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
