"""Which of our resources is which of the hospital's, and what of its could not be taken in.

The ids of a server are its own: a resource here may have the same id and be another one. So each version
that was taken in is written down with the server's id and version beside ours.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from service.store.resources import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One version of the server's, and what it is here."""

    type: str
    their_id: str
    #: tells the server's versions of this resource apart
    stamp: str
    #: its own number; None: it gives none
    their_version: str | None
    their_time: datetime | None
    id: str
    version: int

    @property
    def theirs(self) -> Identity:
        """Return type and id there."""
        return self.type, self.their_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """One resource of the server's that could not be taken in."""

    type: str
    their_id: str
    stamp: str
    reason: str
    #: elements, never what they hold
    said: str
    attempts: int
    since: datetime
    #: None: not before it changes there, or a person asks
    retry_at: datetime | None

    @property
    def theirs(self) -> Identity:
        """Return type and id there."""
        return self.type, self.their_id


#: with which the stamp of what the server has removed begins
GONE = "gone"

_NAMES = "type, their_id, stamp, their_version, their_time, id, version"
_ASIDE = "type, their_id, stamp, reason, said, attempts, since, retry_at"
_OF = "tenant = :tenant AND server = :server"
_AMONG = "IN (SELECT * FROM unnest(CAST(:types AS text[]), CAST(:ids AS text[])))"


def latest(
    tx: Connection, theirs: Collection[Identity], *, tenant: int, server: str
) -> dict[Identity, Origin]:
    """Return, of the server's resources that were taken in, the version that was last."""
    statement = f"""
        SELECT DISTINCT ON (type, their_id) {_NAMES} FROM origin
        WHERE {_OF} AND (type, their_id) {_AMONG} ORDER BY type, their_id, key DESC
    """  # noqa: S608 - constants of this module
    rows = tx.execute(text(statement), _among(theirs, tenant, server)).mappings()
    return {(row["type"], row["their_id"]): Origin(**row) for row in rows}


def of_ours(tx: Connection, ours: Collection[Identity], *, tenant: int, server: str) -> dict[Identity, str]:
    """Return which of the server's ids ours have, by type and id here; none of what it has removed."""
    statement = f"""
        SELECT * FROM (
            SELECT DISTINCT ON (type, id) type, id, their_id, stamp FROM origin
            WHERE {_OF} AND (type, id) {_AMONG} ORDER BY type, id, key DESC
        ) AS latest WHERE NOT starts_with(stamp, '{GONE}-')
    """  # noqa: S608
    rows = tx.execute(text(statement), _among(ours, tenant, server))
    return {(row.type, row.id): row.their_id for row in rows}


def of_versions(
    tx: Connection, names: Collection[tuple[str, str, int]], *, tenant: int, server: str
) -> dict[tuple[str, str, int], str]:
    """Return which of the server's versions ours came of, by type, id and version here, where it is known."""
    statement = f"""
        SELECT DISTINCT ON (type, id, version) type, id, version, their_version FROM origin
        WHERE {_OF} AND their_version IS NOT NULL AND (type, id, version) IN (SELECT * FROM unnest(
            CAST(:types AS text[]), CAST(:ids AS text[]), CAST(:versions AS integer[])))
        ORDER BY type, id, version, key DESC
    """  # noqa: S608
    rows = tx.execute(
        text(statement),
        {
            "tenant": tenant,
            "server": server,
            "types": [type_ for type_, _, _ in names],
            "ids": [id for _, id, _ in names],
            "versions": [version for _, _, version in names],
        },
    )
    return {(row.type, row.id, row.version): row.their_version for row in rows}


def took(tx: Connection, origin: Origin, *, tenant: int, server: str) -> bool:
    """Note that a version of the server's is one of ours; what was set aside of the resource is settled.

    Returns:
        False: this very version is noted as another resource of ours, and nothing is different.
    """
    # A stamp that comes again is the latest from then on: the server was restored, or has again what it had
    # removed.
    statement = f"""
        INSERT INTO origin AS o (tenant, server, {_NAMES})
        VALUES (:tenant, :server, :type, :their_id, :stamp, :their_version, :their_time, :id, :version)
        ON CONFLICT (tenant, server, type, their_id, stamp) DO UPDATE SET key = DEFAULT,
            their_version = excluded.their_version, their_time = excluded.their_time,
            id = excluded.id, version = excluded.version
        WHERE o.id = excluded.id OR o.their_time IS DISTINCT FROM excluded.their_time
    """  # noqa: S608
    noted = tx.execute(
        text(statement),
        {
            "tenant": tenant,
            "server": server,
            "type": origin.type,
            "their_id": origin.their_id,
            "stamp": origin.stamp,
            "their_version": origin.their_version,
            "their_time": origin.their_time,
            "id": origin.id,
            "version": origin.version,
        },
    )
    settled(tx, origin.theirs, tenant=tenant, server=server)
    return noted.rowcount == 1


def after(
    tx: Connection, last: Identity, limit: int, *, types: Collection[str], tenant: int, server: str
) -> list[Origin]:
    """Return what was taken in, the last version of each, in the order of type and id there.

    Args:
        last: what comes before this in the order, and this itself, is left out.
    """
    statement = f"""
        SELECT DISTINCT ON (type, their_id) {_NAMES} FROM origin
        WHERE {_OF} AND type = ANY(:types) AND (type, their_id) > (:type, :id)
        ORDER BY type, their_id, key DESC LIMIT :limit
    """  # noqa: S608
    names = {
        "tenant": tenant,
        "server": server,
        "types": list(types),
        "type": last[0],
        "id": last[1],
        "limit": limit,
    }
    return [Origin(**row) for row in tx.execute(text(statement), names).mappings()]


def set_aside(
    tx: Connection,
    theirs: Identity,
    stamp: str,
    *,
    reason: str,
    said: str,
    pause_s: float | None,
    tenant: int,
    server: str,
) -> None:
    """Note that a version of the server's could not be taken in.

    Args:
        said: elements, never what they hold.
        pause_s: when it is tried again; None: not before it changes there, or a person asks.
    """
    statement = """
        INSERT INTO set_aside AS a (tenant, server, type, their_id, stamp, reason, said, retry_at)
        VALUES (:tenant, :server, :type, :their_id, :stamp, :reason, :said,
            clock_timestamp() + make_interval(secs => CAST(:pause AS double precision)))
        ON CONFLICT (tenant, server, type, their_id) DO UPDATE SET
            attempts = CASE WHEN a.stamp = excluded.stamp THEN a.attempts + 1 ELSE 1 END,
            since = CASE WHEN a.stamp = excluded.stamp THEN a.since ELSE excluded.since END,
            stamp = excluded.stamp, reason = excluded.reason, said = excluded.said,
            retry_at = excluded.retry_at
    """
    tx.execute(
        text(statement),
        {
            "tenant": tenant,
            "server": server,
            "type": theirs[0],
            "their_id": theirs[1],
            "stamp": stamp,
            "reason": reason,
            "said": said,
            "pause": pause_s,
        },
    )


def settled(tx: Connection, theirs: Identity, *, tenant: int, server: str) -> None:
    """Note that nothing of this resource is set aside any more."""
    statement = f"DELETE FROM set_aside WHERE {_OF} AND type = :type AND their_id = :id"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server, "type": theirs[0], "id": theirs[1]})


def aside(
    tx: Connection, theirs: Collection[Identity], *, tenant: int, server: str
) -> Mapping[Identity, Aside]:
    """Return, of these resources, those that are set aside."""
    statement = f"SELECT {_ASIDE} FROM set_aside WHERE {_OF} AND (type, their_id) {_AMONG}"  # noqa: S608
    rows = tx.execute(text(statement), _among(theirs, tenant, server)).mappings()
    return {(row["type"], row["their_id"]): Aside(**row) for row in rows}


def all_aside(tx: Connection, limit: int, *, tenant: int, server: str) -> list[Aside]:
    """Return what is set aside, the newest first."""
    statement = f"SELECT {_ASIDE} FROM set_aside WHERE {_OF} ORDER BY since DESC, type, their_id LIMIT :limit"  # noqa: S608
    rows = tx.execute(text(statement), {"tenant": tenant, "server": server, "limit": limit})
    return [Aside(**row) for row in rows.mappings()]


def count_aside(tx: Connection, *, tenant: int, server: str) -> int:
    """Return how much is set aside."""
    statement = f"SELECT count(*) FROM set_aside WHERE {_OF}"  # noqa: S608
    return int(tx.execute(text(statement), {"tenant": tenant, "server": server}).scalar_one())


def due_aside(tx: Connection, limit: int, *, tenant: int, server: str) -> list[Aside]:
    """Return what is to be tried again now, the longest waiting first."""
    statement = (
        f"SELECT {_ASIDE} FROM set_aside WHERE {_OF} AND retry_at <= clock_timestamp() "  # noqa: S608
        "ORDER BY retry_at LIMIT :limit"
    )
    rows = tx.execute(text(statement), {"tenant": tenant, "server": server, "limit": limit})
    return [Aside(**row) for row in rows.mappings()]


def retry_aside(tx: Connection, *, tenant: int, server: str) -> int:
    """Have everything that is set aside tried again, because a person asks; return how much it is."""
    statement = f"UPDATE set_aside SET retry_at = clock_timestamp(), attempts = 0 WHERE {_OF}"  # noqa: S608
    return tx.execute(text(statement), {"tenant": tenant, "server": server}).rowcount


def _among(identities: Collection[Identity], tenant: int, server: str) -> dict[str, object]:
    return {
        "tenant": tenant,
        "server": server,
        "types": [type_ for type_, _ in identities],
        "ids": [id for _, id in identities],
    }
