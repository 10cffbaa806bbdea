"""Advance patients: read the record of each, decide, write, and keep the promise.

    claim (attempt, lease)                                     a transaction of its own
    read a snapshot · decide · render · save · settle          one transaction
    fail                                                       a transaction of its own

A crash on any line leaves the claim's lease to run out, and the attempt is counted.

Of patients that wait at once some are evaluated in step: they share transactions and round trips, and no
more. Where one fails nothing of the others is kept either, and each is evaluated by itself. So is whoever has
been tried before: what ends its worker takes the others with it once at most.
"""

import hashlib
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
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
from service.store.resources import Write
from worker import raised, zones
from worker.heartbeat import renewing
from worker.logged import logged

SENDER = "hipway-engine"
#: the daily look: soon after midnight at the site, spread over an hour so that not all come at once
DAILY = timedelta(minutes=5)
SPREAD_S = 3600

_FIRST = datetime.min.replace(tzinfo=UTC)

logger = log.get()


class IdTaken(Exception):
    """A resource from outside has the id of an output. Nothing was stored; type and id are named."""


def advance(database: Database, tenant: int, patient: str) -> bool:
    """Evaluate the patient if there is something to do. Returns whether an evaluation was committed.

    A failure is recorded with the promise, which says when to try again; it is not raised, because nobody
    waits for a task to hear of it.
    """
    return advance_all(database, [(tenant, patient)]) == 1


def advance_all(database: Database, patients: Collection[tuple[int, str]]) -> int:
    """Evaluate those of the patients for whom there is something to do, as `advance` does.

    Args:
        patients: tenant and id.

    Returns:
        how many evaluations were committed.
    """
    with database.transaction() as tx:
        with driver.together(tx):
            claimed = promises.ask_to_claim(tx, patients)
            driver.commit_along(tx)
        claims = claimed()
    # Clocks that ran out strike in their order; whom a person asks for comes first.
    claims.sort(key=lambda claim: claim.due_at or _FIRST)
    untried = [claim for claim in claims if claim.attempt == 1]
    done = untried if len(untried) > 1 and _evaluated_in_step(database, untried) else []
    return len(done) + sum(_evaluated_alone(database, claim) for claim in claims if claim not in done)


def _evaluated_in_step(database: Database, claims: Collection[Claim]) -> bool:
    """Evaluate all or none; return whether it was all."""
    try:
        with ExitStack() as leases:
            for claim in claims:
                leases.enter_context(renewing(database, claim))
            moments = database.run(
                lambda tx: driver.side_by_side(tx, [_evaluate(tx, claim) for claim in claims]),
                isolation="REPEATABLE READ",
            )
    except Exception:
        # Whose it was is seen when each is evaluated by itself, and told there.
        logger.exception("not_evaluated_in_step", patients=len(claims))
        return False
    for claim, now in zip(claims, moments, strict=True):
        _log_done(claim, now)
    return True


def _evaluated_alone(database: Database, claim: Claim) -> bool:
    """Evaluate a patient; return whether it was committed. A failure is recorded with the promise."""
    tenant, patient = claim.tenant, claim.patient
    try:
        with renewing(database, claim):
            now = database.run(lambda tx: driver.alone(tx, _evaluate(tx, claim)), isolation="REPEATABLE READ")
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


def _evaluate(tx: Connection, claim: Claim) -> Work[datetime]:
    """Do all the work of one evaluation and return its moment."""
    pathways = catalogue.pathways()
    seen = yield from snapshot.reading(tx, claim.patient, pathways, tenant=claim.tenant)
    now = seen.moment
    next_due: datetime | None = None
    rows: list[decisions.Row] = []
    events: list[Event] = []
    if seen.record is not None:
        for pathway in pathways:
            first = pathway is pathways[0]
            decided, told, due = yield from _apply(tx, claim, pathway, seen, seen.record, now, first=first)
            rows += decided
            events += told
            next_due = min(filter(None, (next_due, due)), default=None)
    decisions.append(tx, rows, read=seen.read, tenant=claim.tenant)
    raised_events.append(tx, events, tenant=claim.tenant)
    settled = promises.ask_to_settle(tx, claim, seen.wanted, next_due, now=now)
    yield
    settled()
    return now


def _apply(
    tx: Connection,
    claim: Claim,
    pathway: Pathway,
    seen: Snapshot,
    record: Record,
    now: datetime,
    *,
    first: bool,
) -> Work[tuple[list[decisions.Row], list[Event], datetime | None]]:
    """Apply one pathway; return its decisions, its events, and when the patient must be looked at again."""
    chosen = parameters.concerning(pathway, seen.chosen)
    site = parameters.resolve(pathway, chosen)
    case = Case(
        tenant=claim.tenant,
        record=record,
        memories=seen.memories[pathway.name],
        moment=now,
        history=seen.history[pathway.name],
        site=site,
        answers_strays=first,
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
    versions = yield from _save(tx, claim, written, now)
    decided = logged(
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
    events = raised.events(sheet, outcome, versions)
    return decided, events, _next(outcome, pathway, claim.patient, str(site["site.timeZone"]))


def _save(tx: Connection, claim: Claim, written: Iterable[Json], now: datetime) -> Work[dict[str, int]]:
    """Ask for the outputs to be stored, and return the version that each has then, by its reference.

    Raises:
        IdTaken: somebody else has stored a resource under one of our ids; it is not written over.
    """
    writes = [
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
    if not writes:
        return {}

    def keep_patient() -> None:
        # Not removed meanwhile; if it was, the database asks for the work again.
        resources.keep(tx, ("Patient", claim.patient), tenant=claim.tenant)

    prepared = yield from resources.preparing(tx, writes, tenant=claim.tenant, besides=keep_patient)
    for head in prepared.heads.values():
        if not head.owned:
            raise IdTaken(f"{head.type}/{head.id}")
    resources.ask_to_write(tx, prepared, tenant=claim.tenant, now=now, sender=SENDER)
    return {"/".join(identity): version for identity, version in prepared.versions.items()}


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
