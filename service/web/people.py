"""Who acts. The sandbox has no login: one acts as one of the people in the store.

Nobody is chosen at first, and nothing can be signed until someone is. The choice is a
signed cookie that holds the id of a Practitioner and nothing else.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import Connection

from service.web import queries
from service.web.elements import Json, Word, reference, word

COOKIE = "hipway-acting"

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

    @property
    def may_sign(self) -> bool:
        """Return whether a decision of this person counts as a clinician's."""
        return any(role.code in SIGNING_ROLES for role in self.roles)

    @property
    def reference(self) -> str:
        """Return the literal reference to the Practitioner."""
        return f"Practitioner/{self.id}"

    @property
    def role_words(self) -> str:
        """Return the roles in words."""
        return ", ".join(role.text for role in self.roles)


def colleagues(tx: Connection, *, tenant: int) -> tuple[Colleague, ...]:
    """Return the people with a role of the pathways, those who may sign first."""
    roles, practitioners = queries.people(tx, tenant=tenant)
    held: dict[str, list[Word]] = {}
    for role in roles:
        person = reference(role.get("practitioner")).partition("/")[2]
        coded = [w for concept in role.get("code", ()) if (w := word(concept, "pathway-role"))]
        if person in practitioners and role.get("active", True) and coded:
            held.setdefault(person, []).extend(coded)
    found = [
        Colleague(id=person, name=name_of(practitioners[person]), roles=tuple(dict.fromkeys(coded)))
        for person, coded in held.items()
    ]
    return tuple(sorted(found, key=lambda c: (not c.may_sign, c.name)))


def name_of(practitioner: Json) -> str:
    """Return how a colleague is called."""
    name: Json = next(iter(practitioner.get("name", ())), {})
    parts = (*name.get("prefix", ()), *name.get("given", ()), name.get("family", ""))
    return str(name.get("text") or " ".join(part for part in parts if part) or practitioner["id"])


def seal(secret: str, person: str) -> str:
    """Return the cookie for a choice."""
    return str(_serializer(secret).dumps(person))


def chosen(secret: str, cookie: str | None, among: Iterable[Colleague]) -> Colleague | None:
    """Return who the cookie says is acting; None for no cookie, a forged one or someone gone."""
    if not cookie:
        return None
    try:
        person = _serializer(secret).loads(cookie)
    except BadSignature:
        return None
    return next((colleague for colleague in among if colleague.id == person), None)


def _serializer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="acting-as")
