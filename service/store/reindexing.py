"""What was stored by an older release is given the rows by which this one searches, while it is used.

    windows of keys, in order -> the rows of each resource anew, under its lock -> how far it is, committed

Whoever writes a version meanwhile makes its rows as well, so only what was there at the beginning is gone
through. A window that was not finished is done again: the rows of a resource are replaced, never added to.
"""

from dataclasses import dataclass

from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store import content, search_index
from service.store.driver import raw
from service.store.indexing.extraction import VERSION
from service.store.versions import (
    FORGET,
    INSERT_INDEX,
    INSERT_NARRATIVES,
    Index,
    forget_narratives,
    index_parameters,
)

#: resources at once: some tenths of a second, in which nobody else can change them
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is."""

    #: `resource.key` up to which it is done, and up to which it will be
    reached: int
    until: int
    complete: bool

    @property
    def done(self) -> bool:
        """Return whether everything was gone through; only then it is complete."""
        return self.complete and self.reached >= self.until

    @property
    def percent(self) -> int:
        """Return how much is done, 0 to 100."""
        return 100 * self.reached // self.until if self.until else 100


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    type: str
    id: str
    patient: str | None
    deleted: bool
    body: str


def progress(tx: Connection, *, tenant: int) -> Progress:
    """Return how far the rows of this release are made; where nothing is known, nothing is done."""
    found = raw(tx).execute(_STATE, [tenant, VERSION]).fetchone()
    return Progress(reached=found[0], until=found[1], complete=found[2]) if found else _NOTHING


def unfinished(state: Progress) -> bool:
    """Return whether a run was stopped before its end, so that the next one goes on where it was."""
    return 0 < state.reached < state.until


def begun(tx: Connection, *, tenant: int) -> bool:
    """Return whether anybody, or a migration, has begun to make the rows of this release."""
    return raw(tx).execute(_STATE, [tenant, VERSION]).fetchone() is not None


def begin(tx: Connection, *, tenant: int) -> Progress:
    """Begin anew from the first resource; until it is done, searches are as they were."""
    raw(tx).execute(_BEGIN, {"tenant": tenant, "version": VERSION})
    return progress(tx, tenant=tenant)


def step(tx: Connection, *, tenant: int) -> Progress:
    """Do the next part, and return how far it is then.

    Several may call it at the same time: each waits for the one before. A writer may hold what is looked at
    and wait for what was: the database then ends one of the two, and `Database.run` repeats it.
    """
    state = raw(tx).execute(_MINE, [tenant, VERSION]).fetchone()
    if state is None or state[0] >= state[1]:
        if state is not None:
            raw(tx).execute(_COMPLETE, [tenant])
        return progress(tx, tenant=tenant)
    reached, until = state
    with raw(tx).cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(_NEXT, [reached, until, tenant, AT_ONCE]).fetchall()
    for_each = Index()
    for row in rows:
        found = search_index.rows(content.read(row.body), patient=row.patient)
        if row.deleted:
            kept = search_index.OF_REMOVED
            found = search_index.Rows(
                values={value: None for value in found.values if (row.type, value.name) in kept}
            )
        for_each.add(row.type, row.id, found)
    if rows:
        keys = [row.key for row in rows]
        raw(tx).execute(FORGET, {"kept": list(search_index.KEPT), "keys": keys})
        with raw(tx).cursor() as cursor:
            forget_narratives(cursor, keys)
        insert = _INSERT_WITH_NARRATIVES if for_each.narratives else _INSERT
        raw(tx).execute(insert, {"keys": keys, "tenant": tenant, **index_parameters(for_each)})
    reached = rows[-1].key if len(rows) == AT_ONCE else until
    raw(tx).execute(_REACHED, [reached, tenant])
    return progress(tx, tenant=tenant)


_NOTHING = Progress(reached=0, until=1, complete=False)

_STATE = "SELECT reached, until, complete FROM reindexing WHERE tenant = %s AND version = %s"
_BEGIN = """
    INSERT INTO reindexing AS r (tenant, version, reached, until, complete, began_at)
    SELECT %(tenant)s, %(version)s, 0, coalesce(max(key), 0), FALSE, clock_timestamp() FROM resource
    ON CONFLICT (tenant) DO UPDATE SET reached = 0, until = excluded.until, began_at = excluded.began_at,
        -- Rows are replaced by the same ones: what was complete stays so.
        complete = r.complete AND r.version = excluded.version, version = excluded.version
"""
_MINE = "SELECT reached, until FROM reindexing WHERE tenant = %s AND version = %s FOR UPDATE"
_NEXT = """
    SELECT key, type, id, patient, deleted, body FROM resource
    WHERE key > %s AND key <= %s AND tenant = %s ORDER BY key LIMIT %s FOR NO KEY UPDATE
"""
_INSERTING = f"""
    WITH written AS (SELECT key, type, id, seq FROM resource WHERE key = ANY(%(keys)s)), {INSERT_INDEX}
"""  # noqa: S608 - constants
_INSERT = f"{_INSERTING} SELECT"
_INSERT_WITH_NARRATIVES = f"{_INSERTING}, {INSERT_NARRATIVES} SELECT"
_REACHED = "UPDATE reindexing SET reached = %s WHERE tenant = %s"
_COMPLETE = "UPDATE reindexing SET complete = TRUE WHERE tenant = %s"
