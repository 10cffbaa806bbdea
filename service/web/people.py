"""Who acts: whoever is signed in. The sandbox has no login: one acts as one of the people in the store.

There nobody is chosen at first, and nothing can be signed until someone is. The choice is a
signed cookie that holds the id of a Practitioner and nothing else.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import Connection

from service import acting
from service.web import covers, queries
from service.web.covers import Cover
from service.web.elements import Json, Word, reference, word
from service.web.words import Words

#: who may decide as a clinician, by the codes of the pathways' CodeSystem of roles
SIGNING_ROLES = frozenset(
    json.loads(Path(__file__).with_name("signing_roles.json").read_text(encoding="utf-8"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    """Someone who may act."""

    id: str
    name: str
    roles: tuple[Word, ...]
    #: whose work this one does today, as references
    covers: frozenset[str] = frozenset()

    @property
    def may_sign(self) -> bool:
        """Return whether a decision of this person counts as a clinician's."""
        return any(role.code in SIGNING_ROLES for role in self.roles)

    def does(self, owner: str) -> bool:
        """Return whether work of this owner is done by this one today."""
        return owner == self.reference or owner in self.covers

    @property
    def reference(self) -> str:
        """Return the literal reference to the Practitioner."""
        return f"Practitioner/{self.id}"

    @property
    def role_words(self) -> str:
        """Return the roles in words."""
        return ", ".join(role.text for role in self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The people with a role of the pathways, those who may sign first, and who covers whom now or later."""

    colleagues: tuple[Colleague, ...]
    covers: tuple[Cover, ...]


def ask_holders(tx: Connection, roles: Iterable[Json], *, tenant: int) -> Callable[[], dict[str, Json]]:
    """Ask for those who hold the roles, by id, and return how to get them after a block of `together`."""
    ids = {reference(role.get("practitioner")).partition("/")[2] for role in roles}
    return queries.ask_of_type(tx, "Practitioner", ids - {""}, tenant=tenant)


def team(roles: Sequence[Json], practitioners: Mapping[str, Json], today: date, words: Words) -> Team:
    """Return who holds a role today, and whose work they do besides their own."""
    held: dict[str, list[Word]] = {}
    for role in roles:
        person = reference(role.get("practitioner")).partition("/")[2]
        concepts = words.reworded(role.get("code", []))
        coded = [w for concept in concepts if (w := word(concept, "pathway-role"))]
        if person in practitioners and covers.holds(role, today) and coded:
            held.setdefault(person, []).extend(coded)
    known = [cover for role in roles if (cover := covers.read(role)) and cover.end >= today]
    found = [
        Colleague(
            id=person,
            name=name_of(practitioners[person]),
            roles=tuple(dict.fromkeys(coded)),
            covers=frozenset(
                c.absent for c in known if c.by == f"Practitioner/{person}" and c.start <= today
            ),
        )
        for person, coded in held.items()
    ]
    return Team(
        colleagues=tuple(sorted(found, key=lambda c: (not c.may_sign, c.name))),
        covers=tuple(sorted(known, key=lambda c: (c.start, c.absent_name))),
    )


def name_of(practitioner: Json) -> str:
    """Return how a colleague is called."""
    name: Json = next(iter(practitioner.get("name", ())), {})
    parts = (*name.get("prefix", ()), *name.get("given", ()), name.get("family", ""))
    return str(name.get("text") or " ".join(part for part in parts if part) or practitioner["id"])


def names_of(tx: Connection, references: Iterable[str], *, tenant: int) -> dict[str, str]:
    """Return what people are called, by reference; who is not known, or no person, is left out."""
    return ask_names_of(tx, references, tenant=tenant)()


def ask_names_of(tx: Connection, references: Iterable[str], *, tenant: int) -> Callable[[], dict[str, str]]:
    """Ask for what `names_of` returns, and return how to get it after the end of a block of `together`."""
    named = (reference.partition("/") for reference in references)
    ids = {id for kind, _, id in named if kind == "Practitioner"}
    found = queries.ask_of_type(tx, "Practitioner", ids, tenant=tenant)
    return lambda: {f"Practitioner/{id}": name_of(body) for id, body in found().items()}


def with_id(person: str, among: Iterable[Colleague]) -> Colleague | None:
    """Return the colleague with this id; None for one who holds no role today."""
    return next((colleague for colleague in among if colleague.id == person), None)


def chosen(secret: str, cookie: str | None, among: Iterable[Colleague]) -> Colleague | None:
    """Return who the cookie says is acting; None for no cookie, a forged one or someone gone."""
    person = acting.opened(secret, cookie)
    return with_id(person, among) if person else None
