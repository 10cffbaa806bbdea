"""Who saw or did what: one row for each request about patients, or that ends what another system is told.

A row is written once. The place is the template of a route and the patients are ids, so that the record of
accesses tells nothing that the record itself does not (http://hl7.org/fhir/R4/auditevent.html).
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from service.store import finding
from service.store.driver import raw

READ, EXECUTE = "R", "E"

#: the status of what we sent ourselves: it is written down before there is an answer
UNANSWERED = 0

#: of one person, to find whom they saw last
LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One request, and whose data were in the answer."""

    at: datetime
    #: a reference; empty: nobody was chosen
    who: str
    #: a code of http://hl7.org/fhir/audit-event-action
    action: str
    #: the template of the route
    place: str
    #: `Type/id`, where one resource was asked for
    reference: str | None
    #: ids
    patients: tuple[str, ...]
    #: of the answer, or `UNANSWERED`
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which accesses are wanted; empty: all."""

    patient: str = ""
    who: str = ""
    action: str = ""
    #: from this instant on, and before this one
    since: datetime | None = None
    until: datetime | None = None
    #: one of them
    key: int = 0


def add(
    tx: Connection,
    *,
    tenant: int,
    who: str,
    action: str,
    place: str,
    reference: str | None,
    patients: Collection[str],
    status: int,
) -> None:
    """Write an access down, by the database's clock."""
    raw(tx).execute(
        "INSERT INTO access (tenant, at, who, action, place, reference, patients, status) "
        "VALUES (%s, clock_timestamp(), %s, %s, %s, %s, %s::text[], %s)",
        [tenant, who, action, place, reference, sorted(set(patients)), status],
    )


def find(
    tx: Connection, filters: Filters, *, before: int, limit: int, tenant: int
) -> list[tuple[int, Access]]:
    """Return accesses with their keys, the newest first.

    Args:
        before: a key; only older ones are returned. 0: from the newest.
    """
    rows = tx.execute(text(_FIND), {**asdict(filters), "before": before, "limit": limit, "tenant": tenant})
    return [
        (row.pop("key"), Access(**{**row, "patients": tuple(row["patients"])}))
        for row in map(dict, rows.mappings())
    ]


def count(tx: Connection, filters: Filters, *, exact: bool, tenant: int) -> int | None:
    """Return how many accesses the filters let through; None: too many to be counted, unless it is exact."""
    # Of NULL rows the database returns all.
    limit = None if exact else finding.COUNTED + 1
    asked = {**asdict(filters), "limit": limit, "tenant": tenant}
    found = int(tx.execute(text(_COUNT), asked).scalar_one())
    return found if exact or found <= finding.COUNTED else None


def opened_last(
    tx: Connection, who: str, place: str, limit: int, *, tenant: int
) -> list[tuple[str, datetime]]:
    """Return whose data somebody saw last at a place, with the latest time of each, the newest first.

    Only the newest `LOOKED_AT` accesses are looked at: somebody who goes back and forth between two
    patients all day has fewer.
    """
    asked = {"tenant": tenant, "who": who, "place": place, "limit": limit, "looked_at": LOOKED_AT}
    return [(row.patient, row.at) for row in tx.execute(text(_OPENED_LAST), asked)]


_MATCH = """
    tenant = :tenant AND (:patient = '' OR patients @> ARRAY[:patient]) AND (:who = '' OR who = :who)
        AND (:action = '' OR action = :action) AND (:key = 0 OR key = :key)
        AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
        AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
"""
_FIND = f"""
    SELECT key, at, who, action, place, reference, patients, status FROM access
    WHERE {_MATCH} AND (:before = 0 OR key < :before) ORDER BY key DESC LIMIT :limit
"""  # noqa: S608 - constants of this module
_COUNT = f"SELECT count(*) FROM (SELECT FROM access WHERE {_MATCH} LIMIT CAST(:limit AS bigint)) AS f"  # noqa: S608

_OPENED_LAST = """
    SELECT patient, max(at) AS at FROM (
        SELECT key, at, patients FROM access
        WHERE tenant = :tenant AND who = :who AND place = :place AND action = 'R' AND status = 200
        ORDER BY key DESC LIMIT :looked_at
    ) AS a CROSS JOIN LATERAL unnest(patients) AS p (patient)
    GROUP BY patient ORDER BY max(key) DESC LIMIT :limit
"""
