"""What the hospital made of what was delivered: it is compared, and its changes come back by the intake.

    theirs is one of our versions          that version is acknowledged; an older one that arrived late, too,
                                           and ours is sent over it
    they changed what a hospital may       the change is stored here, as if it had been posted
    they changed anything else, or both    nobody's version is written over: the elements are named,
    sides changed the same                 and a person looks

What a hospital may change is said in one place, `service.fhir.ownership`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles import reading
from service import log
from service.fhir import ownership, transaction
from service.fhir.refusals import OutOfDate, Refusal
from service.hospital import comparing, outgoing
from service.hospital.answers import Answer, Kind
from service.hospital.connection import Connection
from service.store import deliveries, ledger, resources
from service.store.database import Database
from service.store.resources import Identity, Stored

Json = Mapping[str, Any]

#: who sent a version that came back
SENDER = "hospital-server"
#: of these the hospital tells how far they have come
TYPES = ("ServiceRequest", "Task")
#: after these nothing is expected any more
ENDED = ("completed", "cancelled", "revoked", "rejected", "failed", "entered-in-error")
#: how many are looked for at once
TOGETHER = 40
#: before every identity
START: Identity = ("", "")

logger = log.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """One resource as it is here, as it was when both sides last agreed, and as it is there."""

    current: Stored
    ours: Json
    #: None: they never agreed
    agreed: tuple[int, Json] | None
    theirs: Json
    their_version: str | None
    meant: comparing.Meant


class Returning:
    """Looks at one server's copies of what was delivered."""

    def __init__(self, database: Database, connection: Connection, *, tenant: int = 0) -> None:
        """Prepare; nothing is asked yet."""
        self._database = database
        self._connection = connection
        self._tenant = tenant

    @property
    def _server(self) -> str:
        return self._connection.base

    def ask(self, after: Identity = START) -> tuple[Answer, Identity | None]:
        """Ask what became of some of the open orders and Tasks: as many as one question may name.

        Args:
            after: the last that was asked for; what follows it is asked for now.

        Returns:
            The first answer that was no good, if any, and the last that was asked for; None: no more follow.
        """
        with self._database.transaction() as tx:
            found = ledger.open_work(
                tx,
                tenant=self._tenant,
                server=self._server,
                types=TYPES,
                ended=ENDED,
                after=after,
                limit=TOGETHER,
            )
        if not found:
            return Answer(kind=Kind.TAKEN), None
        # A question is about one type.
        type_ = next(iter(found))[0]
        known = {id: version for (of, id), version in found.items() if of == type_}
        more = len(known) < len(found) or len(found) == TOGETHER
        return self._ask_for(type_, known), (type_, next(reversed(known))) if more else None

    def look(self, identity: Identity, versions: Collection[int] = ()) -> Answer:
        """Read the server's copy and settle what it means. Returns what stands in the way, else `TAKEN`.

        Args:
            versions: of ours that were sent and may have arrived.
        """
        read = self._connection.read(*identity)
        if read.kind is Kind.NOT_FOUND and read.fhir:
            with self._database.transaction() as tx:
                ledger.forget(tx, self._tenant, self._server, identity)
            return Answer(kind=Kind.TAKEN, status=read.status, skew_s=read.skew_s)
        if not read.taken:
            return Answer(
                kind=read.kind,
                status=read.status,
                said="/".join(identity) if read.fhir or read.kind is Kind.MIXED_UP else read.said,
                wait_s=read.wait_s,
                skew_s=read.skew_s,
            )
        return self._compare(identity, read.body, versions)

    def _ask_for(self, type_: str, known: Mapping[str, str | None]) -> Answer:
        """Ask for some of one type, by id.

        Args:
            known: the server's version that we know of each.
        """
        found = self._connection.search(type_, {"_id": ",".join(known), "_count": str(len(known))})
        if not found.taken:
            return found
        answer = Answer(kind=Kind.TAKEN, status=found.status, skew_s=found.skew_s)
        missing = dict(known)
        for theirs in _resources(found.body):
            id = str(theirs.get("id"))
            if theirs.get("resourceType") == "OperationOutcome":
                continue
            if theirs.get("resourceType") != type_ or id not in known:
                answer = Answer(kind=Kind.MIXED_UP, status=found.status, said=type_)
                continue
            missing.pop(id, None)
            if _version(theirs) is None or _version(theirs) != known[id]:
                got = self._compare((type_, id), theirs, ())
                answer = answer if not answer.taken else got
        for id in missing:
            got = self.look((type_, id))
            answer = answer if not answer.taken else got
        return answer

    def _compare(self, identity: Identity, theirs: Json, versions: Collection[int]) -> Answer:
        sides = self._sides(identity, theirs, versions)
        if sides is None:
            # Erased here meanwhile: there is nothing that its answer could be about.
            return Answer(kind=Kind.TAKEN)
        named = "/".join(identity)
        meant = sides.meant
        if comparing.about_another(sides.ours, theirs, base=self._server, meant=meant):
            return Answer(kind=Kind.MIXED_UP, said=named)
        if sides.agreed is not None and not self._differing(sides.agreed[1], theirs, meant):
            self._acknowledge(identity, sides.agreed[0], sides.their_version)
            return Answer(kind=Kind.TAKEN)
        before = sides.agreed[1] if sides.agreed else sides.ours
        changed = self._differing(before, theirs, meant)
        beyond = changed - set(ownership.may_change(sides.current.resource))
        both = {
            name
            for name in changed & self._differing(before, sides.ours, meant)
            if name != "lastModified" and name in self._differing(sides.ours, theirs, meant)
        }
        if beyond or both:
            return Answer(kind=Kind.DIFFERENT, said=f"{named}: {', '.join(sorted(beyond | both))}")
        return self._take(identity, sides, changed)

    def _sides(self, identity: Identity, theirs: Json, versions: Collection[int]) -> _Sides | None:
        """Return the three, where one of our versions that is the same as theirs is what was agreed."""
        type_, id = identity
        with self._database.transaction("REPEATABLE READ") as tx:
            current = resources.current(tx, type_, id, tenant=self._tenant)
            if current is None:
                return None
            known = ledger.acknowledged(tx, [identity], tenant=self._tenant, server=self._server)
            last = known[identity][0] if identity in known else None
            late = ledger.adrift(tx, current, tenant=self._tenant, server=self._server)
            asked = {current.version, *versions, *late, *([last] if last is not None else [])}
            stored = resources.versions(tx, [(type_, id, v) for v in asked], tenant=self._tenant)
            numbers = sorted(version for _, _, version in stored)
            written = [stored[type_, id, v].resource for v in numbers]
            bodies = outgoing.prepared(tx, written, tenant=self._tenant, server=self._server)
            meant = outgoing.meant(tx, written, tenant=self._tenant, server=self._server)
        ours = dict(zip(numbers, bodies, strict=True))
        same = next((v for v in reversed(numbers) if not self._differing(ours[v], theirs, meant)), None)
        agreed = same if same is not None else last if last in ours else max(versions, default=None)
        return _Sides(
            current=current,
            ours=ours[current.version],
            agreed=(agreed, ours[agreed]) if agreed in ours else None,
            theirs=theirs,
            their_version=_version(theirs),
            meant=meant,
        )

    def _take(self, identity: Identity, sides: _Sides, changed: Collection[str]) -> Answer:
        """Store what the hospital changed, and note how far the two sides agree now."""
        body = {name: value for name, value in sides.current.resource.items() if name not in changed}
        body |= {name: sides.theirs[name] for name in sorted(changed) if name in sides.theirs}
        request = {
            "method": "PUT",
            "url": "/".join(identity),
            "ifMatch": f'W/"{sides.current.version}"',
        }
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": body, "request": request}],
        }
        try:
            sent = reading.read(reading.write(bundle))
            transaction.accept(self._database, sent, tenant=self._tenant, sender=SENDER)
        except OutOfDate:
            return Answer(kind=Kind.CONFLICT, said="/".join(identity))
        except Refusal as refused:
            places = sorted(
                {(issue.expression or "-").rpartition("resource.")[2] for issue in refused.issues}
            )
            return Answer(kind=Kind.NOT_TAKEN_BACK, said=f"{'/'.join(identity)}: {', '.join(places)}")
        logger.info("order_came_back", resource="/".join(identity), elements=sorted(changed))
        after = self._sides(identity, sides.theirs, ())
        if after is None:
            return Answer(kind=Kind.TAKEN)
        if not self._differing(after.ours, sides.theirs, after.meant):
            self._acknowledge(identity, after.current.version, sides.their_version)
        elif sides.agreed is not None:
            # What we changed besides is still to be sent, over the version that we know now.
            self._acknowledge(identity, sides.agreed[0], sides.their_version)
        return Answer(kind=Kind.TAKEN)

    def _acknowledge(self, identity: Identity, version: int, their_version: str | None) -> None:
        with self._database.transaction() as tx:
            ledger.acknowledge(tx, self._tenant, self._server, identity, version, their_version)
            ledger.found(tx, identity, version, tenant=self._tenant, server=self._server)
            current = resources.current(tx, *identity, tenant=self._tenant)
            if current is not None and current.version != version and current.patient is not None:
                deliveries.note(tx, current.patient, tenant=self._tenant, server=self._server)

    def _differing(self, one: Json, other: Json, meant: comparing.Meant) -> frozenset[str]:
        return comparing.difference(one, other, base=self._server, meant=meant)


def _resources(searchset: Json) -> Sequence[Json]:
    entries = searchset.get("entry")
    found = (
        [entry.get("resource") for entry in entries if isinstance(entry, Mapping)]
        if isinstance(entries, list)
        else []
    )
    return [resource for resource in found if isinstance(resource, Mapping)]


def _version(resource: Json) -> str | None:
    """Return the server's own number of the version, where it can be one."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, Mapping) else None
    return version if isinstance(version, str) and outgoing.ID.fullmatch(version) else None
