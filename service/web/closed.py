"""*Closed today*: which Tasks were completed or cancelled since midnight at the site, by whom and when.

A Task is closed by the version that follows its last open one, so what is written into a closed Task later
does not bring it back. Who closed it is told by the Provenance of that moment: the decision it rests on, or
else the rule (http://hl7.org/fhir/R4/provenance.html).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from service.store.driver import only, raw
from service.web import elements, people, queries, tasks
from service.web.elements import OPEN_TASK, Json
from service.web.moments import Moments
from service.web.tasks import Work
from service.web.words import Words

#: under which sender the engine stores what it makes
ENGINE = "hipway-engine"

#: what a Task ends in; one of these is final (http://hl7.org/fhir/R4/valueset-task-status.html)
CLOSED_TASK = ("completed", "cancelled", "failed", "rejected", "entered-in-error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A Task that was closed, and the version that closed it."""

    task: Json
    at: datetime
    #: who sent that version
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A closed Task as the page says it."""

    work: Work
    status: str
    at: datetime
    #: who closed it, in words
    by: str
    #: what for: the decision or the rule, in words; empty where nobody tells
    through: str


def day(when: Moments) -> datetime:
    """Return when today began at the site."""
    return datetime.combine(when.now.date(), datetime.min.time(), when.zone)


def count(tx: Connection, since: datetime, *, tenant: int) -> int:
    """Return how many Tasks were closed since then."""
    return int(only(raw(tx).execute(_COUNT, _asked(since, tenant)))[0])


def read(tx: Connection, since: datetime, offset: int, limit: int, *, tenant: int) -> list[Closing]:
    """Return some of the Tasks that were closed since then, the latest first."""
    rows = tx.execute(text(_FIND), {**_asked(since, tenant), "offset": offset, "limit": limit})
    return [
        Closing(task=msgspec.json.decode(row.body), at=row.closed_at, sender=row.closed_by) for row in rows
    ]


def tell(
    tx: Connection, closings: Sequence[Closing], when: Moments, words: Words, *, tenant: int
) -> list[Closed]:
    """Return the closed Tasks in words. Three queries, however many there are."""
    reasons = _provenances(tx, closings, tenant=tenant)
    decided = {_decision(reasons.get(str(c.task["id"]))) for c in closings} - {""}
    decisions = queries.of_type(tx, "Task", decided, tenant=tenant)
    actors = {elements.reference(d.get("owner")) for d in decisions.values()} | {c.sender for c in closings}
    names = people.names_of(tx, actors, tenant=tenant)
    return [_tell(c, reasons.get(str(c.task["id"])), decisions, names, when, words) for c in closings]


def _tell(
    closing: Closing,
    reason: Json | None,
    decisions: Mapping[str, Json],
    names: Mapping[str, str],
    when: Moments,
    words: Words,
) -> Closed:
    decision = decisions.get(_decision(reason))
    if decision is not None:
        owner = decision.get("owner") or {}
        actor = elements.reference(owner)
        by = names.get(actor) or str(owner.get("display") or actor) or words("not_recorded")
        through = elements.say(words.reworded(decision.get("code")))
    elif reason is not None or closing.sender == ENGINE:
        by = words("closed.by.pathway")
        through = elements.say(words.reworded((reason or {}).get("activity")))
    else:
        by, through = names.get(closing.sender, closing.sender), ""
    return Closed(
        work=tasks.read(closing.task, when, words),
        status=words.code("status", str(closing.task.get("status", ""))),
        at=closing.at,
        by=by,
        through=through,
    )


def _decision(provenance: Json | None) -> str:
    """Return the id of the decision that a Provenance names as its source; empty for none."""
    sources = (elements.reference(e.get("what")) for e in (provenance or {}).get("entity", ()))
    return next((s.partition("/")[2] for s in sources if s.startswith("Task/")), "")


def _provenances(tx: Connection, closings: Sequence[Closing], *, tenant: int) -> dict[str, Json]:
    """Return the Provenance of the moment in which each Task was closed, by the id of the Task."""
    asked = {
        "tenant": tenant,
        "targets": [f"Task/{c.task['id']}" for c in closings],
        "times": [c.at for c in closings],
    }
    rows = tx.execute(text(_PROVENANCES), asked)
    return {row.target.partition("/")[2]: msgspec.json.decode(row.body) for row in rows}


def _asked(since: datetime, tenant: int) -> dict[str, Any]:
    return {"tenant": tenant, "since": since, "open": list(OPEN_TASK), "closed": list(CLOSED_TASK)}


#: in the words of the index `resource_of_task_time`
_CLOSED = """
    FROM resource AS t CROSS JOIN LATERAL (
        SELECT received AS closed_at, sender AS closed_by FROM (
            SELECT version, received, sender FROM history
            WHERE tenant = :tenant AND type = 'Task' AND id = t.id AND version > coalesce(
                (SELECT max(version) FROM history WHERE tenant = :tenant AND type = 'Task' AND id = t.id
                    AND status = ANY(:open)), 0)
            UNION ALL SELECT t.version, t.received, t.sender
        ) AS closed ORDER BY version LIMIT 1
    ) AS c
    WHERE t.tenant = :tenant AND t.owned AND NOT t.deleted AND t.type = 'Task' AND t.received >= :since
        AND t.status = ANY(:closed) AND c.closed_at >= :since
"""
# Every worklist counts, so each history is gone through once. No version was received before the one before
# it. So a Task was closed before `since` exactly if a version of before `since` follows its last open one.
# With the fence of OFFSET 0 Tasks are found by their time: the planner would rather read all that are closed
# than look at some more histories.
_COUNT = """
    SELECT count(*) FROM (
        SELECT id, status FROM resource
        WHERE tenant = %(tenant)s AND owned AND NOT deleted AND type = 'Task' AND received >= %(since)s
        OFFSET 0
    ) AS t
    WHERE t.status = ANY(%(closed)s::text[]) AND (
        SELECT coalesce(max(version) FILTER (WHERE received < %(since)s), 0)
            <= coalesce(max(version) FILTER (WHERE status = ANY(%(open)s::text[])), 0)
        FROM history WHERE tenant = %(tenant)s AND type = 'Task' AND id = t.id)
"""
_FIND = (
    f"SELECT t.body, c.closed_at, c.closed_by {_CLOSED} "
    "ORDER BY c.closed_at DESC, t.key DESC OFFSET :offset LIMIT :limit"
)
_PROVENANCES = """
    SELECT w.target, r.body
    FROM unnest(CAST(:targets AS text[]), CAST(:times AS timestamptz[])) AS w (target, at)
    JOIN search_value AS v ON v.tenant = :tenant AND v.type = 'Provenance' AND v.name = 'target'
        AND v.value = w.target AND v.system = ''
    JOIN resource AS r ON r.key = v.key AND r.received = w.at AND r.owned AND NOT r.deleted
    ORDER BY r.key
"""
