"""Which identifiers several current Patients carry, so that people can be told.

FHIR lets two Patients carry one identifier, and nothing that is sent may be lost, so it is stored; what then
names the identifier is refused, because nobody guesses who is meant. Records that were joined count as one.

    note    every identifier, compared with its neighbour in the index -> two Patients of each are marked
    found   the marks -> who carries the identifier at this moment

To compare all of 100,000 patients takes some tenths of a second: the sweep does that, and a page reads the
marks alone. What was corrected since is no longer found, although its mark is still there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store import content
from service.store.driver import raw
from service.store.search_index import SHARED, Json, shortened

#: Patients of one identifier that are named, and that are counted: a placeholder may stand in thousands
NAMED = 5
COUNTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One identifier that several carry."""

    #: empty without one; both as the index keeps them
    system: str
    value: str
    #: how many Patients carry it, at most `COUNTED`
    count: int
    #: the ids of some of them, the longest known first
    patients: Sequence[str]


def note(tx: Connection, *, tenant: int) -> None:
    """Mark two Patients of each identifier that several carry, and forget the marks of all others."""
    raw(tx).execute(_NOTE, {"tenant": tenant, "mark": SHARED})


def found(tx: Connection, limit: int, *, tenant: int) -> list[Shared]:
    """Return the marked identifiers that several still carry: that of the newest Patient first."""
    values = {"tenant": tenant, "mark": SHARED, "limit": limit, "named": NAMED, "counted": COUNTED}
    with raw(tx).cursor(row_factory=class_row(Shared)) as cursor:
        return cursor.execute(_FOUND, values).fetchall()


def ask_shared(tx: Connection, patient: str, *, tenant: int) -> Callable[[], bool]:
    """Ask whether another Patient carries an identifier of this one at this moment.

    Returns:
        How to get the answer, after the end of a block of `together`.
    """
    cursor = raw(tx).execute(_HAS_SHARED, {"tenant": tenant, "patient": patient})
    return lambda: cursor.fetchone() is not None


def since(tx: Connection, shared: Sequence[Shared], *, tenant: int) -> dict[tuple[str, str], datetime]:
    """Return since when two of those that are named have carried each identifier, by system and value."""
    ids = sorted({id_ for one in shared for id_ in one.patients})
    versions: dict[str, list[_Version]] = {}
    with raw(tx).cursor(row_factory=class_row(_Version)) as cursor:
        for version in cursor.execute(_VERSIONS, {"tenant": tenant, "ids": ids}):
            versions.setdefault(version.id, []).append(version)
    return {
        (one.system, one.value): begun[1]
        for one in shared
        if len(begun := sorted(_carried_since(one, versions))) > 1
    }


class _Version(NamedTuple):
    id: str
    received: datetime
    body: str


def _carried_since(one: Shared, versions: Mapping[str, Sequence[_Version]]) -> list[datetime]:
    """Return when each of the patients began to carry the identifier that it carries now."""
    carrying = (
        list(takewhile(lambda version: _carries(content.read(version.body), one), versions.get(id_, ())))
        for id_ in one.patients
    )
    return [of_one[-1].received for of_one in carrying if of_one]


def _carries(patient: Json, one: Shared) -> bool:
    return any(
        shortened(identifier.get("system") or "") == one.system
        and shortened(identifier.get("value") or "") == one.value
        for identifier in patient.get("identifier", ())
    )


_OF_PATIENTS = "tenant = %(tenant)s AND type = 'Patient'"
_MARKS = f"{_OF_PATIENTS} AND name = %(mark)s"
_JOINED = "SELECT FROM joining j WHERE j.tenant = %(tenant)s AND j.source = r.id AND j.parted_at IS NULL"

_NOTE = f"""
    WITH joined AS (
        SELECT r.key FROM joining j
        JOIN resource r ON r.tenant = j.tenant AND r.type = 'Patient' AND r.id = j.source
        WHERE j.tenant = %(tenant)s AND j.parted_at IS NULL
    ), shared AS (
        SELECT value, system, min(key) AS first, max(key) AS last FROM search_value
        WHERE {_OF_PATIENTS} AND name = 'identifier' AND key NOT IN (SELECT key FROM joined)
        GROUP BY value, system HAVING min(key) < max(key)
    ), wanted AS (
        SELECT first AS key, system, value FROM shared UNION ALL SELECT last, system, value FROM shared
    ), forgotten AS (
        DELETE FROM search_value v WHERE {_MARKS} AND NOT EXISTS (
            SELECT FROM wanted w WHERE w.key = v.key AND w.system = v.system AND w.value = v.value
        )
    )
    INSERT INTO search_value (key, tenant, type, name, system, value)
    SELECT w.key, %(tenant)s, 'Patient', %(mark)s, w.system, w.value FROM wanted w WHERE NOT EXISTS (
        SELECT FROM search_value v
        WHERE {_MARKS} AND v.key = w.key AND v.system = w.system AND v.value = w.value
    )
"""  # noqa: S608 - constants of this module

# Of a Patient who was removed, or does not carry it any more, the row of the identifier is gone.
_FOUND = f"""
    SELECT m.system, m.value, c.count, c.patients FROM (
        SELECT system, value, max(key) AS newest FROM search_value WHERE {_MARKS} GROUP BY value, system
        ORDER BY newest DESC, system, value
    ) AS m CROSS JOIN LATERAL (
        SELECT count(*) AS count, (array_agg(p.id ORDER BY p.key))[:%(named)s] AS patients FROM (
            SELECT DISTINCT r.key, r.id FROM search_value v JOIN resource r USING (key)
            WHERE v.tenant = %(tenant)s AND v.type = 'Patient' AND v.name = 'identifier'
                AND v.value = m.value AND v.system = m.system AND NOT EXISTS ({_JOINED})
            ORDER BY r.key LIMIT %(counted)s
        ) AS p
    ) AS c WHERE c.count > 1 ORDER BY m.newest DESC, m.system, m.value LIMIT %(limit)s
"""  # noqa: S608

# The first descent is by key: before the first statistics the planner would look through all identifiers.
_HAS_SHARED = f"""
    SELECT FROM (
        SELECT v.key, v.system, v.value FROM resource p JOIN search_value v USING (key)
        WHERE p.tenant = %(tenant)s AND p.type = 'Patient' AND p.id = %(patient)s AND v.name = 'identifier'
        OFFSET 0
    ) AS own CROSS JOIN LATERAL (
        SELECT FROM search_value v JOIN resource r USING (key)
        WHERE v.tenant = %(tenant)s AND v.type = 'Patient' AND v.name = 'identifier'
            AND v.value = own.value AND v.system = own.system AND v.key <> own.key AND NOT EXISTS ({_JOINED})
        LIMIT 1
    ) AS other LIMIT 1
"""  # noqa: S608

_VERSIONS = """
    SELECT id, received, body FROM (
        SELECT id, version, received, body FROM resource
        WHERE tenant = %(tenant)s AND type = 'Patient' AND id = ANY(%(ids)s)
        UNION ALL
        SELECT id, version, received, body FROM history
        WHERE tenant = %(tenant)s AND type = 'Patient' AND id = ANY(%(ids)s)
    ) AS v ORDER BY id, version DESC
"""
