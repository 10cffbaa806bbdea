"""Which person do I mean? Patients found by two things known of them, each with where their plans stand.

What is searched for is a person's name: it is posted, and stands in no address and no log.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

from service.store.search_index import folded
from service.web import elements, patients
from service.web.elements import Json
from service.web.moments import Moments
from service.web.patients import Person
from service.web.words import Words

#: more than this is no answer to "which person"
ROWS = 50

#: longer than any name
LENGTH = 200

#: with one part alone a search lists people nobody asked for
PARTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a person wrote: names or their beginnings, a birth date as YYYY-MM-DD, and a record number."""

    family: str = ""
    given: str = ""
    birthdate: str = ""
    identifier: str = ""

    @classmethod
    def read(cls, form: Mapping[str, str]) -> "Search":
        """Return what a form holds, without the blanks around it."""
        # No text of the database can hold a NUL, so none is found by one.
        return cls(**{f.name: form.get(f.name, "").replace("\0", "").strip()[:LENGTH] for f in fields(cls)})

    @property
    def parts(self) -> int:
        """Return how many of the four were filled."""
        return sum(bool(getattr(self, field.name)) for field in fields(self))

    @property
    def values(self) -> dict[str, Sequence[str]]:
        """Return the search values to look for, as `queries.find_patients` takes them."""
        found: dict[str, Sequence[str]] = {}
        if self.family:
            found["family"] = (folded(self.family),)
        if self.given:
            found["given"] = (folded(self.given),)
        if self.birthdate:
            # Somebody of whom only the year is known may be the one.
            found["birthdate"] = tuple(dict.fromkeys(self.birthdate[:end] for end in (4, 7, 10)))
        if self.identifier:
            found["identifier"] = (self.identifier,)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One plan of a patient: which side, where it stands, and whether it is closed."""

    plan: str
    side: str
    stage: str
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One patient of the answer. `similar`: another one of the answer has the same name."""

    person: Person
    courses: tuple[Course, ...]
    similar: bool
    #: whose record holds what is about this one, as it is called; empty: its own
    joined: str = ""


def build(
    found: Iterable[Json],
    plans: Iterable[Json],
    when: Moments,
    words: Words,
    joined: Mapping[str, Json] = MappingProxyType({}),
) -> tuple[Found, ...]:
    """Return the patients in the order of their names, each with its plans.

    Args:
        joined: by the id of one whose record was joined, the Patient who holds it now.
    """
    people = [patients.describe(patient, when, words) for patient in found]
    alike = Counter(folded(person.name) for person in people)
    courses: dict[str, list[Course]] = {}
    for plan in plans:
        extensions = {"extension": words.reworded(plan.get("extension", []))}
        side = elements.side(extensions)
        courses.setdefault(elements.reference(plan.get("subject")).partition("/")[2], []).append(
            Course(
                plan=plan["id"],
                side=side.text if side else words("person"),
                stage=elements.stage(extensions).text,
                open=plan.get("status") in ("active", "on-hold"),
            )
        )
    return tuple(
        Found(
            person=person,
            courses=tuple(
                sorted(
                    courses.get(str(joined.get(person.id, {}).get("id", person.id)), ()),
                    key=lambda course: course.side,
                )
            ),
            similar=alike[folded(person.name)] > 1,
            joined=patients.describe(joined[person.id], when, words).name if person.id in joined else "",
        )
        for person in sorted(people, key=lambda p: (folded(p.name), p.born, p.id))
    )
