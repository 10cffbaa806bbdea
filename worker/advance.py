"""Advance patients: read the record of each, decide, write, and keep the promise.

    claim (attempt, lease)                                     a transaction of its own
    read a snapshot · decide · render · save · settle          one transaction
    fail                                                       a transaction of its own

A crash on any line leaves the claim's lease to run out, and the attempt is counted.

Of patients that wait at once some are evaluated in step: they share transactions and round trips, and no
more. Whoever has been tried before is not among them, and where one fails nothing of the others is kept
either: each is then claimed and evaluated by itself. So what ends its worker costs others one attempt at
most, and what holds one patient up does not hold up others for long.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pathways import catalogue, narrative, parameters
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.edition import ENGINE
from pathways.record import Json, Record
from pathways.render import render
from pathways.sheet import Sheet
from pathways.steps import PERSON, Outcome
from service import log, outputs, snapshot
from service.snapshot import Snapshot
from service.store import decisions, driver, promises, raised_events, resources
from service.store.database import Database, of_the_moment
from service.store.driver import Work
from service.store.promises import Claim, LeaseLost
from service.store.raised_events import Event
from service.store.resources import Identity, Prepared, Write
from worker import raised, zones
from worker.heartbeat import renewing
from worker.logged import logged

SENDER = "hipway-engine"
#: the daily look: soon after midnight at the site, spread over an hour so that not all come at once
DAILY = timedelta(minutes=5)
SPREAD_S = 3600

#: a task may take a minute; whoever has not begun by then is left to the sweep, so that nobody is ended for
#: what others took
LONG_S = 20.0
#: in step nobody waits longer for a lock: whoever has to, waits alone
LOCK_IN_STEP_MS = 500

#: tenant, and id of the patient
Who = tuple[int, str]

_FIRST = datetime.min.replace(tzinfo=UTC)

logger = log.get()


class IdTaken(Exception):
    """A resource from outside has the id of an output. Nothing was stored; type and id are named."""


def advance(database: Database, tenant: int, patient: str) -> bool:
    """Evaluate the patient if there is something to do. Returns whether an evaluation was committed.

    A failure is recorded with the promise, which says when to try again; it is not raised, because nobody
    waits for a task to hear of it.
    """
    claims = _claimed(database, [(tenant, patient)])
    return any(_evaluated_alone(database, claim) for claim in claims)


def advance_all(database: Database, patients: Iterable[Who]) -> set[Who]:
    """Evaluate those of the patients for whom there is something to do, as `advance` does.

    Nothing is raised for one of them: the promise is still there, and the sweep wakes somebody again.

    Returns:
        those whose evaluation was committed.
    """
    begun = time.monotonic()
    asked = list(dict.fromkeys(patients))
    done: set[Who] = set()
    if len(asked) > 1:
        try:
            done |= _evaluated_in_step(database, asked)
        except Exception:
            # Each may be claimed all the same.
            logger.exception("not_claimed_in_step", patients=[patient for _, patient in asked])
    for tenant, patient in asked:
        if time.monotonic() - begun > LONG_S:
            # The sweep wakes somebody for those that are left: nothing was claimed.
            break
        if (tenant, patient) in done:
            continue
        try:
            if advance(database, tenant, patient):
                done.add((tenant, patient))
        except Exception:
            # Such as a claim that waits for a worker that stands still. It is nothing of the others.
            logger.exception("evaluation_not_begun", tenant=tenant, patient=patient)
    return done


def _claimed(database: Database, patients: Sequence[Who], *, untried: bool = False) -> list[Claim]:
    def claim(tx: Connection) -> list[Claim]:
        with driver.together(tx):
            if untried:
                driver.wait_at_most(tx, LOCK_IN_STEP_MS)
            claimed = promises.ask_to_claim(tx, patients, untried=untried)
            driver.commit_along(tx)
        return claimed()

    return database.run(claim)


def _evaluated_in_step(database: Database, patients: Sequence[Who]) -> set[Who]:
    """Evaluate those that nobody has tried, all or none, and return whom."""
    claims = _claimed(database, patients, untried=True)
    if len(claims) < 2:
        return {(claim.tenant, claim.patient) for claim in claims if _evaluated_alone(database, claim)}
    try:
        with ExitStack() as leases:
            for claim in claims:
                leases.enter_context(renewing(database, claim))
            moments = database.run(lambda tx: _evaluate(tx, claims), isolation="REPEATABLE READ")
    except Exception as error:  # noqa: BLE001 - told when each is evaluated by itself
        reason, ids = type(error).__name__, [claim.patient for claim in claims]
        logger.warning("not_evaluated_in_step", reason=reason, patients=ids)
        # Until then nobody is claimed: what ends the worker would cost whoever waits for a turn an attempt.
        with database.transaction() as tx:
            promises.put_back(tx, claims)
        return set()
    for claim, now in zip(claims, moments, strict=True):
        _log_done(claim, now)
    return {(claim.tenant, claim.patient) for claim in claims}


def _evaluated_alone(database: Database, claim: Claim) -> bool:
    """Evaluate a patient; return whether it was committed. A failure is recorded with the promise."""
    tenant, patient = claim.tenant, claim.patient
    try:
        with renewing(database, claim):
            (now,) = database.run(lambda tx: _evaluate(tx, [claim]), isolation="REPEATABLE READ")
    except LeaseLost:
        logger.warning("lease_lost", tenant=tenant, patient=patient)
        return False
    except Exception as error:
        # Whatever went wrong holds this patient and is shown; others go on.
        reason = f"{type(error).__name__}: {error}" if _safe(error) else type(error).__name__
        parked = False
        with database.transaction() as tx:
            if of_the_moment(error):
                promises.give_back(tx, claim, reason)
            else:
                parked = promises.fail(tx, claim, reason)
        logger.exception("evaluation_failed", tenant=tenant, patient=patient, reason=reason, parked=parked)
        return False
    _log_done(claim, now)
    return True


def _log_done(claim: Claim, now: datetime) -> None:
    late_s = max(0.0, (now - claim.due_at).total_seconds()) if claim.due_at else 0.0
    logger.info("evaluated", tenant=claim.tenant, patient=claim.patient, attempt=claim.attempt, late_s=late_s)


def _safe(error: Exception) -> bool:
    """Return whether the message is one of ours: names and ids, never a value of a patient."""
    return type(error).__module__.partition(".")[0] in {"pathways", "worker", "service"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What an evaluation writes, with everything locked that it changes."""

    claim: Claim
    seen: Snapshot
    prepared: Prepared | None
    rows: Sequence[decisions.Row]
    events: Sequence[Event]
    next_due: datetime | None

    def ask_to_write(self, tx: Connection) -> Callable[[], None]:
        """Ask for all of it, and return how to learn whether the promise was kept: it raises LeaseLost."""
        claim, now = self.claim, self.seen.moment
        if self.prepared:
            resources.ask_to_write(tx, self.prepared, tenant=claim.tenant, now=now, sender=SENDER)
        decisions.append(tx, self.rows, read=self.seen.read, tenant=claim.tenant)
        raised_events.append(tx, self.events, tenant=claim.tenant)
        return promises.ask_to_settle(tx, claim, self.seen.wanted, self.next_due, now=now)


def _evaluate(tx: Connection, claims: Sequence[Claim]) -> list[datetime]:
    """Do all the work of evaluations in step, and return the moment of each."""
    # Whoever locks what is of several patients takes it in this order.
    in_order = sorted(claims, key=lambda claim: (claim.tenant, claim.patient))
    shared: defaultdict[int, set[Identity]] = defaultdict(set)
    works = [_decide(tx, claim, shared[claim.tenant], impatient=len(claims) > 1) for claim in in_order]
    decided = driver.side_by_side(tx, works)
    with driver.together(tx):
        # Clocks that ran out strike in their order.
        written = [
            each.ask_to_write(tx) for each in sorted(decided, key=lambda one: one.claim.due_at or _FIRST)
        ]
    for assert_kept in written:
        assert_kept()
    moments = {each.claim.token: each.seen.moment for each in decided}
    return [moments[claim.token] for claim in claims]


def _decide(tx: Connection, claim: Claim, shared: set[Identity], *, impatient: bool) -> Work[_Decided]:
    """Read the record, decide, and lock what changes.

    Args:
        shared: what belongs to no patient of the tenant, and an evaluation in step writes already.
        impatient: others are evaluated in step, and do not wait long for what this one waits for.
    """
    if impatient:
        driver.wait_at_most(tx, LOCK_IN_STEP_MS)
    pathways = catalogue.pathways()
    seen = yield from snapshot.reading(tx, claim.patient, pathways, tenant=claim.tenant)
    # Nothing is decided about somebody who is not known, or whose record is joined with another.
    applied = (
        [] if seen.record is None else [_apply(claim, pathway, seen, seen.record) for pathway in pathways]
    )
    writes = {
        write.identity: write
        for one in applied
        for write in _writes(claim, one.written)
        if write.identity not in shared
    }
    shared |= {identity for identity, write in writes.items() if write.patient is None}
    prepared = (yield from _prepare(tx, claim, list(writes.values()))) if writes else None
    versions = prepared.versions if prepared else {}
    numbered = {"/".join(identity): version for identity, version in versions.items()}
    return _Decided(
        claim=claim,
        seen=seen,
        prepared=prepared,
        rows=[row for one in applied for row in one.rows],
        events=[event for one in applied for event in raised.events(one.sheet, one.outcome, numbered)],
        next_due=min(filter(None, (one.next_due for one in applied)), default=None),
    )


class _Applied(NamedTuple):
    """What one pathway decides about a patient."""

    sheet: Sheet
    outcome: Outcome
    written: Sequence[Json]
    rows: Sequence[decisions.Row]
    #: when the patient must be looked at again
    next_due: datetime | None


def _apply(claim: Claim, pathway: Pathway, seen: Snapshot, record: Record) -> _Applied:
    chosen = parameters.concerning(pathway, seen.chosen)
    site = parameters.resolve(pathway, chosen)
    case = Case(
        tenant=claim.tenant,
        record=record,
        memories=seen.memories[pathway.name],
        moment=seen.moment,
        history=seen.history[pathway.name],
        site=site,
        answers_strays=pathway is catalogue.pathways()[0],
    )
    outcome = decide(pathway, case)
    sheet = Sheet(
        pathway=pathway,
        tenant=claim.tenant,
        patient=claim.patient,
        profile=str(chosen.get(parameters.PROFILE, pathway.default_profile)),
        changed=parameters.changed(pathway, site),
        stored={reference: entry.body for reference, entry in record.own.items()},
        engine=ENGINE,
        language=narrative.language(pathway, record.patient.body),
    )
    written = render(sheet, outcome)
    for resource in written:
        outputs.check(resource)
    rows = logged(
        pathway,
        outcome,
        tenant=claim.tenant,
        patient=claim.patient,
        run=claim.token,
        profile=sheet.profile,
        changed=sheet.changed,
        due=claim.due_at,
        zones=zones.edition(),
    )
    next_due = _next(outcome, pathway, claim.patient, str(site["site.timeZone"]))
    return _Applied(sheet, outcome, written, rows, next_due)


def _writes(claim: Claim, written: Iterable[Json]) -> list[Write]:
    return [
        Write(
            type=resource["resourceType"],
            id=resource["id"],
            body=resource,
            # The device that decides is one for all patients.
            patient=None if resource["resourceType"] == "Device" else claim.patient,
            owned=True,
        )
        for resource in written
    ]


def _prepare(tx: Connection, claim: Claim, writes: Sequence[Write]) -> Work[Prepared]:
    """Lock what the outputs change.

    Raises:
        IdTaken: somebody else has stored a resource under one of our ids; it is not written over.
    """

    def keep_patient() -> None:
        # Not removed meanwhile; if it was, the database asks for the work again.
        resources.keep(tx, ("Patient", claim.patient), tenant=claim.tenant)

    prepared = yield from resources.preparing(tx, writes, tenant=claim.tenant, besides=keep_patient)
    for head in prepared.heads.values():
        if not head.owned:
            raise IdTaken(f"{head.type}/{head.id}")
    return prepared


def _next(outcome: Outcome, pathway: Pathway, patient: str, zone: str) -> datetime | None:
    """Return the earlier of the next instant a rule named and the next daily look."""
    alive = any(
        memory.stage is not None and not memory.closed
        for instance, memory in outcome.memories.items()
        if instance != PERSON
    )
    if not alive:
        return outcome.next_due
    site = ZoneInfo(zone)
    spread = int.from_bytes(hashlib.sha256(f"{pathway.name}/{patient}".encode()).digest()[:4]) % SPREAD_S
    local = outcome.at.astimezone(site)
    midnight = datetime.combine(local.date(), datetime.min.time(), site)
    daily = midnight + DAILY + timedelta(seconds=spread)
    if daily <= outcome.at:
        tomorrow = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), site)
        daily = tomorrow + DAILY + timedelta(seconds=spread)
    return min(filter(None, (outcome.next_due, daily)))
