"""Who is meant where a Bundle names a Patient that was joined with another.

    by an identifier .... the Patient that stays carries it as well, and is meant; the answer says so
    by its id ........... refused: the sender learns which Patient to name, and nothing goes astray
    a write of it ....... only to say again that it is replaced; the one that stays keeps what it was given

http://hl7.org/fhir/R4/patient.html#links
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from service.fhir import references
from service.fhir.entries import Entry
from service.fhir.placing import Place
from service.fhir.refusals import Issue, NotValid, Referred
from service.joining import join, persons
from service.store import joinings, resources
from service.store.joinings import Joining
from service.store.resources import Found, Head, IndexName

Json = Mapping[str, Any]

PATIENT = "Patient"


class Through(NamedTuple):
    """Whom an identifier named before, and whom it names now."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Of the patients that a Bundle names, which were joined."""

    #: by the id of the one that went
    into: Mapping[str, Joining]
    #: by the id of the one that stays, the oldest first
    of: Mapping[str, Sequence[Joining]]
    #: by system and value of an identifier that the one that stays has from the other
    through: Mapping[tuple[str, str], Through] = field(default_factory=dict)
    #: by the id of one that went, the one that everything about it is kept for, however often it was joined
    stays: Mapping[str, str] = field(default_factory=dict)

    def kept(self, entry: Entry, place: Place, body: Json) -> Json:
        """Return a Patient as it is stored: what a joining gave it stays, and that it is replaced."""
        if entry.type != PATIENT or entry.removes:
            return body
        if joining := self.into.get(place.id):
            return persons.replaced(body, joining.target)
        if joinings_ := self.of.get(place.id):
            return persons.replacing(body, [msgspec.json.decode(one.added) for one in joinings_])
        return body


def look_up(
    tx: Connection, found: Found, named: tuple[Mapping[str, Joining], Mapping[str, Any]], *, tenant: int
) -> Joined:
    """Return which patients were joined, and leave what they carry to the one that stays.

    Args:
        found: what was found; of a Patient that went, its identifiers are taken away.
        named: as `joinings.ask` returns it for the patients that are named by id.
    """
    _, by_value = found
    several = {name: heads for name, heads in by_value.items() if _is_several(name, heads)}
    into, of = dict(named[0]), dict(named[1])
    through: dict[tuple[str, str], Through] = {}
    if several:
        ids = {head.id for heads in several.values() for head in heads}
        gone, stay = joinings.ask(tx, ids, tenant=tenant)()
        into, of = {**into, **gone}, {**of, **stay}
        for name, heads in several.items():
            left = [head for head in heads if head.id not in gone]
            if len(left) == 1 and len(left) < len(heads):
                by_value[name] = left
                if (name[2], name[3]) in _added(of.get(left[0].id, ())):
                    source = next(head.id for head in heads if head.id in gone)
                    through[name[2], name[3]] = Through(source, left[0].id)
    stays = {source: joinings.last(tx, joining.target, tenant=tenant) for source, joining in into.items()}
    return Joined(into=into, of=of, through=through, stays=stays)


def kept_for(tx: Connection, places: Iterable[Place], *, tenant: int) -> dict[str, str]:
    """Return for whom everything is kept that was about the patient of something removed, by that patient.

    What is removed is not moved by a joining; sent again, it is about the one that stays.
    """
    patients = {place.head.patient for place in places if place.head and place.head.deleted}
    return {patient: joinings.last(tx, patient, tenant=tenant) for patient in patients if patient}


def refuse(
    joined: Joined,
    entries: Sequence[Entry],
    places: Mapping[int, Place],
    visit: Mapping[int, Json],
    named: Iterable[tuple[Entry, str, str]],
) -> None:
    """Refuse what names a Patient that was joined with another, or would undo it unseen.

    Args:
        visit: the resources by entry, their references settled.
        named: each reference to a Patient by id: its entry, the path within, and the id.

    Raises:
        NotValid: saying which Patient to name.
        Referred: one of the two is to be removed.
    """
    if not (joined.into or joined.of or joined.through):
        return
    if removed := list(_removed(joined, entries, places)):
        raise Referred(*removed)
    issues = [
        _issue(f"{entry.at}.{path}", id_, joined.stays[id_])
        for entry, path, id_ in named
        if id_ in joined.into and not (entry.type == PATIENT and path.startswith("link"))
    ]
    for entry in entries:
        if entry.type != PATIENT or entry.method == "POST" or entry.removes:
            continue
        id_ = places[entry.index].id
        said = persons.replaced_by(visit[entry.index])
        if id_ in joined.stays and (said is None or joined.stays.get(said, said) != joined.stays[id_]):
            issues.append(_issue(entry.at, id_, joined.stays[id_]))
        elif entry.identifier and (through := joined.through.get(entry.identifier)):
            # Written over, the Patient that stays would lose what the other one does not know.
            issues.append(_issue(f"Bundle.entry[{entry.index}].request.url", *through))
    if issues:
        raise NotValid(*issues)


def told(joined: Joined, entry: Entry) -> str | None:
    """Return in words that an entry named a Patient by what it carried before; None where it did not."""
    if not joined.through:
        return None
    for token in _tokens(entry):
        if through := joined.through.get(token):
            return (
                f"the identifier is one that Patient/{through.source} had: the two records were joined, and "
                f"this is about Patient/{through.target}"
            )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What became of a Patient that was sent with the word that another one replaces it."""

    told: str
    #: for whom everything is kept now; None: nothing was joined
    patient: str | None


def carry_out(
    tx: Connection, entry: Entry, id_: str, body: Json, joined: Joined, sender: str, tenant: int
) -> Replaced | None:
    """Join the records where a Patient was stored that says by whom it is replaced; None: nothing new.

    Raises:
        NotValid: the other one was itself joined with a third.
    """
    target = persons.replaced_by(body) if entry.type == PATIENT and not entry.removes else None
    if target is None or target == id_ or id_ in joined.into:
        return None
    there = resources.current(tx, PATIENT, target, tenant=tenant)
    if there is None or there.deleted:
        text = (
            f"Patient/{target}, which is to replace this one, is not stored here, so nothing was joined: "
            "send it, and then this again, or ask for Patient/$merge"
        )
        return Replaced(told=text, patient=None)
    # Who is one with somebody is one with whom that one was joined with before.
    target = joinings.last(tx, target, tenant=tenant)
    join.join(tx, id_, target, tenant=tenant, who=sender)
    text = f"the two records were joined; everything is kept for Patient/{target}"
    return Replaced(told=text, patient=target)


def _is_several(name: IndexName, heads: Sequence[Head]) -> bool:
    return name[0] == PATIENT and name[1] == "identifier" and len(heads) > 1


def _added(joinings_: Iterable[Joining]) -> set[tuple[str, str]]:
    """Return the identifiers that a Patient has from those that were joined with it."""
    return {token for one in joinings_ for token in persons.tokens(msgspec.json.decode(one.added))}


def _removed(joined: Joined, entries: Sequence[Entry], places: Mapping[int, Place]) -> Iterator[Issue]:
    for entry in entries:
        id_ = places[entry.index].id
        if entry.type == PATIENT and entry.removes and (id_ in joined.into or id_ in joined.of):
            text = (
                f"Patient/{id_} was joined with another: neither of the two is removed while that holds; "
                "undo it first by $unmerge"
            )
            yield Issue(code="conflict", text=text, expression=f"Bundle.entry[{entry.index}].request.url")


def _issue(at: str, source: str, target: str) -> Issue:
    text = (
        f"Patient/{source} was joined with Patient/{target}: send it for Patient/{target}; if they are two, "
        f"undo it first by Patient/{target}/$unmerge"
    )
    return Issue(code="business-rule", text=text, expression=at)


def _tokens(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield each identifier by which the entry names a Patient."""
    if entry.type == PATIENT and entry.identifier:
        yield entry.identifier
    for found in references.literal(entry.resource):
        search = references.conditional(found.target)
        if search is not None and search.type == PATIENT:
            yield search.system, search.value
    for _, system, value in references.logical(entry.resource, tuple(entry.resource)):
        yield system, value
