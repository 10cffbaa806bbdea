"""The ledger: what was sent to the hospital's server, when, in which version, and what it answered.

A Bundle is recorded before it is sent and its answer after, so that whatever ends in between leaves a Bundle
without an answer: sent, unconfirmed, until a read shows what it did.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from service.store import deliveries, resources
from service.store.deliveries import Claim
from service.store.resources import Identity, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One resource of the engine, and what the server has of it."""

    stored: Stored
    #: ours, that it has acknowledged; None: none
    version: int | None
    #: its own number of that; None: not known
    their_version: str | None

    @property
    def pending(self) -> bool:
        """Return whether the server does not have the current version."""
        return self.version != self.stored.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One Bundle of the ledger of which it is not known what it did."""

    bundle: UUID
    versions: tuple[tuple[str, str, int], ...]


def outputs(
    tx: Connection, claim: Claim, *, types: Sequence[str], shared: Collection[Identity]
) -> list[Output]:
    """Return what the engine has written of the patient, in the order of the types.

    Args:
        shared: what outputs of all patients refer to, such as the device that decides.
    """
    found = resources.of_patient(tx, claim.patient, tenant=claim.tenant, types=types, owned=True)
    common = [
        one
        for type_, id in sorted(shared)
        if (one := resources.current(tx, type_, id, tenant=claim.tenant)) and one.owned
    ]
    place = {type_: number for number, type_ in enumerate(types)}
    written = sorted([*common, *found], key=lambda one: (place[one.type], one.seq))
    known = acknowledged(
        tx, [(one.type, one.id) for one in written], tenant=claim.tenant, server=claim.server
    )
    return [
        Output(stored=one, version=version, their_version=theirs)
        for one in written
        for version, theirs in [known.get((one.type, one.id), (None, None))]
    ]


def acknowledged(
    tx: Connection, identities: Collection[Identity], *, tenant: int, server: str
) -> dict[Identity, tuple[int, str | None]]:
    """Return, of what the server has, our version and its own."""
    rows = tx.execute(
        text(
            "SELECT type, id, version, their_version FROM delivered WHERE tenant = :tenant "
            "AND server = :server AND (type, id) IN "
            "(SELECT * FROM unnest(CAST(:types AS text[]), CAST(:ids AS text[])))"
        ),
        {
            "tenant": tenant,
            "server": server,
            "types": [type_ for type_, _ in identities],
            "ids": [id for _, id in identities],
        },
    )
    return {(row.type, row.id): (row.version, row.their_version) for row in rows}


def record(tx: Connection, claim: Claim, bundle: UUID, sent: Iterable[Stored]) -> None:
    """Write into the ledger what is about to be sent.

    Raises:
        LeaseLost: it must not be sent.
    """
    deliveries.hold(tx, claim)
    tx.execute(
        text(
            "UPDATE delivery SET bundle = :bundle "
            "WHERE tenant = :tenant AND server = :server AND patient = :patient"
        ),
        {**deliveries.who(claim), "bundle": bundle},
    )
    tx.execute(
        text(
            "INSERT INTO dispatch (bundle, tenant, server, patient, versions) "
            "VALUES (:bundle, :tenant, :server, :patient, :versions)"
        ),
        {
            **deliveries.who(claim),
            "bundle": bundle,
            "versions": [f"{one.type}/{one.id}/_history/{one.version}" for one in sent],
        },
    )


def unsettled(tx: Connection, claim: Claim) -> list[Dispatch]:
    """Return the Bundles of the patient of which it is not known what they did, the oldest first."""
    rows = tx.execute(
        text(
            "SELECT bundle, versions FROM dispatch WHERE tenant = :tenant AND server = :server "
            "AND patient = :patient AND NOT settled ORDER BY sent_at"
        ),
        deliveries.who(claim),
    )
    return [Dispatch(bundle=row.bundle, versions=tuple(map(_version, row.versions))) for row in rows]


def adrift(tx: Connection, current: Stored, *, tenant: int, server: str) -> set[int]:
    """Return which versions of a resource may still arrive: sent, without an end, and not seen there yet."""
    prefix = f"{current.reference}/_history/"
    # What all patients refer to may have been sent with any of them.
    rows = tx.execute(
        text(
            "SELECT v FROM dispatch, unnest(versions) AS v WHERE tenant = :tenant AND server = :server "
            "AND NOT ended AND (CAST(:patient AS text) IS NULL OR patient = :patient) "
            "AND starts_with(v, :prefix) AND v <> ALL(found)"
        ),
        {"tenant": tenant, "server": server, "patient": current.patient, "prefix": prefix},
    )
    return {int(row.v.removeprefix(prefix)) for row in rows}


def found(tx: Connection, identity: Identity, version: int, *, tenant: int, server: str) -> None:
    """Note that a read has shown a version there: from now on it is no longer on its way.

    Whoever sets the resource back to what it said then is not taken for a Bundle that arrives late.
    """
    tx.execute(
        text(
            "UPDATE dispatch SET found = array_append(found, :reference) WHERE tenant = :tenant "
            "AND server = :server AND NOT ended AND :reference = ANY(versions) "
            "AND :reference <> ALL(found)"
        ),
        {
            "tenant": tenant,
            "server": server,
            "reference": f"{identity[0]}/{identity[1]}/_history/{version}",
        },
    )


def answered(
    tx: Connection,
    claim: Claim,
    bundle: UUID,
    *,
    answer: str,
    status: int | None,
    settled: bool,
    ended: bool,
) -> None:
    """Write the answer into the ledger.

    Args:
        settled: it says what the Bundle did.
        ended: it says that the server is done with the Bundle.

    Raises:
        LeaseLost: another process sends for the patient by now, and settles it by a read.
    """
    deliveries.hold(tx, claim)
    tx.execute(
        text(
            "UPDATE dispatch SET answer = :answer, status = :status, answered_at = clock_timestamp(), "
            "settled = :settled, ended = :ended WHERE bundle = :bundle"
        ),
        {"bundle": bundle, "answer": answer, "status": status, "settled": settled, "ended": ended},
    )


def settle(tx: Connection, claim: Claim, bundles: Collection[UUID]) -> None:
    """Note that a read has shown what these Bundles did.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    deliveries.hold(tx, claim)
    tx.execute(
        text("UPDATE dispatch SET settled = true WHERE bundle = ANY(:bundles)"), {"bundles": list(bundles)}
    )


def acknowledge(
    tx: Connection, tenant: int, server: str, identity: Identity, version: int, their_version: str | None
) -> None:
    """Note that the server has our version of a resource, under a number of its own."""
    tx.execute(
        text(
            "INSERT INTO delivered (tenant, server, type, id, version, their_version) "
            "VALUES (:tenant, :server, :type, :id, :version, :theirs) "
            "ON CONFLICT (tenant, server, type, id) DO UPDATE SET version = excluded.version, "
            "their_version = excluded.their_version, at = excluded.at"
        ),
        {
            "tenant": tenant,
            "server": server,
            "type": identity[0],
            "id": identity[1],
            "version": version,
            "theirs": their_version,
        },
    )


def forget(tx: Connection, tenant: int, server: str, identity: Identity) -> None:
    """Note that the server has nothing of a resource."""
    tx.execute(
        text(
            "DELETE FROM delivered WHERE tenant = :tenant AND server = :server AND type = :type AND id = :id"
        ),
        {"tenant": tenant, "server": server, "type": identity[0], "id": identity[1]},
    )


def open_work(
    tx: Connection,
    *,
    tenant: int,
    server: str,
    types: Sequence[str],
    ended: Sequence[str],
    after: Identity,
    limit: int,
) -> dict[Identity, str | None]:
    """Return what the server has acknowledged and may still change, in order, each with the server's version.

    Args:
        ended: statuses after which nothing is expected any more.
        after: what comes before this in the order, and this itself, is left out.
        limit: no more are returned.
    """
    rows = tx.execute(
        text(
            "SELECT d.type, d.id, d.their_version FROM delivered d JOIN resource r USING (tenant, type, id) "
            "WHERE d.tenant = :tenant AND d.server = :server AND d.type = ANY(:types) AND r.owned "
            "AND NOT r.deleted AND NOT r.status = ANY(:ended) AND (d.type, d.id) > (:type, :id) "
            "ORDER BY d.type, d.id LIMIT :limit"
        ),
        {
            "tenant": tenant,
            "server": server,
            "types": list(types),
            "ended": list(ended),
            "type": after[0],
            "id": after[1],
            "limit": limit,
        },
    )
    return {(row.type, row.id): row.their_version for row in rows}


def _version(reference: str) -> tuple[str, str, int]:
    type_, id, _, version = reference.split("/")
    return type_, id, int(version)
