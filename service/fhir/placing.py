"""Which stored resource each entry means: an existing one, or a new one under a lock.

Names that are not there are locked in sorted order before they are looked up, so of many
senders that create the same resource at once, one creates it and the others find it.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from service.fhir.entries import Entry
from service.fhir.refusals import Ambiguous, Issue, NotExchanged
from service.store import content, driver, resources, search_index
from service.store.resources import Current, Identity, IndexName, Name


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an entry is stored."""

    id: str
    #: None: it is created, and nobody else is creating it
    head: Current | None
    #: the id was made for it
    made: bool = False
    #: by which the same Bundle sent again finds it
    also: tuple[search_index.Value, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was found in the store."""

    heads: Mapping[Identity, Current]
    by_value: Mapping[IndexName, Sequence[Current]]

    def there(self, identity: Identity) -> Current | None:
        """Return what is there under the identity, and was not removed."""
        head = self.heads.get(identity)
        return head if head and not head.deleted else None

    def by_identifier(self, type_: str, system: str, value: str) -> Sequence[Current]:
        """Return what carries the identifier."""
        return self.by_value.get(_by_identifier(type_, system, value), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the entries are stored as, and what they refer to."""

    #: of the entries; what is not there will be created
    ids: frozenset[Identity]
    names: frozenset[IndexName]
    #: the names of entries without any identity, by their index
    anonymous: Mapping[int, IndexName]
    #: what is referred to, besides
    also_ids: frozenset[Identity]
    also_names: frozenset[IndexName]

    @property
    def patients(self) -> set[str]:
        """Return the ids of the patients that are named by id."""
        return {id_ for type_, id_ in self.ids | self.also_ids if type_ == "Patient"}

    def ask(self, tx: Connection, *, tenant: int) -> Callable[[], "Looked"]:
        """Ask for all of it, and for locks on what is to be created; the answer is for `place`."""
        locked = resources.ask_to_lock_missing(tx, self.ids, self.names, tenant=tenant)
        found = resources.ask(tx, self.ids | self.also_ids, self.names | self.also_names, tenant=tenant)
        return lambda: Looked(found=found(), locked=locked())


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found of what was wanted."""

    found: resources.Found
    #: what was not there when it was looked for first: nobody else creates it now
    locked: Set[Identity | IndexName]


def wanted(
    entries: Sequence[Entry],
    *,
    also: Collection[Identity],
    also_by_identifier: Collection[Name],
    repeatable: bool,
) -> Wanted:
    """Return what must be looked up to place the entries.

    Args:
        also: what the entries refer to by id.
        also_by_identifier: what they refer to by identifier.
        repeatable: whether the same Bundle sent again means the same resources, those
            without any identity included.
    """
    made = names_of_anonymous(entries) if repeatable else {}
    named = {(e.type, e.resource["id"]) for e in entries if e.method == "PUT" and e.resource.get("id")}
    conditions = {_by_identifier(e.type, *e.identifier) for e in entries if e.identifier}
    return Wanted(
        ids=frozenset({(e.type, e.id) for e in entries if e.id} | named),
        names=frozenset(conditions | set(made.values())),
        anonymous=made,
        also_ids=frozenset(also),
        also_names=frozenset(_by_identifier(*name) for name in also_by_identifier),
    )


def place(
    tx: Connection, entries: Sequence[Entry], wanted: Wanted, looked: Looked, *, tenant: int
) -> tuple[dict[int, Place], Known]:
    """Return the place of each entry by its index, and what else was looked up.

    Args:
        looked: the answer to what was asked by `wanted`.

    Raises:
        Ambiguous: several resources carry the identifier of a condition.
    """
    heads, by_value = looked.found
    missing_ids = wanted.ids - heads.keys() - looked.locked
    missing_names = wanted.names - by_value.keys() - looked.locked
    if missing_ids or missing_names:
        # They were there, and had lost their name a moment later.
        with driver.together(tx):
            resources.lock_identities(tx, tenant, (*missing_ids, *missing_names))
            # Whoever held a lock has committed by now, so this look finds what they made.
            again = resources.ask(tx, missing_ids, missing_names, tenant=tenant)
        made_meanwhile = again()
        heads |= made_meanwhile[0]
        by_value |= made_meanwhile[1]
    known = Known(heads=heads, by_value=by_value)
    new: dict[tuple[str, str, str], str] = {
        (e.type, *e.identifier): str(e.resource["id"])
        for e in entries
        if e.method == "PUT" and e.identifier and e.resource.get("id")
    }
    places = {}
    for entry in entries:
        if entry.id:
            head = heads.get((entry.type, entry.id))
            places[entry.index] = Place(id=entry.id, head=head)
        elif entry.identifier and entry.removes:
            places[entry.index] = _removed(entry, known.by_identifier(entry.type, *entry.identifier))
        elif entry.identifier:
            places[entry.index] = _conditional(entry, entry.identifier, known, new)
        else:
            places[entry.index] = _anonymous(wanted.anonymous.get(entry.index), by_value)
    return places, known


def names_of_anonymous(entries: Sequence[Entry]) -> dict[int, IndexName]:
    """Return a name for each POST without a condition: the Bundle's content and its own.

    The order of the entries makes no difference.
    """
    anonymous = [entry for entry in entries if entry.method == "POST" and not entry.identifier]
    if not anonymous:
        return {}
    digests = {entry.index: content.digest(entry.sent or entry.resource).hex() for entry in entries}
    requests = [f"{e.method} {e.type} {e.id} {e.identifier} {e.full_url} {digests[e.index]}" for e in entries]
    whole = content.digest({"requests": sorted(requests)}).hex()
    count: Counter[str] = Counter()
    names = {}
    for entry in anonymous:
        digest = digests[entry.index]
        count[digest] += 1
        names[entry.index] = (entry.type, search_index.ENTRY, whole, f"{digest}.{count[digest]}")
    return names


def new_id() -> str:
    """Return a version 7 UUID: they sort by time, so inserts stay at one end of the index."""
    milliseconds = time.time_ns() // 1_000_000
    number = milliseconds << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=number))


def _by_identifier(type_: str, system: str, value: str) -> IndexName:
    return type_, "identifier", system, value


def _removed(entry: Entry, found: Sequence[Current]) -> Place:
    if len(found) > 1:
        raise Ambiguous(_several(entry, len(found)))
    # What is not there need not be removed; no resource has this id.
    return Place(id=found[0].id, head=found[0]) if found else Place(id="", head=None)


def _several(entry: Entry, count: int) -> Issue:
    text = f"{count} resources match the condition; name one by its id"
    return Issue(code="multiple-matches", text=text, expression=f"Bundle.entry[{entry.index}].request")


def _conditional(
    entry: Entry, identifier: tuple[str, str], known: Known, new: dict[tuple[str, str, str], str]
) -> Place:
    found = known.by_identifier(entry.type, *identifier)
    given = entry.resource.get("id") if entry.method == "PUT" else None
    if len(found) > 1:
        raise Ambiguous(_several(entry, len(found)))
    if found:
        if given and given != found[0].id:
            text = "the resource with that identifier has another id"
            raise NotExchanged(Issue(code="invalid", text=text, expression=f"{entry.at}.id"))
        return Place(id=found[0].id, head=found[0])
    if given:
        return Place(id=given, head=known.heads.get((entry.type, given)))
    # Two entries with one condition are one resource.
    return Place(id=new.setdefault((entry.type, *identifier), new_id()), head=None, made=True)


def _anonymous(name: IndexName | None, by_entry: Mapping[IndexName, Sequence[Current]]) -> Place:
    if name is None:
        return Place(id=new_id(), head=None, made=True)
    if found := by_entry.get(name):
        return Place(id=found[0].id, head=found[0])
    _, parameter, system, value = name
    also = (search_index.Value(name=parameter, system=system, value=value),)
    return Place(id=new_id(), head=None, made=True, also=also)
