"""Joining two records of one person: what is about the one is about the other from now on.

    nobody else stores -> both Patients locked -> everything moved, what is the same kept once
    -> plans joined and held -> what was moved is noted, so that it can go back
    -> the promise to look at the record that stays

All of it is one transaction. An evaluation of either record that began before ends before, or is made again
by the database; a visit waits.

http://hl7.org/fhir/R5/patient-operation-merge.html
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from pathways import catalogue, identity
from service.fhir import removal
from service.fhir.refusals import Gone, Issue, NotFound, NotValid
from service.joining import facts, persons, plans, saving
from service.joining.plans import Setting
from service.store import content, horizon, joinings, promises, referrers, resources, site
from service.store.joinings import Joining, Moved
from service.store.resources import Head, Stored, Write

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a joining did."""

    source: str
    target: str
    #: False: they were joined before, and nothing is different
    changed: bool
    #: how many resources of each type were moved, and of which types some were the same fact
    moved: Mapping[str, int]
    twins: Mapping[str, int]
    #: of each plan: its id in the record that stays, and how it was joined, see `pathways.joining`
    plans: Sequence[tuple[str, str]]
    #: the elements of which the two Patients say different things
    differing: Sequence[str]
    #: the Patient that stays
    result: Head


def announce(tx: Connection) -> None:
    """Wait until nobody else stores, and keep everybody from it; before the clock is read."""
    referrers.keep_patients(tx, removing=True)
    horizon.announce(tx)


def join(
    tx: Connection,
    source: str,
    target: str,
    *,
    tenant: int,
    who: str,
    result: Json | None = None,
) -> Outcome:
    """Join the record of the source into that of the target, after `announce`.

    Args:
        who: who says that they are one: the name of a sender, or a reference to a person.
        result: what the Patient that stays is to say.

    Raises:
        NotFound, Gone: there is no such Patient.
        NotValid: the two are one, or one of them was joined with a third, or they are joined already and
            the Patient that stays says another thing than the result.
    """
    both = resources.lock(tx, {("Patient", source), ("Patient", target)}, tenant=tenant)
    goes, stays = _person(both, source, "source-patient"), _person(both, target, "target-patient")
    before = _checked(tx, source, target, tenant=tenant)
    if before is not None:
        if result is not None and not _says(_given(tx, target, tenant=tenant), result, stays):
            text = "the two are joined already: change the Patient that stays by a PUT"
            raise NotValid(Issue(code="business-rule", text=text, expression="result-patient"))
        return _known(before, goes, stays)
    at = site.read(tx, tenant=tenant)
    now = at.clock.now.replace(microsecond=at.clock.now.microsecond // 1000 * 1000)
    of = Setting(tx=tx, tenant=tenant, run=uuid4(), at=now, site=at, source=source, target=target)
    given = persons.added(stays.resource, goes.resource)
    key = joinings.begin(tx, source, target, tenant=tenant, at=now, who=who, run=of.run, added=given)
    installed = catalogue.pathways()
    names = {f"Patient/{source}": f"Patient/{target}", **plans.names(of, installed)}
    moved, of = _move(of, names)
    heads = _link(of, goes, stays, result, who)
    written = plans.join(of, installed) if moved else plans.Written()
    saving.log(tx, written.rows, tenant=tenant)
    saving.of_engine(tx, written.resources.values(), target, tenant=tenant, now=now)
    noted = [_renumbered(tx, one, tenant=tenant) for one in moved]
    noted += [
        Moved("Patient", one.id, one.version, heads["Patient", one.id].version) for one in (goes, stays)
    ]
    joinings.note(tx, key, noted, [asdict(one) for one in written.joined])
    promises.want(tx, target, tenant=tenant, due_at=now)
    # The timers of the record that went are those of nobody now; what looks at it ends them.
    promises.want(tx, source, tenant=tenant, due_at=now)
    return Outcome(
        source=source,
        target=target,
        changed=True,
        moved=Counter(one.type for one in moved),
        twins=Counter(one.type for one in moved if one.twin),
        plans=[(_plan(of, one), one.how) for one in written.joined if one.instance],
        differing=persons.differing(goes.resource, stays.resource) if result is None else (),
        result=heads["Patient", target],
    )


def _person(both: Mapping[tuple[str, str], Stored], id_: str, name: str) -> Stored:
    found = both.get(("Patient", id_))
    if found is None:
        raise NotFound(Issue(code="not-found", text=f"there is no such Patient: {name}", expression=name))
    if found.deleted:
        raise Gone(Issue(code="deleted", text=f"the Patient was removed: {name}", expression=name))
    return found


def _checked(tx: Connection, source: str, target: str, *, tenant: int) -> Joining | None:
    """Return the joining that is asked for, if it holds already.

    Raises:
        NotValid: it cannot be.
    """
    if source == target:
        text = "source and target are the same Patient"
        raise NotValid(Issue(code="business-rule", text=text, expression="target-patient"))
    into, _ = joinings.ask(tx, [source, target], tenant=tenant)()
    for id_, name in ((target, "target-patient"), (source, "source-patient")):
        joining = into.get(id_)
        if joining is not None and (id_ == target or joining.target != target):
            text = (
                f"Patient/{id_} was joined with Patient/{joining.target}: name that one, or undo it first by "
                f"Patient/{joining.target}/$unmerge"
            )
            raise NotValid(Issue(code="business-rule", text=text, expression=name))
    return into.get(source)


def _given(tx: Connection, target: str, *, tenant: int) -> list[Any]:
    """Return what each joining that holds has given the Patient that stays."""
    return [msgspec.json.decode(one.added) for one in joinings.of(tx, target, tenant=tenant)]


def _says(given: Sequence[Any], result: Json, stays: Stored) -> bool:
    return content.digest(persons.replacing(result, given)) == stays.digest


def _known(joining: Joining, goes: Stored, stays: Stored) -> Outcome:
    return Outcome(
        source=joining.source,
        target=joining.target,
        changed=False,
        moved={},
        twins={},
        plans=(),
        differing=persons.differing(goes.resource, stays.resource),
        result=stays.head,
    )


def _move(of: Setting, names: Mapping[str, str]) -> tuple[list[Moved], Setting]:
    """Write everything about the source as it is about the target, and return what was moved.

    The setting names the new versions in place of the old ones.
    """
    held = facts.locked(of.tx, of.source, tenant=of.tenant)
    theirs = [one.stored for one in facts.of(of.tx, of.target, tenant=of.tenant)]
    same = facts.twins([one.stored for one in held], theirs, names)
    everything = {**names, **same}
    writes = [(one, _write(of, one.stored, everything, same)) for one in held]
    versions = saving.moved(of.tx, writes, tenant=of.tenant, now=of.at)
    known = {one.reference: one for one in theirs}
    moved, also = [], {}
    for one, _ in writes:
        stored = one.stored
        after = versions[stored.type, stored.id]
        twin = same.get(stored.reference)
        one_moved = Moved(stored.type, stored.id, stored.version, after)
        instead = f"{stored.reference}/_history/{after}"
        if twin:
            one_moved = one_moved._replace(twin=known[twin].id, twin_version=known[twin].version)
            instead = f"{twin}/_history/{known[twin].version}"
        moved.append(one_moved)
        also[f"{stored.reference}/_history/{stored.version}"] = instead
    ids = {goes.partition("/")[2]: stays.partition("/")[2] for goes, stays in same.items()}
    return moved, replace(of, names={**everything, **also}, ids=ids)


def _write(of: Setting, stored: Stored, names: Mapping[str, str], same: Mapping[str, str]) -> Write:
    if stored.reference in same:
        # Found by its identifier, it would be one of two.
        return structs.replace(removal.write(stored, if_version=None), patient=of.target, moves=True)
    return Write(
        type=stored.type,
        id=stored.id,
        body=facts.renamed(stored.resource, names),
        # What is about nobody stays so, whoever it names.
        patient=of.target if stored.patient else None,
        owned=stored.owned,
        moves=stored.patient is not None,
    )


def _link(
    of: Setting, goes: Stored, stays: Stored, result: Json | None, who: str
) -> dict[tuple[str, str], Head]:
    """Write the two Patients as they say that they are one, and who said so."""
    given = _given(of.tx, of.target, tenant=of.tenant)
    body = persons.replacing(result if result is not None else stays.resource, given)
    return saving.patients(of, persons.replaced(goes.resource, of.target), body, who, saving.MERGE)


def _renumbered(tx: Connection, one: Moved, *, tenant: int) -> Moved:
    """Return what was moved with the version it has after its plan was joined, too."""
    if one.type not in plans.TYPES:
        return one
    current = resources.current(tx, one.type, one.id, tenant=tenant)
    assert current is not None
    return one._replace(after=current.version)


def _plan(of: Setting, one: plans.Joined) -> str:
    return identity.derive(of.tenant, of.target, one.pathway, one.instance, "CarePlan")
