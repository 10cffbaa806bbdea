"""A code that somebody here gave a meaning: a ConceptMap of one code, its versions, and who said so.

    proposed (draft) --second person--> holds (active) --> withdrawn (retired) --> proposed or holds again

What could set off an emergency, or says a side, holds only when a second person has confirmed it. Until then
the map is a draft whose target is merely related, which translates nothing.

http://hl7.org/fhir/R4/conceptmap.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection

from fhir_profiles import canonical
from pathways.definition import Pathway
from pathways.record import pairs
from pathways.values import OF_SIDES
from service.store import content, driver, resources
from service.store.resources import Stored
from service.web import queries
from service.web.elements import Json, reference

#: (system, code)
Code = tuple[str, str]

#: where the code stands: the question, the answer to one, or the place that says a side
Element = Literal["code", "value", "bodySite"]
ELEMENTS: tuple[Element, ...] = ("code", "value", "bodySite")

Status = Literal["draft", "active", "retired"]
#: of a target; "related" translates nothing
HOLDS, PROPOSED = "equivalent", "relatedto"

#: the check that fails where an answer is not understood
UNREADABLE = "unreadable-value"

#: how a ConceptMap is known as one that was made here
IDENTIFIERS = canonical.identifiers("mapping")
_MAPS = uuid5(NAMESPACE_URL, IDENTIFIERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a pathway reads a code as."""

    code: Code
    display: str
    #: as the pathway calls it
    title: str
    #: of the pathway
    of: str
    #: what would follow from a mistake needs two people
    second: bool

    @property
    def key(self) -> str:
        """Return the token of the code."""
        return "|".join(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A version of the ConceptMap of one code."""

    id: str
    version: int
    status: Status
    source: Code
    target: Code
    #: what the target means
    display: str
    #: who made this version, as a reference and by name, and when
    by: str
    by_name: str
    at: datetime
    comment: str


def map_id(source: Code) -> str:
    """Return the id of the ConceptMap of a code."""
    return str(uuid5(_MAPS, "|".join(source)))


def said_id(map_id: str, version: int) -> str:
    """Return the id of the Provenance of a version of a map."""
    return str(uuid5(_MAPS, f"{map_id} {version}"))


def address(type: str, element: Element, code: Code, question: Code | None) -> dict[str, str]:
    """Return the parameters of the address of the page of a code."""
    asked = {"type": type, "element": element, "system": code[0], "code": code[1]}
    return {**asked, **({"question": "|".join(question)} if question else {})}


def unread(issue: str, body: Json) -> list[dict[str, str]]:
    """Return the addresses of the codes that were not understood in something that was set aside.

    Args:
        issue: the check that failed.
    """
    question = next(iter(pairs(body.get("code"))), None)
    if issue == UNREADABLE:
        codes = pairs(body.get("valueCodeableConcept"))
        return [address(body["resourceType"], "value", code, question) for code in codes if all(code)]
    if issue in OF_SIDES:
        sites = body.get("bodySite", [])
        codes = tuple(c for site in (sites if isinstance(sites, list) else [sites]) for c in pairs(site))
        return [address(body["resourceType"], "bodySite", code, None) for code in codes if all(code)]
    return []


def meanings(
    pathways: Sequence[Pathway], element: Element, type: str, question: Code | None
) -> tuple[Meaning, ...]:
    """Return what a code may mean in an element of a resource of that type, by title.

    Args:
        question: of an answer, the code it answers.
    """
    urgent = set(_urgent(pathways))
    found: dict[Code, Meaning] = {}
    for pathway in pathways:
        for title, coding in _candidates(pathway, element, type, question):
            code = (str(coding["system"]), str(coding["code"]))
            found.setdefault(
                code,
                Meaning(
                    code=code,
                    display=str(coding.get("display", "")),
                    title=title,
                    of=pathway.title,
                    second=element == "bodySite" or code in urgent,
                ),
            )
    return tuple(sorted(found.values(), key=lambda meaning: meaning.title.casefold()))


def read(stored: Stored, said: Json) -> Mapped | None:
    """Return what a ConceptMap says; None for one that was not made here.

    Args:
        said: the Provenance of this version.
    """
    body = stored.resource
    if body.get("identifier", {}).get("system") != IDENTIFIERS:
        return None
    (group,) = body["group"]
    (element,) = group["element"]
    (target,) = element["target"]
    agents: Sequence[Json] = said.get("agent", ())
    who: Json = agents[0].get("who", {}) if agents else {}
    return Mapped(
        id=stored.id,
        version=stored.version,
        status=body["status"],
        source=(group["source"], element["code"]),
        target=(group["target"], target["code"]),
        display=str(target.get("display", "")),
        by=reference(who),
        by_name=str(who.get("display", "")),
        at=stored.received,
        comment=str(target.get("comment", "")),
    )


def made_here(tx: Connection, *, tenant: int) -> tuple[Mapped, ...]:
    """Return every map that was made here, the newest first."""
    made = queries.maps_made_here(tx, tenant=tenant)
    with driver.together(tx):
        maps = resources.ask_all(tx, {("ConceptMap", id) for id, _ in made}, tenant=tenant)
        said = resources.ask_all(tx, {("Provenance", said_id(*each)) for each in made}, tenant=tenant)
    bodies, who = maps(), said()
    found = []
    for id, version in made:
        provenance = who.get(("Provenance", said_id(id, version)))
        found.append(read(bodies["ConceptMap", id], provenance.resource if provenance else {}))
    return tuple(mapped for mapped in found if mapped is not None)


def map_of(tx: Connection, source: Code, *, tenant: int) -> Mapped | None:
    """Return the map of a code that was made here, whatever its status."""
    stored = resources.current(tx, "ConceptMap", map_id(source), tenant=tenant)
    if stored is None or stored.deleted or not stored.owned:
        return None
    said = resources.current(tx, "Provenance", said_id(stored.id, stored.version), tenant=tenant)
    return read(stored, said.resource if said else {})


def hold(tx: Connection, source: Code, *, tenant: int) -> None:
    """Hold the map of a code until the transaction ends: whoever changes it, or asks about it, waits."""
    resources.lock_identities(tx, tenant, [("ConceptMap", map_id(source))])


def concept_map(source: Code, target: Code, display: str, status: Status, comment: str) -> dict[str, Any]:
    """Return the ConceptMap of a code."""
    id = map_id(source)
    meant = {
        "code": target[1],
        "display": display,
        "equivalence": HOLDS if status == "active" else PROPOSED,
        **({"comment": comment} if comment else {}),
    }
    return {
        "resourceType": "ConceptMap",
        "id": id,
        "url": f"urn:uuid:{id}",
        "identifier": {"system": IDENTIFIERS, "value": id},
        "status": status,
        "group": [
            {
                "source": source[0],
                "target": target[0],
                "element": [{"code": source[1], "target": [meant]}],
            }
        ],
    }


def provenance(map_id: str, version: int, who: Json, now: datetime) -> dict[str, Any]:
    """Return who made a version of a map."""
    return {
        "resourceType": "Provenance",
        "id": said_id(map_id, version),
        "target": [{"reference": f"ConceptMap/{map_id}/_history/{version}"}],
        "recorded": content.instant(now),
        "agent": [{"who": dict(who)}],
    }


def place_of(pathways: Sequence[Pathway], target: Code) -> tuple[str, Element, Code | None]:
    """Return where a code stands that means this: type, element and, of an answer, the code it answers."""
    for pathway in pathways:
        for row in pathway.gate.rows:
            if target in map(_code, row["codes"]):
                return str(row["resource"]), "code", None
            for answer in row["value"].get("answers", ()):
                if target in map(_code, answer["codes"]):
                    return str(row["resource"]), "value", _code(row["codes"][0])
    return "Observation", "bodySite", None


def title_of(pathways: Sequence[Pathway], target: Code) -> str:
    """Return what a target is called where it is chosen; the code itself of one that no pathway reads."""
    type, element, question = place_of(pathways, target)
    found = meanings(pathways, element, type, question)
    return next((meaning.title for meaning in found if meaning.code == target), target[1])


def _candidates(
    pathway: Pathway, element: Element, type: str, question: Code | None
) -> Iterator[tuple[str, Json]]:
    """Yield what a pathway reads there: its title, and the coding that is its own."""
    rows = [row for row in pathway.gate.rows if row["resource"] == type]
    if element == "code":
        yield from ((str(row["title"]), row["codes"][0]) for row in rows)
    elif element == "value":
        for row in (row for row in rows if question in [_code(coding) for coding in row["codes"]]):
            yield from (
                (str(a["codes"][0]["display"]), a["codes"][0]) for a in row["value"].get("answers", ())
            )
    else:
        yield from ((str(side.coding["display"]), side.coding) for side in pathway.sides.values())


def _urgent(pathways: Sequence[Pathway]) -> Iterator[Code]:
    """Yield the codes of what must not wait, and of the answers to it."""
    for pathway in pathways:
        for row in (row for row in pathway.gate.rows if row.get("urgentWhenTrue")):
            yield from map(_code, row["codes"])
            for answer in row["value"].get("answers", ()):
                yield from map(_code, answer["codes"])


def _code(coding: Mapping[str, Any]) -> Code:
    return str(coding["system"]), str(coding["code"])
