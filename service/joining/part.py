"""Parting two records that were joined: what came from the one goes back to it, in one transaction.

    what was moved ............. back, as it was, or as it is now where it was changed since
    what was received since .... where a person says; nobody guesses whose it is
    plans ...................... each as it was joined, with what became of it since, and held

Refused where it cannot be told apart: behind a later joining, and while it is not said of everything that
was received since to whom it belongs.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from pathways import catalogue
from pathways import decisions as decided
from service.fhir import references, removal
from service.fhir.refusals import Issue, NotValid, Referred
from service.fhir.resolving import MAY_POINT_ELSEWHERE
from service.joining import facts, parted_plans, persons, plans, saving
from service.joining.facts import Held
from service.joining.plans import Setting
from service.record import entry
from service.store import joinings, promises, resources, site
from service.store.joinings import Joining, Moved
from service.store.resources import Head, Identity, Stored, Write

Json = Mapping[str, Any]

#: of what cannot be told apart, so many are named
NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a parting did."""

    source: str
    target: str
    #: how many resources of each type went back, and of what was received since how many stay
    back: Mapping[str, int]
    stays: int
    #: of each plan: its id, and whether it `goes` back to the source or `stays`
    plans: Sequence[tuple[str, str]]
    #: by what went back as it was received, what had stood for it and is another by now, or is removed
    differing: Mapping[str, str]
    #: the Patient that stays, and the one that stands for itself again
    result: Head
    parted: Head


def part(
    tx: Connection,
    source: str,
    target: str,
    *,
    tenant: int,
    who: str,
    to_source: Collection[str] = (),
    rest_stays: bool = False,
) -> Outcome:
    """Part the record of the source from that of the target, after `join.announce`.

    Args:
        who: who says that they are not one.
        to_source: `Type/id` of what was received since and is about the source.
        rest_stays: everything else that was received since is about the target.

    Raises:
        NotValid: the two are not joined, or what is named was not received since.
        Referred: it cannot be told apart, or another joining is to be undone first.
    """
    both = resources.lock(tx, {("Patient", source), ("Patient", target)}, tenant=tenant)
    joining = joinings.into(tx, source, tenant=tenant)
    if joining is None or joining.target != target or len(both) < 2:
        text = "these two are not joined: name as source a Patient that this one replaces"
        raise NotValid(Issue(code="not-found", text=text, expression="source-patient"))
    _refuse_behind(tx, joining, tenant=tenant)
    moved = joinings.moved(tx, joining.key)
    at = site.read(tx, tenant=tenant)
    now = at.clock.now.replace(microsecond=at.clock.now.microsecond // 1000 * 1000)
    twins = {f"{one.type}/{one.twin}": f"{one.type}/{one.id}" for one in moved if one.twin}
    of = Setting(
        tx=tx,
        tenant=tenant,
        run=uuid4(),
        at=now,
        site=at,
        source=source,
        target=target,
        ids={one.twin: one.id for one in moved if one.twin},
    )
    installed = catalogue.pathways()
    kept = tuple(plans.each(msgspec.json.decode(joining.plans)))
    before = parted_plans.remember(of, kept, installed)
    names = {f"Patient/{target}": f"Patient/{source}", **twins, **before.names}
    owned = parted_plans.made_since(of, joining, moved, before)
    goes = {one.identity for one in moved if one.type != "Patient"} | {
        (one.stored.type, one.stored.id) for one in owned
    }
    goes |= {identity for name in before.names if (identity := references.local(name))}
    received = _received(of, joining, moved)
    since = _since(received, to_source, goes, rest_stays=rest_stays)
    versions = _back(of, moved, [*since, *owned], names)
    read = {decided.key(entry(one.stored)) for one in since if one.stored.type == "Task"}
    said = parted_plans.part(of, before, {**names, **versions}, installed, read)
    saving.log(tx, said.rows, tenant=tenant)
    for patient, written in said.resources.items():
        saving.of_engine(tx, written.values(), patient, tenant=tenant, now=now)
    heads = _alone(of, joining, moved, both, who)
    _refuse_across(of)
    joinings.part(tx, joining.key, at=now, who=who)
    for patient in (source, target):
        promises.want(tx, patient, tenant=tenant, due_at=now)
    facts_back = [one for one in moved if one.type != "Patient"]
    return Outcome(
        source=source,
        target=target,
        back=Counter(one.type for one in facts_back) + Counter(one.stored.type for one in since),
        stays=len(received) - len(since),
        plans=said.plans,
        differing=_differing(of, moved),
        result=heads["Patient", target],
        parted=heads["Patient", source],
    )


def _refuse_behind(tx: Connection, joining: Joining, *, tenant: int) -> None:
    later = joinings.into(tx, joining.target, tenant=tenant)
    newest = joinings.of(tx, joining.target, tenant=tenant)[-1]
    behind = later or (newest if newest.key != joining.key else None)
    if behind is not None:
        text = (
            f"Patient/{behind.source} was joined with Patient/{behind.target} after this, and what came from "
            f"whom can only be told in the reverse order: undo that one first, by "
            f"Patient/{behind.target}/$unmerge"
        )
        raise Referred(Issue(code="conflict", text=text, expression="source-patient"))


def _received(of: Setting, joining: Joining, moved: Iterable[Moved]) -> list[Held]:
    """Return what was received since for the record that stays."""
    identities = {one.identity for one in moved}
    found = facts.since(of.tx, joining.target, joining.mark, identities, tenant=of.tenant)
    return [one for one in found if not one.stored.owned and one.sender != saving.ENGINE]


def _since(
    received: Sequence[Held],
    to_source: Collection[str],
    goes: set[Identity],
    *,
    rest_stays: bool,
) -> list[Held]:
    """Return what was received since and goes to the source: what is named, and what refers to what goes.

    Raises:
        NotValid: something is named that was not received since.
        Referred: it is not said of everything whose it is.
    """
    known = {one.stored.reference for one in received}
    if unknown := [name for name in to_source if name not in known]:
        text = f"{len(unknown)} of the resources were not received for this Patient since the two were joined"
        raise NotValid(Issue(code="not-found", text=text, expression="source-resource"))
    going = [one for one in received if one.stored.reference in to_source]
    while more := [one for one in received if one not in going and _refers(one.stored, goes, going)]:
        # What refers to one of these goes as well.
        going += more
    chosen = {one.stored.reference for one in going}
    open_ = [one.stored.reference for one in received if one.stored.reference not in chosen]
    if open_ and not rest_stays:
        text = (
            f"{len(open_)} resources were received since the two were joined, and nobody can tell whose they "
            "are: name in source-resource what is about the source, and send rest-stays true for the others. "
            f"They are {_named(open_)}"
        )
        raise Referred(Issue(code="conflict", text=text, expression="rest-stays"))
    return going


def _refers(stored: Stored, goes: set[Identity], going: Sequence[Held]) -> bool:
    """Return whether the resource answers, or is about, something that goes back."""
    every = goes | {(one.stored.type, one.stored.id) for one in going}
    return any(references.local(found.target) in every for found in references.literal(stored.resource))


def _refuse_across(of: Setting) -> None:
    """Refuse to leave what refers to something of the other record, after everything is written.

    Raises:
        Referred: naming what refers to it.
    """
    found = [
        (held.stored, identity)
        for patient in (of.source, of.target)
        for held in facts.of(of.tx, patient, tenant=of.tenant)
        if held.sender != saving.ENGINE
        for reference in references.literal(held.stored.resource)
        if (held.stored.type, reference.element) not in MAY_POINT_ELSEWHERE
        and (identity := references.local(reference.target))
    ]
    heads = resources.look_up(of.tx, {identity for _, identity in found}, tenant=of.tenant)
    whose = {head.identity: head.patient for head in heads if not head.deleted}
    across = [
        f"{stored.reference} to {'/'.join(identity)}"
        for stored, identity in found
        if whose.get(identity) in {of.source, of.target} - {stored.patient}
    ]
    if across:
        text = (
            f"{len(across)} references would lead from one record to the other: name both ends in source-"
            f"resource, or neither, or change what refers first. They are {_named(across)}"
        )
        raise Referred(Issue(code="conflict", text=text, expression="source-resource"))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _back(
    of: Setting, moved: Sequence[Moved], also: Sequence[Held], names: Mapping[str, str]
) -> dict[str, str]:
    """Write what goes back as it is about the source, and return the new versions by the present ones."""
    wanted = [one for one in moved if one.type != "Patient"]
    current = resources.lock(of.tx, {one.identity for one in wanted}, tenant=of.tenant)
    before = resources.versions(of.tx, [(o.type, o.id, o.before) for o in wanted], tenant=of.tenant)
    writes: list[tuple[Held, Write]] = []
    senders = _senders(of, wanted)
    for one in wanted:
        now = current[one.identity]
        if now.deleted and now.version != one.after:
            # Removed since, by whoever sent it; that holds for the record it came from as well, which is
            # where it may be sent again.
            gone = removal.write(now, if_version=None)
            gone = structs.replace(
                gone, body=facts.renamed(gone.body, names), patient=now.patient and of.source, moves=True
            )
            writes.append((Held(stored=now, sender=senders[one.identity]), gone))
            continue
        old = before.get((one.type, one.id, one.before))
        body = facts.changed_back(now, old, one.after, names)
        patient = of.source if old is None or old.patient else None
        writes.append((Held(stored=now, sender=senders[one.identity]), _write(now, body, patient)))
    writes += [
        (held, _write(held.stored, facts.renamed(held.stored.resource, names), of.source)) for held in also
    ]
    writes.sort(key=lambda each: each[0].stored.seq)
    versions = saving.moved(of.tx, writes, tenant=of.tenant, now=of.at)
    now_as = {
        f"{type_}/{id_}": f"{type_}/{id_}/_history/{version}" for (type_, id_), version in versions.items()
    }
    # What was said of the version before is said of the one that follows it as well.
    named = [(held.stored.reference, held.stored.version) for held, _ in writes]
    named += [(f"{one.type}/{one.id}", one.before) for one in wanted if f"{one.type}/{one.id}" in now_as]
    found = {f"{reference}/_history/{version}": now_as[reference] for reference, version in named}
    found |= {
        f"{one.type}/{one.twin}/_history/{one.twin_version}": now_as[f"{one.type}/{one.id}"]
        for one in wanted
        if one.twin and f"{one.type}/{one.id}" in now_as
    }
    return found


def _differing(of: Setting, moved: Sequence[Moved]) -> dict[str, str]:
    """Return, by each fact that was kept once, the one that stood for it if that is no longer the same."""
    names = {(one.type, one.twin, one.twin_version): one for one in moved if one.twin and one.twin_version}
    then = resources.versions(of.tx, list(names), tenant=of.tenant)
    heads = resources.look_up(of.tx, [(type_, id_) for type_, id_, _ in names], tenant=of.tenant)
    now = {head.identity: head.digest for head in heads}
    return {
        f"{one.type}/{one.id}": f"{one.type}/{one.twin}"
        for name, one in names.items()
        if now.get(name[:2]) != then[name].digest
    }


def _write(stored: Stored, body: Json, patient: str | None) -> Write:
    return Write(
        type=stored.type,
        id=stored.id,
        body=body,
        patient=patient,
        owned=stored.owned,
        moves=patient is not None,
    )


def _senders(of: Setting, wanted: Sequence[Moved]) -> dict[Identity, str]:
    """Return who sent what was moved."""
    return resources.senders(of.tx, [one.identity for one in wanted], tenant=of.tenant)


def _alone(
    of: Setting,
    joining: Joining,
    moved: Sequence[Moved],
    both: Mapping[Identity, Stored],
    who: str,
) -> dict[Identity, Head]:
    """Write the two Patients as they stand for themselves, and who said so."""
    goes, stays = both["Patient", of.source], both["Patient", of.target]
    numbers = {one.id: one for one in moved if one.type == "Patient"}
    before = resources.version(of.tx, "Patient", of.source, numbers[of.source].before, tenant=of.tenant)
    given = msgspec.json.decode(joining.added)
    was = before.resource if before else {}
    back, alone = persons.restored(goes.resource, was, of.target), persons.alone(stays.resource, given)
    return saving.patients(of, back, alone, who, saving.UNMERGE)


def reference(text: str, base: str) -> str:
    """Return `Type/id` of a reference that was given; as it is where it is another one."""
    found = references.local(text.removeprefix(base))
    return "/".join(found) if found else text
