"""Storing what the hospital's server has, by the same intake as what is posted, with what is what there.

One transaction holds the lease, finds the place of each resource, stores what has changed with the promise
to look at the patient, and writes down which version here came of which there. Nothing of it is there without
the rest, so that a process may end on any line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection as Transaction

from service import log
from service.fhir import transaction
from service.fhir.refusals import OutOfDate, Refusal
from service.hospital import pauses, theirs
from service.hospital.connection import Connection
from service.hospital.pauses import Chance
from service.hospital.placing import AMBIGUOUS_PATIENT, PATIENT_TWICE, Place, Placing
from service.hospital.returning import SENDER
from service.record import FACTS
from service.store import origins, sendings, sources
from service.store.database import Database
from service.store.origins import GONE, Aside, Origin
from service.store.resources import Identity
from service.store.sources import Claim

Json = Mapping[str, Any]

#: what the requests are called in the list of what was sent
INTERACTION = "read"
#: how often it is looked anew at what somebody else changes meanwhile
ROUNDS = 4
NO_PATIENT = "no-patient"
PATIENT_UNKNOWN = "patient-unknown"
NOT_VALID = "not-valid"
REMOVED_THERE = "removed-there"
FAILED_HERE = "failed-here"
#: what depends on something else being put right is tried again by itself
BY_ITSELF = (PATIENT_UNKNOWN, AMBIGUOUS_PATIENT, PATIENT_TWICE, REMOVED_THERE)

logger = log.get()


class Changed(Exception):
    """Somebody else stores the same, again and again; nothing of ours is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reading from one server is done with."""

    database: Database
    connection: Connection
    chance: Chance
    #: told after the commit of whose evaluation is due
    wake: Callable[[str], object]
    tenant: int = 0

    @property
    def server(self) -> str:
        """Return the base of the server."""
        return self.connection.base


class Storing:
    """One look's way into the record, while it holds the lease."""

    def __init__(self, reader: Reader, claim: Claim) -> None:
        """Prepare; nothing is stored yet."""
        self._reader = reader
        self._claim = claim

    def store(self, bodies: Sequence[Json], patient: str | None, inside: Mapping[Identity, str]) -> int:
        """Store resources of one patient, or one about nobody; return how many that were.

        Args:
            bodies: as `Taking` prepares them, with the number of the server's version.
            patient: the id here.
            inside: how they refer to one another.

        Raises:
            Refusal, NotPlaced, Changed: nothing is stored.
            LeaseLost: another process reads.
        """
        # At the gate first: nothing is looked up by what is not even valid.
        transaction.read(
            _bundle([_entry(b, Place(id=str(b["id"]), current=None, linked=False), inside) for b in bodies])
        )
        for _ in range(ROUNDS):
            try:
                accepted, count = self._reader.database.run(
                    lambda tx: self._write(tx, bodies, patient, inside)
                )
            except (Changed, OutOfDate):
                continue
            if accepted:
                self._wake(accepted)
            return count
        raise Changed

    def _write(
        self, tx: Transaction, bodies: Sequence[Json], patient: str | None, inside: Mapping[Identity, str]
    ) -> tuple[transaction.Accepted | None, int]:
        sources.hold(tx, self._claim)
        tenant, server = self._reader.tenant, self._reader.server
        placing = Placing(tx, bodies, patient, tenant=tenant, server=server)
        to_write: list[tuple[Json, Place]] = []
        for body in bodies:
            place = placing.of(body)
            same = None
            if place.current is not None and not place.linked:
                same = placing.same_version(body, place.current)
            if same is not None:
                self._took(tx, _origin(body, same.id, same.version))
                continue
            if (moved := placing.moved(body)) is not None:
                # It was another patient's: a Bundle is about one, so it is withdrawn by itself.
                self._removed(tx, moved)
            to_write.append((body, place))
        if not to_write:
            return None, len(bodies)
        accepted = self._stored(tx, [_entry(body, place, inside) for body, place in to_write])
        for (body, place), head in zip(to_write, accepted.stored, strict=True):
            if place.is_new and head.version != 1:
                raise Changed
            self._took(tx, _origin(body, head.id, head.version))
        return accepted, len(bodies)

    def _took(self, tx: Transaction, origin: Origin) -> None:
        if not origins.took(tx, origin, tenant=self._reader.tenant, server=self._reader.server):
            raise Changed

    def _stored(self, tx: Transaction, entries: Sequence[Json]) -> transaction.Accepted:
        """Store a Bundle as if it had been posted, and write down that it came."""
        accepted = transaction.store(
            tx,
            transaction.read(_bundle(entries)),
            tenant=self._reader.tenant,
            sender=SENDER,
            base="",
            repeatable=False,
        )
        self._write_down(tx, accepted, len(entries))
        return accepted

    def _removed(self, tx: Transaction, origin: Origin) -> transaction.Accepted:
        return self._stored(tx, [{"request": {"method": "DELETE", "url": f"{origin.type}/{origin.id}"}}])

    def _write_down(self, tx: Transaction, accepted: transaction.Accepted, entries: int) -> None:
        sendings.add(
            tx,
            tenant=self._reader.tenant,
            sender=SENDER,
            interaction=INTERACTION,
            status=200,
            entries=entries,
            patients=accepted.patients,
            stored=accepted.versions,
        )

    def _wake(self, accepted: transaction.Accepted) -> None:
        due = accepted.due
        if accepted.patient and due and not due.settles:
            self._reader.wake(accepted.patient)

    def withdraw(self, origin: Origin) -> None:
        """Remove what the server has removed: what was decided on it is tested again.

        A person, and who has said something, stays here; it is only known to be there no more.

        Raises:
            LeaseLost: another process reads.
        """
        stamp = f"{GONE}-{origin.stamp}"

        def remove(tx: Transaction) -> transaction.Accepted | None:
            sources.hold(tx, self._claim)
            accepted = self._removed(tx, origin) if origin.type in FACTS else None
            version = accepted.stored[0].version if accepted and accepted.stored else origin.version
            gone = replace(origin, stamp=stamp, their_version=None, their_time=None, version=version)
            origins.took(tx, gone, tenant=self._reader.tenant, server=self._reader.server)
            return accepted

        try:
            if accepted := self._reader.database.run(remove):
                self._wake(accepted)
        except Refusal as refused:
            self.set_aside(origin.theirs, stamp, REMOVED_THERE, places(refused))

    def postpone(self, aside: Aside) -> None:
        """Have what is set aside tried later, because the server did not say what it is now.

        Raises:
            LeaseLost: another process reads.
        """
        with self._reader.database.transaction() as tx:
            sources.hold(tx, self._claim)
            origins.set_aside(
                tx,
                aside.theirs,
                aside.stamp,
                reason=aside.reason,
                said=aside.said,
                pause_s=pauses.again(aside.attempts + 1, self._reader.chance),
                tenant=self._reader.tenant,
                server=self._reader.server,
            )

    def set_aside(self, identity: Identity | None, stamp: str, reason: str, said: str) -> None:
        """Note that it could not be taken in; what depends on a person being known is tried again."""
        if identity is None:
            return
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            sources.hold(tx, self._claim)
            before = origins.aside(tx, [identity], tenant=tenant, server=server).get(identity)
            attempts = before.attempts + 1 if before and before.stamp == stamp else 1
            origins.set_aside(
                tx,
                identity,
                stamp,
                reason=reason,
                said=said,
                pause_s=pauses.again(attempts, self._reader.chance) if reason in BY_ITSELF else None,
                tenant=tenant,
                server=server,
            )
            if attempts == 1:
                sendings.add(
                    tx,
                    tenant=tenant,
                    sender=SENDER,
                    interaction=INTERACTION,
                    status=422,
                    entries=1,
                    refused=1,
                )
        logger.warning("set_aside", resource="/".join(identity), reason=reason, elements=said)


def _bundle(entries: Sequence[Json]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def _entry(body: Json, place: Place, inside: Mapping[Identity, str]) -> dict[str, Any]:
    """Return the entry that stores one of the server's resources where it belongs."""
    type_ = str(body["resourceType"])
    identity = theirs.identity(body)
    assert identity is not None
    meta = {n: v for n, v in body["meta"].items() if n not in ("versionId", "lastUpdated")}
    resource = {**body, "meta": meta}
    if place.id is None:
        del resource["id"]
        return {
            "fullUrl": inside[identity],
            "resource": resource,
            "request": {"method": "POST", "url": type_},
        }
    resource["id"] = place.id
    if place.also:
        # Other senders may know somebody by one that the server lacks.
        given = body.get("identifier")
        resource["identifier"] = [*(given if isinstance(given, list) else ()), *place.also]
    request = {"method": "PUT", "url": f"{type_}/{place.id}"}
    if place.current is not None:
        request["ifMatch"] = f'W/"{place.current.version}"'
    return {"fullUrl": inside[identity], "resource": resource, "request": request}


def _origin(body: Json, id: str, version: int) -> Origin:
    identity = theirs.identity(body)
    assert identity is not None
    return Origin(
        type=identity[0],
        their_id=identity[1],
        stamp=theirs.stamp(body),
        their_version=theirs.version(body),
        their_time=theirs.time(body),
        id=id,
        version=version,
    )


def places(refused: Refusal) -> str:
    """Return the elements that were refused."""
    places = {(issue.expression or "-").rpartition("resource.")[2] for issue in refused.issues}
    return ", ".join(sorted(places)[:8])
