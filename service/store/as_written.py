"""Which of some superseded versions fulfil a condition that is written for what is current.

Only current versions have rows in the search tables. The rows of others are given along with the question and
stand beside those that are there, under keys that no resource has. What a chain or `_has` leads to is looked
for in the table of resources alone, and so asked of one version.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from service.store import search_index
from service.store.as_at import Condition
from service.store.driver import raw
from service.store.resources import Stored
from service.store.versions import TABLES, Index, as_json, index_parameters

_GIVEN = ("key", "type", "id", "received", "patient", "status", "body", "seq")


def matching(
    tx: Connection, versions: Collection[Stored], condition: Condition, *, tenant: int
) -> set[tuple[str, str, int]]:
    """Return type, id and number of those that fulfil it; what they refer to is asked as it is now.

    Args:
        versions: of each resource one at most.
        condition: about `r`.
    """
    if not versions:
        return set()
    by_key = dict(enumerate(versions, -len(versions)))
    index = Index()
    given = []
    for key, one in by_key.items():
        index.add(one.type, one.id, search_index.rows(one.resource, patient=one.patient))
        status = search_index.promoted(one.resource).status
        given.append((key, one.type, one.id, one.received, one.patient, status, one.body, one.seq))
    values = {
        "narratives": "[]",
        **condition.values,
        **index_parameters(index),
        "given": as_json(_GIVEN, given),
        "tenant": tenant,
    }
    rows = raw(tx).execute(f"{_WITH} AND ({condition.text})", values, prepare=False)
    found = (by_key[row[0]] for row in rows)
    return {(one.type, one.id, one.version) for one in found}


def _beside(table: str, sent: str, columns: str) -> str:
    """Return a table under its own name, with rows that are not in it."""
    names = [column.split()[0] for column in columns.split(", ")]
    # Both parts need the same collation, or the planner would read all of the table.
    collation = ' COLLATE "C"' if table == "search_text" else ""
    written = [f"i.{name}{collation if name in ('folded', 'written') else ''}" for name in names]
    return (
        f"{table} AS NOT MATERIALIZED (SELECT key, tenant, type, {', '.join(names)} FROM {table} UNION ALL "  # noqa: S608
        f"SELECT g.key, %(tenant)s::smallint, g.type, {', '.join(written)} "
        f"FROM json_to_recordset(%({sent})s::json) AS i (type text, id text, {columns}) "
        "JOIN given AS g USING (type, id))"
    )


_WITH = f"""
    WITH given AS (
        SELECT %(tenant)s::smallint AS tenant, FALSE AS deleted, v.*
        FROM json_to_recordset(%(given)s::json) AS v (key bigint, type text, id text,
            received timestamptz, patient text, status text, body text, seq bigint)
    ), search_narrative AS NOT MATERIALIZED (
        SELECT key, seq, words FROM search_narrative
        UNION ALL
        SELECT g.key, g.seq, i.words::tsvector
        FROM json_to_recordset(%(narratives)s::json) AS i (type text, id text, words text)
        JOIN given AS g USING (type, id)
    ), {", ".join(_beside(table, sent, columns) for table, sent, columns in TABLES)}
    SELECT r.key FROM given r WHERE TRUE
"""  # noqa: S608 - constants of this module
