"""A ConceptMap changed: what was stored before is given the translations that hold now.

    state of the maps differs -> all resources, by key, some thousand at a time -> new versions, and a promise
    for each patient, in the same transaction -> all once more, when nobody can be at work on the old state

A resource whose translation changes gets a new version: it is received now, so the rules see it as what it
is, something that could not be read until now. What the sender sent stays in its history.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, text

from service.fhir import knowledge, translation
from service.fhir.translation import Translations
from service.store import content, driver, horizon, promises, resources, site
from service.store.driver import raw
from service.store.resources import Stored, Write
from service.store.site import Site

#: the tenant that is served, and so translated
TENANTS = (0,)
#: `resource.key`s that one step looks at, and resources that it reads at most: a fraction of a second
WINDOW = 20_000
AT_ONCE = 500
#: More codes than this the database does not look for: everything that may be translated is read.
SEARCHED = 500
#: A Bundle that began under the old state of the maps has ended by then, see the time-outs of the store.
#: What it stored is found by the second look.
GRACE_S = 90.0
LOOKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is."""

    #: the state of the ConceptMaps that it is about
    maps: str
    #: `resource.key` up to which it has looked, and up to which it will
    reached: int
    until: int
    #: resources that were given a new version
    changed: int
    looks: int

    @property
    def percent(self) -> int:
        """Return how much of what is stored has been looked at once, 0 to 100."""
        return 100 if self.looks or not self.until else 100 * self.reached // self.until


class _Row(NamedTuple):
    key: int
    type: str
    id: str


def step(tx: Connection, *, tenant: int, grace_s: float = GRACE_S) -> bool:
    """Do the next part of the work, and return whether there may be more to do at once.

    Several processes may call it at the same time: one of them does the work.

    Args:
        grace_s: how long after the first look the second one begins.
    """
    horizon.announce(tx)
    at = site.read(tx, tenant=tenant)
    _begin(tx, state(at), tenant=tenant)
    found = raw(tx).execute(_MINE, {"tenant": tenant, "looks": LOOKS, "grace": grace_s}).fetchone()
    if found is None:
        return False
    reached, until = found
    rows = _candidates(tx, reached, until, tenant=tenant)
    changed = _retranslate(tx, rows, at, tenant=tenant)
    reached = rows[-1].key if len(rows) == AT_ONCE else min(until, reached + WINDOW)
    over = reached >= until
    done = {"reached": reached, "until": until, "changed": changed, "over": int(over)}
    raw(tx).execute(_REACHED, {"tenant": tenant, **done})
    return not over


def progress(tx: Connection, *, tenant: int) -> Progress | None:
    """Return how far it is; None while no ConceptMap has ever changed anything."""
    statement = "SELECT maps, reached, until, changed, looks FROM retranslation WHERE tenant = :tenant"
    row = tx.execute(text(statement), {"tenant": tenant}).mappings().one_or_none()
    return Progress(**row) if row else None


def state(at: Site) -> str:
    """Return the state of the ConceptMaps, as the table keeps it."""
    maps, seq, _ = at.concept_maps
    return f"{maps}:{seq}"


# A changed state begins anew; what is looked at again is found in line and changes nothing.
_BEGIN = """
    INSERT INTO retranslation AS r (tenant, maps, reached, until, changed, looks, began_at)
    VALUES (%(tenant)s, %(maps)s, 0, 0, 0, 0, clock_timestamp())
    ON CONFLICT (tenant) DO UPDATE SET maps = excluded.maps, reached = 0, until = 0,
        changed = 0, looks = 0, began_at = excluded.began_at
    WHERE r.maps <> excluded.maps
"""
# What came since the first look belongs to the second one: some of it was translated as before.
_MINE = """
    SELECT reached, CASE reached WHEN 0 THEN (SELECT coalesce(max(key), 0) FROM resource) ELSE until END
    FROM retranslation
    WHERE tenant = %(tenant)s AND looks < %(looks)s
        AND (looks = 0 OR began_at + %(grace)s * interval '1 second' <= clock_timestamp())
    FOR UPDATE SKIP LOCKED
"""
_REACHED = """
    UPDATE retranslation SET
        reached = CASE %(over)s WHEN 1 THEN 0 ELSE %(reached)s END,
        until = %(until)s,
        changed = changed + %(changed)s,
        looks = looks + %(over)s
    WHERE tenant = %(tenant)s
"""
_KNOWN = "SELECT maps FROM retranslation WHERE tenant = %s"
_MAPS = """
    SELECT body FROM resource WHERE tenant = :tenant AND type = 'ConceptMap'
    UNION ALL SELECT body FROM history WHERE tenant = :tenant AND type = 'ConceptMap'
"""
_CANDIDATES = """
    SELECT key, type, id FROM resource
    WHERE key > %(reached)s AND key <= %(end)s AND tenant = %(tenant)s AND type = ANY(%(types)s)
        AND NOT owned AND NOT deleted AND (%(codes)s::text IS NULL OR body ~ %(codes)s)
    ORDER BY key LIMIT %(limit)s
"""


def _begin(tx: Connection, maps: str, *, tenant: int) -> None:
    known = raw(tx).execute(_KNOWN, [tenant]).fetchone()
    nothing_yet = known is None and maps.startswith("0:")
    if not nothing_yet and (known is None or known[0] != maps):
        raw(tx).execute(_BEGIN, {"tenant": tenant, "maps": maps})


def _candidates(tx: Connection, reached: int, until: int, *, tenant: int) -> list[_Row]:
    """Return what names a code that some version of some map translates, or did."""
    bodies = tx.execute(text(_MAPS), {"tenant": tenant}).scalars()
    codes = _sources(content.read(body) for body in bodies)
    if not codes:
        return []
    with raw(tx).cursor(row_factory=namedtuple_row) as cursor:
        parameters = {
            "tenant": tenant,
            "reached": reached,
            "end": min(until, reached + WINDOW),
            "types": list(translation.TRANSLATED),
            "codes": '"(' + "|".join(codes) + ')"' if len(codes) <= SEARCHED else None,
            "limit": AT_ONCE,
        }
        return [_Row(*row) for row in cursor.execute(_CANDIDATES, parameters)]


def _sources(maps: Iterable[dict[str, Any]]) -> list[str]:
    """Return the source codes of the maps, as they stand in JSON, escaped for a regular expression."""
    codes = {
        str(element.get("code", ""))
        for body in maps
        for group in body.get("group", ())
        for element in group.get("element", ())
    }
    return sorted(re.escape(json.dumps(code, ensure_ascii=False)[1:-1]) for code in codes if code)


def _retranslate(tx: Connection, rows: Sequence[_Row], at: Site, *, tenant: int) -> int:
    """Write new versions of those whose translation is another now, and return how many."""
    translations = knowledge.translations(tx, at.concept_maps, tenant=tenant)
    now = at.clock.now
    received = now.replace(microsecond=now.microsecond // 1000 * 1000)
    writes = _writes(tx, rows, translations, tenant=tenant)
    for sender, theirs in _by_sender(tx, writes, tenant=tenant).items():
        resources.save(tx, theirs, tenant=tenant, now=received, sender=sender)
    for patient in sorted({write.patient for write in writes if write.patient}):
        promises.want(tx, patient, tenant=tenant, due_at=now)
    return len(writes)


def _writes(tx: Connection, rows: Sequence[_Row], translations: Translations, *, tenant: int) -> list[Write]:
    """Return new versions of those that are not as they are translated now; they are locked."""
    with driver.together(tx):
        answer = resources.ask_all(tx, {(row.type, row.id) for row in rows}, tenant=tenant)
    outdated = {identity for identity, found in answer().items() if _outdated(found, translations)}
    # A sender may have changed one meanwhile; what is read under the lock is what is translated.
    locked = resources.lock(tx, outdated, tenant=tenant)
    return [
        Write(
            type=found.type,
            id=found.id,
            body=translation.applied(found.resource, translations),
            patient=found.patient,
        )
        for found in locked.values()
        if not found.deleted and _outdated(found, translations)
    ]


def _by_sender(tx: Connection, writes: Sequence[Write], *, tenant: int) -> dict[str, list[Write]]:
    """Return the writes by who sent what they translate: whose data it is does not change."""
    senders = resources.senders(tx, [write.identity for write in writes], tenant=tenant)
    found: dict[str, list[Write]] = {}
    for write in writes:
        found.setdefault(senders[write.identity], []).append(write)
    return found


def _outdated(found: Stored, translations: Translations) -> bool:
    resource = found.resource
    return translation.applied(resource, translations) is not resource
