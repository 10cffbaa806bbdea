"""What is sent along with what matches: what it refers to, and what refers to it.

http://hl7.org/fhir/R4/search.html#include
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from service.fhir.criteria.asked import Asked
from service.fhir.criteria.conditions import parameters_of, targets
from service.fhir.criteria.references import by_column, only_by_column
from service.fhir.refusals import Issue, NotExchanged, TooLarge
from service.store import driver, finding, resources
from service.store.resources import Identity, Stored

#: with one page; more are refused, so that nobody takes a part for the whole
MOST = 2_000
#: each parameter named is one query or two, and again for each round of iterating
MOST_NAMED = 20

NAMES = ("_include", "_revinclude")


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """One kind of resources that is sent along."""

    #: what refers, by which parameter
    asked: Asked
    #: what refers is sent along, not what it refers to
    reverse: bool
    #: also of what was itself sent along
    iterate: bool
    #: the only type that is sent along; empty: any
    only: str


def read(name: str, value: str, type_: str, *, base: str, types: tuple[str, ...]) -> tuple[Include, ...]:
    """Return what a parameter `_include` or `_revinclude` asks for: of `Type:*` all there is.

    Raises:
        NotExchanged: there is no such parameter, or it does not lead to or from the type.
    """
    head, _, modifier = name.partition(":")
    parts = value.split(":")
    reverse = head == "_revinclude"
    if modifier not in ("", "iterate") or not 2 <= len(parts) <= 3 or parts[0] not in types:
        text = f"{head} is Type:parameter or Type:parameter:target, and its modifier is :iterate"
        raise NotExchanged(Issue(code="value", text=text))
    source, code, only = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    known = {each.name: each for each in parameters_of(source).values() if each.kind == "reference"}
    if code != "*" and code not in known:
        text = f"{head} names a reference of {source}: {', '.join(sorted(known))} or *"
        raise NotExchanged(Issue(code="value", text=text))
    if only and only not in types:
        raise NotExchanged(Issue(code="value", text=f"{head} names a target that is kept here"))
    if not reverse and source != type_ and not modifier:
        text = f"_include begins with {type_}, or has :iterate"
        raise NotExchanged(Issue(code="value", text=text))
    return tuple(
        Include(
            asked=Asked(type=source, parameter=parameter, modifier="", base=base),
            reverse=reverse,
            iterate=modifier == "iterate",
            only=only,
        )
        for parameter in known.values()
        if code in ("*", parameter.name)
    )


def carry_out(
    tx: Connection,
    wanted: Sequence[Include],
    matches: Sequence[Stored],
    *,
    tenant: int,
    types: tuple[str, ...],
) -> list[Stored]:
    """Return what is sent along with the matches, each once and none of the matches.

    Raises:
        TooLarge: it is more than is sent with one page.
    """
    known: dict[Identity, Stored] = {(each.type, each.id): each for each in matches}
    added: list[Stored] = []
    latest: Sequence[Stored] = matches
    iterating = False
    while latest:
        found: list[Stored] = []
        for include in wanted:
            if iterating and not include.iterate:
                continue
            found += (_revinclude if include.reverse else _include)(tx, include, latest, tenant, types)
        latest = []
        for each in found:
            if (each.type, each.id) not in known:
                known[each.type, each.id] = each
                latest.append(each)
        added += latest
        if len(added) > MOST:
            text = f"at most {MOST} resources are sent along with one page; ask for smaller pages with _count"
            raise TooLarge(Issue(code="too-costly", text=text))
        iterating = True
    return added


def _include(
    tx: Connection, include: Include, sources: Sequence[Stored], tenant: int, types: tuple[str, ...]
) -> Iterable[Stored]:
    asked = include.asked
    ours = [each for each in sources if each.type == asked.type]
    leads_to = {include.only} if include.only else set(targets(asked, types))
    wanted: set[Identity] = set()
    if by_column(asked):
        wanted |= {("Patient", each.patient) for each in ours if each.patient}
    if not only_by_column(asked.type, asked.parameter):
        keys = [each.key for each in ours if each.key is not None]
        for reference in finding.references(tx, keys, asked.kept_as) if keys else ():
            type_, _, id_ = reference.partition("/")
            wanted.add((type_, id_))
    wanted = {identity for identity in wanted if identity[0] in leads_to and identity[0] in types}
    with driver.together(tx):
        answer = resources.ask_all(tx, wanted, tenant=tenant)
    return [each for each in answer().values() if not each.deleted]


def _revinclude(
    tx: Connection, include: Include, targets_: Sequence[Stored], tenant: int, types: tuple[str, ...]
) -> Iterable[Stored]:
    asked = include.asked
    leads_to = {include.only} if include.only else set(targets(asked, types))
    ours = [each for each in targets_ if each.type in leads_to]
    if not ours:
        return []
    found: list[Stored] = []
    patients = [each.id for each in ours if each.type == "Patient"]
    if by_column(asked) and patients:
        found += finding.about(tx, asked.type, patients, tenant=tenant, limit=MOST + 1)
    if not only_by_column(asked.type, asked.parameter):
        named = [each.reference for each in ours]
        found += finding.referring(tx, asked.type, asked.kept_as, named, tenant=tenant, limit=MOST + 1)
    return found
