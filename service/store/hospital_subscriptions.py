"""What the hospital's server was asked to call us for, how that stands, and which calls nobody has followed.

A call is a hint that something of a type is new. It says nothing that is relied on: whoever hears it asks.
All moments are the database's.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One Subscription as it was seen last."""

    type: str
    #: the server's; None: it has none
    id: str | None
    #: a code of http://hl7.org/fhir/R4/valueset-subscription-status.html; empty: not known
    status: str
    #: of the last question about it
    answer: str | None
    said: str
    since: datetime
    #: since it was last active
    renewals: int
    #: seconds since it was renewed; None: never
    renewed_s: float | None
    #: the last call
    hooked_at: datetime | None


_OF = "tenant = :tenant AND server = :server"
_UNHEARD = "hooked_at IS NOT NULL AND (heard_at IS NULL OR heard_at < hooked_at)"


def known(tx: Connection, *, tenant: int, server: str) -> dict[str, Subscription]:
    """Return every Subscription that there is or should be, by the type it is about."""
    statement = f"""
        SELECT type, id, status, answer, said, since, renewals, hooked_at,
            extract(epoch FROM clock_timestamp() - renewed_at)::float AS renewed_s
        FROM hospital_subscription WHERE {_OF} ORDER BY type
    """  # noqa: S608 - constants of this module
    rows = tx.execute(text(statement), {"tenant": tenant, "server": server}).mappings()
    return {row["type"]: Subscription(**row) for row in rows}


def note(
    tx: Connection,
    type_: str,
    *,
    id: str | None,
    status: str,
    answer: str,
    said: str = "",
    renewed: bool = False,
    tenant: int,
    server: str,
) -> None:
    """Note how a Subscription stands.

    Args:
        renewed: the server was asked to begin again with it.
    """
    statement = """
        INSERT INTO hospital_subscription AS s (tenant, server, type, id, status, answer, said, renewed_at)
        VALUES (:tenant, :server, :type, :id, :status, :answer, :said,
            CASE WHEN :renewed THEN clock_timestamp() END)
        ON CONFLICT (tenant, server, type) DO UPDATE SET id = excluded.id, status = excluded.status,
            answer = excluded.answer, said = excluded.said,
            since = CASE WHEN s.status = excluded.status THEN s.since ELSE clock_timestamp() END,
            renewals = CASE WHEN excluded.status = 'active' THEN 0
                WHEN :renewed THEN s.renewals + 1 ELSE s.renewals END,
            renewed_at = coalesce(excluded.renewed_at, s.renewed_at)
    """
    tx.execute(
        text(statement),
        {
            "tenant": tenant,
            "server": server,
            "type": type_,
            "id": id,
            "status": status,
            "answer": answer,
            "said": said,
            "renewed": renewed,
        },
    )


def forget(tx: Connection, type_: str, *, tenant: int, server: str) -> None:
    """Note that the server is not to call for this type any more."""
    statement = f"DELETE FROM hospital_subscription WHERE {_OF} AND type = :type"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server, "type": type_})


def called(tx: Connection, type_: str, *, tenant: int, server: str) -> bool:
    """Note that the server has called for a type. Returns whether that is news.

    While a call waits to be heard, another one says nothing new, and writes nothing.
    """
    statement = (
        f"UPDATE hospital_subscription SET hooked_at = clock_timestamp() WHERE {_OF} AND type = :type "  # noqa: S608
        f"AND NOT ({_UNHEARD})"
    )
    return tx.execute(text(statement), {"tenant": tenant, "server": server, "type": type_}).rowcount == 1


def unheard(tx: Connection, *, tenant: int, server: str) -> frozenset[str]:
    """Return the types for which the server has called and nobody has looked since."""
    statement = f"SELECT type FROM hospital_subscription WHERE {_OF} AND {_UNHEARD}"  # noqa: S608
    return frozenset(tx.execute(text(statement), {"tenant": tenant, "server": server}).scalars())


def hear_again(tx: Connection, types: Collection[str], *, tenant: int, server: str) -> None:
    """Note that the look which was to answer the calls came to nothing."""
    statement = f"UPDATE hospital_subscription SET heard_at = NULL WHERE {_OF} AND type = ANY(:types)"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server, "types": list(types)})


def hear(tx: Connection, types: Collection[str], *, tenant: int, server: str) -> None:
    """Note, before a look at these types begins, that it answers every call until now.

    Committed before the server is asked: a call that comes later is news again.
    """
    statement = f"UPDATE hospital_subscription SET heard_at = hooked_at WHERE {_OF} AND type = ANY(:types)"  # noqa: S608
    tx.execute(text(statement), {"tenant": tenant, "server": server, "types": list(types)})
