"""Which profiles, tags and security labels current resources carry, each once.

The index is gone through from one value to the next, so it costs what there are of different ones.

http://hl7.org/fhir/R4/resource-operation-meta.html
"""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store.driver import raw
from service.store.indexing import shortening

#: the elements of meta, and the names by which they are found
NAMES = {"profile": "_profile", "security": "_security", "tag": "_tag"}

#: of one type and name; whoever gives each resource a tag of its own has no list that anybody reads
MOST = 1_000


class Label(NamedTuple):
    """One of them."""

    name: str
    #: empty for profiles, and for codes without one
    system: str
    value: str


class TooMany(Exception):
    """There are more different ones than a list is made of."""


def found(tx: Connection, types: Sequence[str], *, tenant: int) -> list[Label]:
    """Return what resources of these types carry, sorted; what is longer than the index keeps is left out.

    Raises:
        TooMany: of one type there are more than `MOST` of a kind.
    """
    values = {
        "tenant": tenant,
        "types": list(types),
        "names": list(NAMES.values()),
        "most": MOST + 1,
        "kept": shortening.MOST,
    }
    with raw(tx).cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(_FOUND, values).fetchall()
    if any(row.number > MOST for row in rows):
        raise TooMany
    return sorted({Label(row.name, row.system, row.value) for row in rows})


class _Row(NamedTuple):
    name: str
    system: str
    value: str
    number: int


_OF = "s.tenant = %(tenant)s AND s.type = t.type AND s.name = n.name"
_NEXT = "ORDER BY s.value, s.system LIMIT 1"
_FOUND = f"""
    SELECT n.name, l.system, l.value, l.number
    FROM unnest(%(types)s::text[]) AS t (type) CROSS JOIN unnest(%(names)s::text[]) AS n (name)
    CROSS JOIN LATERAL (
        WITH RECURSIVE each AS (
            (SELECT s.value, s.system, 1 AS number FROM search_value s WHERE {_OF} {_NEXT})
            UNION ALL
            SELECT following.value, following.system, each.number + 1
            FROM each CROSS JOIN LATERAL (
                SELECT s.value, s.system FROM search_value s
                WHERE {_OF} AND (s.value, s.system) > (each.value, each.system) {_NEXT}
            ) AS following WHERE each.number < %(most)s
        ) SELECT * FROM each
    ) AS l
    -- what was shortened is longer
    WHERE octet_length(l.value) <= %(kept)s AND octet_length(l.system) <= %(kept)s
"""  # noqa: S608 - constants of this module
