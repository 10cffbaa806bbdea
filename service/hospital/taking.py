"""Taking in what the hospital's server has, by the same intake as what is posted.

    what was taken in before, and what is ours  ->  nothing to do
    the rest, patient by patient                ->  whom it is about, and whom it names: known, or fetched
                                                ->  one transaction: record, promise, and what is what there
    what cannot be taken in                     ->  set aside, with the elements named; the others go on

A reference to something that is not kept here leads to the server. The same version is taken in once,
whichever way it comes, and what says the same as something that was posted is that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from service import log
from service.fhir import references
from service.fhir.refusals import Refusal
from service.hospital import theirs, wanted
from service.hospital.answers import Answer, Kind
from service.hospital.placing import NotPlaced
from service.hospital.storing import (
    FAILED_HERE,
    NO_PATIENT,
    NOT_VALID,
    PATIENT_UNKNOWN,
    Changed,
    Reader,
    Storing,
    places,
)
from service.hospital.theirs import ByIdentifier, Subject
from service.store import joinings, origins, resources, sources
from service.store.origins import Origin
from service.store.resources import Identity
from service.store.sources import Claim, LeaseLost

Json = Mapping[str, Any]

#: of what is referred to, that which is fetched when it is not known; Observations as results of a report
FETCHED = ("Patient", "Practitioner", "PractitionerRole", "Organization", "BodyStructure")
RESULTS = ("DiagnosticReport", "result")
#: how far references are followed: a report, its result, who made that, where they work
DEPTH = 4
#: what was not there is not asked for again sooner
ABSENT_S = 600.0
#: what a server may say of one resource that it fails at, while it answers everything else
ODD = (Kind.NOT_FHIR, Kind.TOO_LONG, Kind.FAILED_INSIDE, Kind.SERVER_ERROR)
#: an id that nobody need have
NOBODY = "0"

logger = log.get()


class Stopped(Exception):
    """The server answers badly: what was not taken in yet is tried later."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.kind.value)
        self.answer = answer


class Taking:
    """Finds out what is new, whom it is about and whom it names, and has it stored."""

    def __init__(
        self,
        reader: Reader,
        claim: Claim,
        renew: Callable[[], None],
        absent: dict[Identity, float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            renew: called before each question; raises `LeaseLost` where another process reads.
            absent: what the server did not have, and until when it is not asked for; kept between looks.
            monotonic: seconds from any moment on.
        """
        self._reader = reader
        self._claim = claim
        #: stores, and removes what the server has removed
        self.storing = Storing(reader, claim)
        self._renew = renew
        self._absent = absent
        self._monotonic = monotonic
        #: of the server's resources, how they are referred to here
        self._known: dict[Identity, str] = {}
        #: by the id here of a Patient, whose record holds what is about them
        self._kept_for: dict[str, str] = {}

    def take(self, found: Sequence[Json], *, due_before: datetime | None = None, again: bool = False) -> int:
        """Take in what is new, and return how many resources that were.

        Args:
            due_before: what the server stored earlier should have been announced by a call.
            again: also what was set aside in this version.

        Raises:
            Stopped: the server answers badly; what was taken in until then is.
            LeaseLost: another process reads.
        """
        self._known, self._kept_for = {}, {}
        fresh = self.fresh(found, again=again)
        by_subject: dict[Subject, list[Json]] = {}
        for body in fresh:
            by_subject.setdefault(self._subject(body), []).append(body)
        self._remember(fresh)
        taken = sum(self._take_safely(subject, bodies) for subject, bodies in by_subject.items())
        if taken:
            late = [b for b in fresh if due_before and (at := theirs.time(b)) and at < due_before]
            with self._reader.database.transaction() as tx:
                sources.found(tx, self._claim, missed=len(late))
        return taken

    def known_people(self, found: Sequence[Json]) -> list[Json]:
        """Return those of some Patients who were taken in, or have an identifier of somebody here."""
        names = {i for body in found if (i := theirs.identity(body))}
        values = {
            ("Patient", "identifier", system, value)
            for body in found
            for system, value in theirs.identifiers(body)
        }
        with self._reader.database.transaction() as tx:
            links = origins.latest(tx, sorted(names), tenant=self._reader.tenant, server=self._reader.server)
            heads, by_value = resources.find(tx, names, values, tenant=self._reader.tenant)
        return [
            body
            for body in found
            if (identity := theirs.identity(body))
            and (
                identity in links
                or identity in heads
                or any(("Patient", "identifier", s, v) in by_value for s, v in theirs.identifiers(body))
            )
        ]

    def fresh(self, found: Sequence[Json], *, again: bool = False) -> list[Json]:
        """Return what is neither ours nor taken in before, each resource once."""
        by_identity = {i: body for body in found if (i := theirs.identity(body))}
        named = sorted(by_identity)
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            links = origins.latest(tx, named, tenant=tenant, server=server)
            aside = {} if again else origins.aside(tx, named, tenant=tenant, server=server)
            heads, _ = resources.find(tx, named, (), tenant=tenant)
        return [
            body
            for identity, body in by_identity.items()
            # What we delivered comes back under our ids; `returning` looks at what became of it.
            if not (identity not in links and (head := heads.get(identity)) and head.owned)
            and not _is_known(links.get(identity), body)
            and not ((held := aside.get(identity)) and held.stamp == theirs.stamp(body))
        ]

    def _remember(self, bodies: Sequence[Json]) -> None:
        """Look up at once what the bodies point to and is known."""
        named = {
            identity
            for body in bodies
            for found in references.literal(body)
            if (identity := theirs.pointed(found.target, self._reader.server))
        }
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            links = origins.latest(tx, sorted(named), tenant=tenant, server=server)
            heads, _ = resources.find(tx, named, (), tenant=tenant)
        self._known |= {i: f"{i[0]}/{i[1]}" for i, head in heads.items() if head.owned}
        self._known |= {i: f"{link.type}/{link.id}" for i, link in links.items()}

    def _subject(self, body: Json) -> Subject:
        return theirs.subject(body, self._reader.server)

    def _take_safely(self, subject: Subject, bodies: Sequence[Json]) -> int:
        """Take in what is about one patient; what we ourselves fail at is set aside, and others go on."""
        try:
            return self._take_of(subject, bodies, DEPTH)
        except (Stopped, LeaseLost, DBAPIError, psycopg.Error, NoConnection):
            raise
        except Exception as error:
            if len(bodies) > 1:
                return sum(self._take_safely(subject, [body]) for body in bodies)
            (body,) = bodies
            logger.exception("taking_failed_here")
            said = type(error).__name__
            self.storing.set_aside(theirs.identity(body), theirs.stamp(body), FAILED_HERE, said)
            return 0

    def _take_of(self, subject: Subject, bodies: Sequence[Json], depth: int) -> int:
        """Take in what is about one patient, or about nobody; return how many resources that were."""
        about_somebody = [body for body in bodies if theirs.of_patients(body["resourceType"])]
        if not about_somebody:
            return sum(self._store([body], None, depth) for body in bodies)
        patient = self._patient(subject, depth)
        if patient is None:
            reason = NO_PATIENT if subject is None else PATIENT_UNKNOWN
            for body in bodies:
                self.storing.set_aside(theirs.identity(body), theirs.stamp(body), reason, "")
            return 0
        return self._store(bodies, patient, depth)

    def _patient(self, subject: Subject, depth: int) -> str | None:
        """Return the id here of whom something is about; None: there is nobody who could be meant."""
        if isinstance(subject, ByIdentifier):
            return self._person_with(subject, depth)
        reference = self._ensure(subject, depth) if subject else None
        return self._stays(reference.partition("/")[2]) if reference else None

    def _stays(self, patient: str) -> str:
        """Return the Patient who was joined with this one and stays: the hospital need not know of it."""
        if patient not in self._kept_for:
            with self._reader.database.transaction() as tx:
                self._kept_for[patient] = joinings.last(tx, patient, tenant=self._reader.tenant)
        return self._kept_for[patient]

    def _person_with(self, named: ByIdentifier, depth: int) -> str | None:
        with self._reader.database.transaction() as tx:
            name = ("Patient", named.system, named.value)
            heads = resources.by_identifier(tx, [name], tenant=self._reader.tenant).get(name, [])
            found = [resources.current(tx, "Patient", head.id, tenant=self._reader.tenant) for head in heads]
        # What was somebody's once may be somebody else's now.
        here = {
            self._stays(one.id)
            for one in found
            if one and not one.deleted and named in theirs.identifiers(one.resource)
        }
        if here:
            return here.pop() if len(here) == 1 else None
        self._renew()
        token = wanted.token(named)
        answer = self._reader.connection.search("Patient", {"identifier": token, "_count": "10"})
        if not answer.taken:
            if answer.kind is Kind.REFUSED or self._concerns_one(answer, "Patient"):
                return None
            raise Stopped(answer)
        there = [
            body
            for body in theirs.resources(answer.body)
            if body.get("resourceType") == "Patient" and tuple(named) in theirs.identifiers(body)
        ]
        if len(there) != 1:
            return None
        self._store(there, None, depth - 1)
        reference = self._link(theirs.identity(there[0]))
        return self._stays(reference.partition("/")[2]) if reference else None

    def _ensure(self, identity: Identity, depth: int, *, also: Sequence[str] = ()) -> str | None:
        """Return how a resource of the server's is referred to here; it is fetched where it is not known.

        Args:
            also: further types that are fetched.
        """
        if identity in self._known:
            return self._known[identity]
        if identity[0] not in (*FETCHED, *also) or depth <= 0:
            return None
        reference = self._link(identity)
        if reference is None and self._absent.get(identity, float("-inf")) <= self._monotonic():
            reference = self._fetch(identity, depth)
        if reference is not None:
            self._known[identity] = reference
        return reference

    def _fetch(self, identity: Identity, depth: int) -> str | None:
        self._renew()
        answer = self._reader.connection.read(*identity)
        if answer.taken:
            body = answer.body
            subject = self._subject(body) if theirs.of_patients(identity[0]) else None
            self._take_of(subject, [body], depth - 1)
            return self._link(identity)
        if answer.kind not in (Kind.GONE, Kind.MIXED_UP) and not self._concerns_one(answer, identity[0]):
            raise Stopped(answer)
        self._absent[identity] = self._monotonic() + ABSENT_S
        return None

    def _concerns_one(self, answer: Answer, type_: str) -> bool:
        """Return whether a bad answer says nothing of the server: one resource keeps no other away."""
        if answer.kind is Kind.FORBIDDEN or (answer.kind is Kind.NOT_FOUND and answer.fhir):
            return True
        if answer.kind not in ODD:
            return False
        self._renew()
        return self._reader.connection.search(type_, {"_id": NOBODY, "_elements": "id"}).taken

    def _link(self, identity: Identity | None) -> str | None:
        if identity is None:
            return None
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            link = origins.latest(tx, [identity], tenant=tenant, server=server).get(identity)
            there = resources.current(tx, link.type, link.id, tenant=tenant) if link else None
        return there.reference if there and not there.deleted else None

    def _store(self, bodies: Sequence[Json], patient: str | None, depth: int) -> int:
        """Take in some resources together, or one by one where one of them is refused."""
        inside = {i: f"urn:uuid:{uuid4()}" for body in bodies if (i := theirs.identity(body))}
        prepared = [self._prepared(body, inside, depth) for body in bodies]
        try:
            return self.storing.store(prepared, patient, inside)
        except Changed:
            raise Stopped(Answer(kind=Kind.CONFLICT)) from None
        except (Refusal, NotPlaced) as refused:
            if len(bodies) > 1:
                return sum(self._store([body], patient, depth) for body in bodies)
            (body,) = bodies
            reason = refused.reason if isinstance(refused, NotPlaced) else NOT_VALID
            said = places(refused) if isinstance(refused, Refusal) else ""
            self.storing.set_aside(theirs.identity(body), theirs.stamp(body), reason, said)
            return 0

    def _prepared(self, body: Json, inside: Mapping[Identity, str], depth: int) -> dict[str, Any]:
        """Return a resource with the references that it will have here, and where it is from."""
        server = self._reader.server
        found = references.literal(body)
        targets: dict[str, str] = {}
        for reference in found:
            identity = theirs.pointed(reference.target, server)
            if identity is None:
                continue
            results = ("Observation",) if (body["resourceType"], reference.element) == RESULTS else ()
            here = inside.get(identity) or self._ensure(identity, depth, also=results)
            # Between two Patients a link says which is which.
            if here and identity[0] == "Patient" and body["resourceType"] != "Patient":
                here = f"Patient/{self._stays(here.partition('/')[2])}"
            targets[reference.target] = here or f"{server}/{identity[0]}/{identity[1]}"
        meta = body.get("meta") if isinstance(body.get("meta"), Mapping) else {}
        assert isinstance(meta, Mapping)
        kept = {n: v for n, v in meta.items() if n not in ("versionId", "lastUpdated", "source")}
        source = f"{server}/{body['resourceType']}/{body['id']}"
        # The number of the server's version is kept for `Storing`, which takes it away again.
        own = {n: meta[n] for n in ("versionId", "lastUpdated") if n in meta}
        return {**references.replaced(body, found, targets), "meta": {**kept, **own, "source": source}}


def _is_known(link: Origin | None, body: Json) -> bool:
    """Return whether this version was taken in, or one that the server made later."""
    if link is None:
        return False
    stored = theirs.time(body)
    if stored and link.their_time and stored > link.their_time:
        # A server that was restored gives the same numbers again, with later times.
        return False
    if link.stamp == theirs.stamp(body):
        return True
    # A search may lag behind a read. Of what is not later only numbers tell: clocks are set back.
    before, now = link.their_version, theirs.version(body)
    return bool(before and now and before.isdigit() and now.isdigit() and int(now) < int(before))
