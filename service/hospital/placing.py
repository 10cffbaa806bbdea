"""Which resource here is which of the hospital's server: by what is known of it, its identifiers, or its id.

    taken in before            the resource that it became then
    has an identifier of ours  that one, if nothing speaks against it
    has the id of a resource   that one, if the hospital gave it that id and it is about the same patient;
                               a Patient only if it says itself that it is from that server
    none of these              a new one; with the server's id where that is free, else with one of ours

A person is never recognised by name or birth date, and never guessed: who matches two, or contradicts, is
set aside until somebody has looked.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.fhir import translation
from service.hospital import comparing, theirs
from service.store import driver, origins, resources
from service.store.origins import Origin
from service.store.resources import IndexName, Stored

Json = Mapping[str, Any]

AMBIGUOUS_PATIENT = "patient-ambiguous"
PATIENT_TWICE = "patient-twice"
AMBIGUOUS = "ambiguous"


class NotPlaced(Exception):
    """It cannot be told which resource here is meant."""

    def __init__(self, resource: Json, reason: str) -> None:
        super().__init__(reason)
        self.resource = resource
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one of the server's resources belongs."""

    #: None: it gets an id of ours
    id: str | None
    #: what is there; None: nothing
    current: Stored | None
    #: it was taken in before
    linked: bool
    #: of a Patient, the identifiers that others have given it and the server does not know
    also: tuple[Json, ...] = ()

    @property
    def is_new(self) -> bool:
        """Return whether nothing is there yet."""
        return self.current is None


class Placing:
    """What was looked up of some resources of one patient, or of nobody."""

    def __init__(
        self, tx: Connection, found: Sequence[Json], patient: str | None, *, tenant: int, server: str
    ) -> None:
        """Look everything up.

        Args:
            found: with their references as they will stand here.
            patient: the id here; of a Patient and of what is about nobody, None.
        """
        self._tx = tx
        self._patient = patient
        self._tenant = tenant
        self._server = server
        named = [identity for body in found if (identity := theirs.identity(body))]
        self._links = origins.latest(tx, named, tenant=tenant, server=server)
        names: set[IndexName] = {
            (str(body["resourceType"]), "identifier", system, value)
            for body in found
            for system, value in theirs.identifiers(body)
        }
        ours = {*named, *((link.type, link.id) for link in self._links.values())}
        _, self._by_name = resources.find(tx, (), names, tenant=tenant)
        also = {head.identity for carrying in self._by_name.values() for head in carrying}
        with driver.together(tx):
            asked = resources.ask_all(tx, ours | also, tenant=tenant)
        self._stored = asked()
        self._elsewhere = origins.of_ours(tx, sorted(ours | also), tenant=tenant, server=server)
        first = resources.versions(tx, [(t, i, 1) for t, i in self._stored], tenant=tenant)
        self._made_here = {(one.type, one.id) for one in first.values() if one.posted}

    def of(self, body: Json) -> Place:
        """Return the place of one of them.

        Raises:
            NotPlaced: it may be one of several, or contradicts what it seems to be.
        """
        type_, id_ = theirs.identity(body) or ("", "")
        link = self._links.get((type_, id_))
        if link is not None:
            there = self._stored.get((type_, link.id))
            if there is None or type_ == "Patient" or there.patient == self._patient:
                return Place(id=link.id, current=there, linked=True, also=self._also(there, body))
            # What was another patient's is withdrawn there, and becomes a new one here.
            return Place(id=None, current=None, linked=True)
        known = self._by_identifier(body) or self._by_id(body)
        if known is not None:
            return Place(id=known.id, current=known, linked=False, also=self._also(known, body))
        taken = (type_, id_) in self._stored
        return Place(id=None if taken else id_, current=None, linked=False)

    def moved(self, body: Json) -> Origin | None:
        """Return what a resource became here, if that is about another patient than it says now."""
        link = self._links.get(theirs.identity(body) or ("", ""))
        there = self._stored.get((link.type, link.id)) if link else None
        if there is None or there.deleted or there.type == "Patient" or there.patient == self._patient:
            return None
        return link

    def same_version(self, body: Json, current: Stored) -> Stored | None:
        """Return the version here that says what the server's does, if one does, the newest first."""
        return next(
            (stored for stored in self._versions(current) if not stored.deleted and self._same(stored, body)),
            None,
        )

    def _same(self, stored: Stored, body: Json) -> bool:
        # What our ConceptMaps added is no word of the sender's.
        plain = translation.applied(stored.resource, {})
        bare = {name: value for name, value in body.items() if name != "id"}
        ours = {name: value for name, value in plain.items() if name != "id"}
        return not comparing.difference(ours, bare, base=self._server, meant={})

    def _also(self, there: Stored | None, body: Json) -> tuple[Json, ...]:
        """Return what other senders know a person by; what only the server has said, it may take back."""
        if there is None or there.type != "Patient":
            return ()
        of_others = {
            one
            for stored in self._versions(there)
            if not stored.deleted and not self._is_of_server(stored)
            for one in theirs.identifiers(stored.resource)
        }
        systems = theirs.identifier_systems(body)
        return tuple(
            one
            for one in there.resource.get("identifier") or ()
            if of_others.intersection(theirs.identifiers({"identifier": [one]}))
            and one["system"] not in systems
        )

    def _versions(self, there: Stored) -> list[Stored]:
        return resources.history(self._tx, there.type, there.id, tenant=self._tenant)

    def _is_of_server(self, stored: Stored) -> bool:
        source = (stored.resource.get("meta") or {}).get("source")
        return isinstance(source, str) and source.startswith(f"{self._server}/")

    def _by_identifier(self, body: Json) -> Stored | None:
        type_ = str(body["resourceType"])
        candidates = self._carrying(type_, theirs.identifiers(body))
        if type_ == "Patient":
            return self._person(body, candidates)
        # Several results of one sample may share a number, so an identifier alone is not enough.
        same = [
            stored
            for stored in candidates
            if stored.patient == self._patient
            and (stored.type, stored.id) not in self._elsewhere
            and _alike(stored.resource, body)
        ]
        if len(same) > 1:
            same = [stored for stored in same if self._same(stored, body)]
            if len(same) != 1:
                raise NotPlaced(body, AMBIGUOUS)
        return same[0] if same else None

    def _person(self, body: Json, candidates: Collection[Stored]) -> Stored | None:
        if len(candidates) > 1:
            raise NotPlaced(body, AMBIGUOUS_PATIENT)
        for stored in candidates:
            if (stored.type, stored.id) in self._elsewhere:
                # There are two of the person there; both would be written into one here by turns.
                raise NotPlaced(body, PATIENT_TWICE)
            if _contradict(theirs.identifiers(stored.resource), theirs.identifiers(body)):
                raise NotPlaced(body, AMBIGUOUS_PATIENT)
            return stored
        return None

    def _by_id(self, body: Json) -> Stored | None:
        identity = theirs.identity(body)
        stored = self._stored.get(identity) if identity else None
        if stored is None or stored.owned or identity in self._made_here or identity in self._elsewhere:
            return None
        if stored.type != "Patient":
            return stored if stored.patient == self._patient and _alike(stored.resource, body) else None
        ours, given = theirs.identifiers(stored.resource), theirs.identifiers(body)
        # By none of its identifiers is it this person; and the id of another system's says nothing.
        if (ours and given) or not any(map(self._is_of_server, self._versions(stored))):
            raise NotPlaced(body, AMBIGUOUS_PATIENT)
        return stored

    def _carrying(self, type_: str, names: Iterable[tuple[str, str]]) -> list[Stored]:
        given = set(names)
        found = {
            head.identity
            for system, value in given
            for head in self._by_name.get((type_, "identifier", system, value), ())
            if not head.deleted and not head.owned
        }
        stored = [self._stored[identity] for identity in sorted(found) if identity in self._stored]
        return [one for one in stored if given.intersection(theirs.identifiers(one.resource))]


def _alike(ours: Json, body: Json) -> bool:
    """Return whether two are of one code, where they have codes."""
    mine, given = theirs.codes(ours), theirs.codes(body)
    return bool(mine & given) or not (mine or given)


def _contradict(ours: Sequence[tuple[str, str]], given: Sequence[tuple[str, str]]) -> bool:
    """Return whether two people have different numbers of one kind."""
    kinds = {system for system, _ in ours} & {system for system, _ in given}
    of_kind = (
        ({v for s, v in ours if s == system}, {v for s, v in given if s == system}) for system in kinds
    )
    return any(not mine & other for mine, other in of_kind)
