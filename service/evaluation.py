"""Asking for an evaluation and waiting until it is committed: the sandbox and the pages do.

It runs in a worker, through the same task as any other; here one only waits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from service import broker, clock
from service.settings import Settings
from service.store import decisions, promises, standings, tables
from service.store.database import Database

POLL_S = 0.02
#: How many patients a drain wakes at once.
BATCH = 200


class Parked(Exception):
    """The evaluation failed too often and waits for a person. The reason holds ids only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one evaluation wrote to the log; `id` is None when it changed nothing."""

    id: UUID | None
    at: datetime
    rows: Sequence[decisions.Row]


def evaluate_now(
    database: Database, settings: Settings, patient: str, *, tenant: int = 0, timeout_s: float = 30
) -> Run | None:
    """Evaluate the patient once, now, and return what was decided; None if it did not end in time.

    Raises:
        Parked: a rule erred; others go on.
    """
    with database.transaction() as tx:
        now = clock.now(tx)
        last = _last_key(tx, patient, tenant)
        promises.want(tx, patient, tenant=tenant, due_at=now, forced=True)
    broker.wake(settings, tenant, patient)
    if not wait(database, patient, tenant=tenant, timeout_s=timeout_s):
        return None
    with database.transaction() as tx:
        ids = tx.execute(
            select(tables.decision.c.run)
            .where(
                tables.decision.c.tenant == tenant,
                tables.decision.c.patient == patient,
                tables.decision.c.key > last,
            )
            .order_by(tables.decision.c.key)
        ).scalars()
        runs = list(dict.fromkeys(ids))
        rows = [row for run in runs for row in decisions.of_run(tx, run, tenant=tenant)]
    return Run(id=runs[-1] if runs else None, at=now, rows=rows)


def wait(database: Database, patient: str, *, tenant: int = 0, timeout_s: float) -> bool:
    """Wait until everything that has arrived for the patient is evaluated; False after the time-out.

    Raises:
        Parked: the patient's promise is parked.
    """
    end = time.monotonic() + timeout_s
    while True:
        with database.transaction() as tx:
            standing = standings.of_patient(tx, patient, tenant=tenant)
        if standing is None or (standing.arrivals == 0 and standing.lease_until is None):
            return True
        if standing.parked_at is not None:
            raise Parked(standing.failed_reason or "the evaluation failed")
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_S)


def drain(database: Database, settings: Settings, *, timeout_s: float = 120) -> bool:
    """Wake everything that is due and wait until nothing is; False after the time-out."""
    end = time.monotonic() + timeout_s
    woken: set[tuple[int, str]] = set()
    while time.monotonic() < end:
        with database.transaction() as tx:
            waiting = standings.waiting(tx, clock.now(tx))
            due = promises.due(tx, clock.now(tx), BATCH)
        if waiting.count == 0:
            return True
        for found in due:
            if (found.tenant, found.patient) not in woken:
                woken.add((found.tenant, found.patient))
                broker.wake(settings, found.tenant, found.patient)
        time.sleep(POLL_S)
    return False


def _last_key(tx: Connection, patient: str, tenant: int) -> int:
    found = tx.execute(
        select(tables.decision.c.key)
        .where(tables.decision.c.tenant == tenant, tables.decision.c.patient == patient)
        .order_by(tables.decision.c.key.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found or 0
