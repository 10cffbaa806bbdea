"""Delivering one patient: what the hospital's server does not have is sent as one transaction.

    claim -> Bundles without an answer are settled by a read, when the server must be done with them
          -> what is pending is recorded and sent
          -> the answer is recorded -> done, tried again after a pause, or parked

At least once, and once in effect: every resource is a PUT under our id, over the version that we know. The
process may die on any line; whoever claims next reads before it sends.
"""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid5

from service import log
from service.hospital import health, outgoing, pauses
from service.hospital.answers import FINAL, UNCERTAIN, Answer, Kind
from service.hospital.connection import Connection
from service.hospital.outgoing import Json
from service.hospital.pauses import Chance
from service.hospital.returning import Returning
from service.store import circuits, deliveries, ledger
from service.store.circuits import Circuit
from service.store.database import Database
from service.store.deliveries import Claim, LeaseLost
from service.store.ledger import Output

#: how often one claim sends anew after somebody else was quicker
ROUNDS = 3
#: besides the longest that one question may take: a token and an answer, each with its limit
MARGIN_S = 20.0

NOTHING_ASKED = Answer(kind=Kind.TAKEN)

logger = log.get()


class Delivery:
    """Sends what the engine wrote to one server."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        *,
        chance: Chance,
        tenant: int = 0,
        lease_s: float | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            chance: by which pauses are spread.
            lease_s: renewed before each question; as long as one may take by default.
        """
        self._database = database
        self._connection = connection
        self._returning = Returning(database, connection, tenant=tenant)
        self._chance = chance
        self._tenant = tenant
        self._lease_s = lease_s or connection.longest_s + MARGIN_S

    @property
    def _server(self) -> str:
        return self._connection.base

    def find(self, after: int) -> int:
        """Note whose outputs after this `seq` are not acknowledged; return how many patients were noted."""
        with self._database.transaction() as tx:
            return deliveries.find(
                tx, tenant=self._tenant, server=self._server, types=outgoing.TYPES, after=after
            )

    def one(self) -> bool:
        """Deliver one patient. Returns whether there was one; False also while the server is left alone."""
        with self._database.transaction() as tx:
            if circuits.read(tx, "deliver", tenant=self._tenant, server=self._server).open_until is not None:
                return False
            claim = deliveries.claim(
                tx,
                tenant=self._tenant,
                server=self._server,
                lease_s=self._lease_s,
                settle_s=self._connection.settle_s,
            )
        if claim is None:
            return False
        try:
            self._end(claim, self._deliver(claim))
        except LeaseLost:
            logger.warning("delivery_lease_lost", patient=claim.patient)
        except Exception as error:
            # Whatever went wrong holds this patient and is shown; others go on.
            logger.exception("delivery_failed_here", patient=claim.patient)
            with suppress(LeaseLost):
                self._end(claim, Answer(kind=Kind.FAILED_HERE, said=type(error).__name__))
        return True

    def _deliver(self, claim: Claim) -> Answer:
        trouble = self._settle(claim)
        if trouble is not None:
            return trouble
        answer = NOTHING_ASKED
        for number in range(ROUNDS):
            with self._database.transaction("REPEATABLE READ") as tx:
                found = ledger.outputs(tx, claim, types=outgoing.TYPES, shared=outgoing.SHARED)
                pending = [output for output in found if output.pending]
                bodies = outgoing.prepared(
                    tx,
                    [output.stored.resource for output in pending],
                    tenant=self._tenant,
                    server=self._server,
                )
            if not pending:
                return answer
            answer = self._send(claim, uuid5(claim.token, str(number)), pending, bodies)
            if answer.kind is not Kind.CONFLICT:
                return answer
            trouble = self._look_at(claim, pending)
            if trouble is not None:
                return trouble
        return answer

    def _settle(self, claim: Claim) -> Answer | None:
        """Read what Bundles did of which no answer is known. Returns what stands in the way."""
        with self._database.transaction() as tx:
            waiting = ledger.unsettled(tx, claim)
        sent: dict[tuple[str, str], set[int]] = {}
        for dispatch in waiting:
            for type_, id, version in dispatch.versions:
                sent.setdefault((type_, id), set()).add(version)
        for identity, versions in sent.items():
            self._renew(claim)
            answer = self._returning.look(identity, versions)
            if not answer.taken:
                return answer
        if waiting:
            with self._database.transaction() as tx:
                ledger.settle(tx, claim, [dispatch.bundle for dispatch in waiting])
        return None

    def _look_at(self, claim: Claim, outputs: Sequence[Output]) -> Answer | None:
        """Read what the server has of these. Returns what stands in the way."""
        for output in outputs:
            self._renew(claim)
            answer = self._returning.look((output.stored.type, output.stored.id))
            if not answer.taken:
                return answer
        return None

    def _send(self, claim: Claim, bundle: UUID, outputs: Sequence[Output], bodies: Sequence[Json]) -> Answer:
        """Record, send, and record the answer."""
        stored = [output.stored for output in outputs]
        with self._database.transaction() as tx:
            deliveries.renew(tx, claim, self._lease_s)
            ledger.record(tx, claim, bundle, stored)
        named = {f"{type_}/{id}" for body in bodies for type_, id in outgoing.references(body)}
        sent = outgoing.bundle(outputs, bodies, base=self._server)
        answer = self._connection.transact(sent, sent=named | {one.reference for one in stored})
        with self._database.transaction() as tx:
            settled = answer.kind not in UNCERTAIN
            # A gateway may answer while the server behind it still works; what a FHIR server says is its end.
            ended = settled or answer.fhir or answer.kind is Kind.FAILED_INSIDE
            ledger.answered(
                tx, claim, bundle, answer=answer.kind, status=answer.status, settled=settled, ended=ended
            )
            if answer.taken:
                for one, version in zip(stored, outgoing.versions(answer.body), strict=True):
                    ledger.acknowledge(
                        tx, self._tenant, self._server, (one.type, one.id), one.version, version
                    )
        logger.info(
            "delivered" if answer.taken else "not_delivered",
            patient=claim.patient,
            bundle=str(bundle),
            resources=len(stored),
            answer=answer.kind,
            status=answer.status,
        )
        return answer

    def _end(self, claim: Claim, answer: Answer) -> None:
        """Give the claim back, and note how the server behaved."""
        with self._database.transaction() as tx:
            before = circuits.read(tx, "deliver", tenant=self._tenant, server=self._server)
            if answer.taken:
                deliveries.done(tx, claim, types=outgoing.TYPES)
            else:
                deliveries.failed(
                    tx,
                    claim,
                    answer=answer.kind,
                    said=answer.said,
                    pause_s=self._pause(claim, answer, before),
                    settle_s=self._connection.settle_s,
                )
            if answer is not NOTHING_ASKED and answer.kind is not Kind.FAILED_HERE:
                health.note(
                    tx, "deliver", answer, before, self._chance, tenant=self._tenant, server=self._server
                )

    def _pause(self, claim: Claim, answer: Answer, server: Circuit) -> float | None:
        """Return when this patient is tried again; None: when a person asks.

        An outage of the server parks nobody, however long it lasts. But a Bundle that alone fails while
        others of the same time are taken is at fault itself.
        """
        if answer.kind in FINAL:
            return None
        others_taken = (
            server.succeeded_at is not None
            and claim.failing_since is not None
            and server.succeeded_at > claim.failing_since
        )
        if claim.attempt >= pauses.ATTEMPTS and (others_taken or not answer.of_server):
            return None
        return max(pauses.again(claim.attempt, self._chance), answer.wait_s or 0)

    def _renew(self, claim: Claim) -> None:
        with self._database.transaction() as tx:
            deliveries.renew(tx, claim, self._lease_s)
