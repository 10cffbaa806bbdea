"""Open Tasks of a pathway whose due date has passed: each is told once.

Nothing writes a Task when it becomes overdue, so somebody has to look. What is told is remembered, and not
when it was last looked: a sweep that stood still tells later, and two that look at once tell once.
"""

from datetime import datetime

from sqlalchemy import Connection, text

from fhir_profiles import topics
from service.store import content, raised_events, resources
from service.store.raised_events import Event
from service.subscriptions import labels

#: in one transaction; the rest in the next
AT_ONCE = 200
#: a status in which somebody still has to do it, http://hl7.org/fhir/R4/valueset-task-status.html
OPEN = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")


def tell(tx: Connection, now: datetime, *, tenant: int) -> int:
    """Raise an event for each Task that has become overdue, and return how many there were.

    Args:
        now: the service clock, which due dates follow.
    """
    names = {"tenant": tenant, "now": now, "open": list(OPEN), "limit": AT_ONCE}
    found = tx.execute(text(_TELL), names).all()
    tasks = {row.id: content.read(row.body) for row in found}
    plans = {
        id_: reference["reference"].partition("/")[2]
        for id_, task in tasks.items()
        for reference in task.get("basedOn", ())
        if reference.get("reference", "").startswith("CarePlan/")
    }
    wanted = {("CarePlan", plan) for plan in plans.values()}
    known = {
        id_: stored.resource for (_, id_), stored in resources.ask_all(tx, wanted, tenant=tenant)().items()
    }
    events = [
        Event(
            topic=topics.TASK_OVERDUE,
            patient=row.patient,
            type="Task",
            id=row.id,
            version=row.version,
            labels=labels.of(tasks[row.id], known.get(plans.get(row.id, ""))),
            at=now,
        )
        for row in sorted(found, key=lambda row: row.key)
    ]
    raised_events.append(tx, events, tenant=tenant)
    return len(events)


# The Tasks that are open are few among all there ever were, and stand in an index of their own. The fence of
# OFFSET 0 keeps the dates of others' Tasks, which may be a month alone, from being read as moments.
_TELL = """
    WITH late AS (
        SELECT tenant, id FROM (
            SELECT r.tenant, r.id, r.body FROM resource r
            WHERE r.tenant = :tenant AND r.type = 'Task' AND r.owned AND NOT r.deleted
                AND r.status = ANY(:open)
                AND NOT EXISTS (SELECT FROM overdue_task o WHERE o.tenant = r.tenant AND o.id = r.id)
            OFFSET 0
        ) AS untold
        WHERE (body::json #>> '{restriction,period,end}')::timestamptz < :now
        LIMIT :limit
    ), told AS (
        INSERT INTO overdue_task (tenant, id) SELECT tenant, id FROM late ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT r.key, r.id, r.version, r.patient, r.body FROM told
    JOIN resource r ON r.tenant = :tenant AND r.type = 'Task' AND r.id = told.id
"""
