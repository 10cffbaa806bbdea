"""Who is meant by a merge, and what its answer says.

An identity is never guessed: each identifier that is given must lead to one Patient, and all of them, and the
reference, to the same one.

http://hl7.org/fhir/R5/patient-operation-merge.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.fhir import references
from service.fhir.refusals import Ambiguous, Issue, NotValid
from service.joining import join, part, persons
from service.store import joinings, resources
from service.store.resources import Current

Json = Mapping[str, Any]

#: how a plan was joined, in words
PLANS = {
    "taken": "it goes on for this Patient, and waits for a person",
    "folded": "both records had it: this one goes on with the work of both, and waits for a person",
    "held": "it waits for a person: findings of the other record are new to it",
    "goes": "it went back to the other Patient, and waits for a person",
    "stays": "it stays, and waits for a person",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Who is named as source or target."""

    which: str
    id: str | None
    #: system and value
    identifiers: tuple[tuple[str, str], ...] = ()


def find(tx: Connection, named: Named, *, tenant: int) -> str:
    """Return the id of the Patient that is meant.

    Raises:
        NotValid: an identifier leads to nobody, or they lead to several.
        Ambiguous: an identifier leads to several.
    """
    at = f"{named.which}-patient-identifier"
    asked = [("Patient", system, value) for system, value in named.identifiers]
    found = resources.by_identifier(tx, asked, tenant=tenant)
    ids = {named.id} if named.id else set()
    for name in asked:
        heads = [head for head in found.get(name, ()) if not head.deleted]
        if named.id and any(head.id == named.id for head in heads):
            # Another one may carry it as well: that is what a merge is for.
            continue
        heads = _as_asked(tx, heads, named.which, tenant=tenant)
        if len(heads) > 1:
            text = f"{len(heads)} Patients carry an identifier; name one by {named.which}-patient"
            raise Ambiguous(Issue(code="multiple-matches", text=text, expression=at))
        if not heads:
            raise NotValid(Issue(code="not-found", text="no Patient carries an identifier", expression=at))
        ids.add(heads[0].id)
    if len(ids) > 1:
        text = f"what names the {named.which} leads to {len(ids)} Patients; which is meant is never guessed"
        raise NotValid(Issue(code="conflict", text=text, expression=at))
    return str(ids.pop())


def _as_asked(tx: Connection, heads: list[Current], which: str, *, tenant: int) -> list[Current]:
    """Return of two that are joined and carry one identifier the one that went, or the one that stays."""
    if len(heads) < 2:
        return heads
    gone, _ = joinings.ask(tx, {head.id for head in heads}, tenant=tenant)()
    chosen = [head for head in heads if (head.id in gone) == (which == "source")]
    return chosen if gone and len(chosen) == 1 else heads


def settled_result(
    tx: Connection, result: Json, source: str, target: str, *, base: str, tenant: int
) -> dict[str, Any]:
    """Return a result with references as they are stored.

    Args:
        base: the service's own FHIR base with a slash at the end; references may begin with it.

    Raises:
        NotValid: it is not the target, has lost an identifier of one of the two or does not say that it
            is an old one, or refers to what is not stored.
    """
    if result.get("id") != target:
        text = "result-patient has the id of the Patient that stays"
        raise NotValid(Issue(code="business-rule", text=text, expression="result-patient.id"))
    _check_identifiers(tx, result, source, target, tenant=tenant)
    found = references.literal(result)
    ours = {one.target: one.target.removeprefix(base) for one in found}
    local = {target: identity for target in ours if (identity := references.local(ours[target]))}
    heads = {h.identity for h in resources.look_up(tx, local.values(), tenant=tenant) if not h.deleted}
    for one in found:
        elsewhere = one.target not in local and one.target.startswith(("http://", "https://"))
        if not elsewhere and local.get(one.target) not in heads:
            text = "the reference stands for nothing that is stored"
            raise NotValid(Issue(code="not-found", text=text, expression=f"result-patient.{one.path}"))
    return references.replaced(result, found, ours)


def _check_identifiers(tx: Connection, result: Json, source: str, target: str, *, tenant: int) -> None:
    goes, stays = (
        persons.tokens(stored.resource)
        if (stored := resources.current(tx, "Patient", id_, tenant=tenant))
        else set()
        for id_ in (source, target)
    )
    at = "result-patient.identifier"
    if missing := (goes | stays) - persons.tokens(result):
        text = f"{len(missing)} identifiers of the two are missing; those of the source have the use old"
        raise NotValid(Issue(code="business-rule", text=text, expression=at))
    if current := (goes - stays) - persons.tokens(result, use="old"):
        text = f"{len(current)} identifiers of the source have not the use old"
        raise NotValid(Issue(code="business-rule", text=text, expression=at))


def of_join(done: join.Outcome, *, preview: bool, may_read: bool) -> dict[str, Any]:
    """Return what a merge did, or would do, as an OperationOutcome: ids and counts, and no value.

    Args:
        may_read: False: what others have sent is not told of, not even in numbers.
    """
    if not done.changed:
        return _outcome(
            [f"Patient/{done.source} is joined with Patient/{done.target} already; nothing is different"]
        )
    would = "would be" if preview else "was"
    texts = [f"Patient/{done.source} {would} joined into Patient/{done.target}"]
    if not may_read:
        return _outcome(texts)
    texts += [f"{_counted(done.moved)} {would} moved"] if done.moved else []
    texts += (
        [f"of these {_counted(done.twins)} the same as one of the target, which is kept once"]
        if done.twins
        else []
    )
    texts += [f"CarePlan/{id_}: {PLANS[how]}" for id_, how in done.plans]
    warnings = [
        f"the two Patients say different things of {name}; that of the target holds"
        for name in done.differing
    ]
    return _outcome(texts, warnings)


def of_part(done: part.Outcome, *, preview: bool) -> dict[str, Any]:
    """Return what an undo did, or would do, as an OperationOutcome."""
    would = "would be" if preview else "was"
    texts = [f"Patient/{done.source} {would} parted from Patient/{done.target}"]
    texts += [f"{_counted(done.back)} {would} moved back"] if done.back else []
    texts += [f"{done.stays} resources that were received since stay"] if done.stays else []
    texts += [f"CarePlan/{id_}: {PLANS[how]}" for id_, how in done.plans]
    warnings = [
        f"{back} goes back as it was received; {stays}, which stood for both, was changed or removed since: "
        "look whether that is true of both"
        for back, stays in sorted(done.differing.items())
    ]
    return _outcome(texts, warnings)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {type_}" for type_, count in sorted(counts.items()))


def _outcome(texts: list[str], warnings: list[str] | None = None) -> dict[str, Any]:
    lines = [{"severity": "information", "code": "informational", "diagnostics": text} for text in texts]
    lines += [
        {"severity": "warning", "code": "business-rule", "diagnostics": text} for text in warnings or ()
    ]
    return {"resourceType": "OperationOutcome", "issue": lines}
