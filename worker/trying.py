"""Try on each patient who has a code what would follow if it had a meaning, or had it no more.

Each patient is evaluated twice, and nothing of it is stored but what would be different. It is long work:
somebody whose evaluation is due goes first.
"""

import time
from collections.abc import Callable, Sequence

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service import log, preview
from service.fhir import knowledge
from service.fhir.translation import Translations
from service.preview import Preview, Use
from service.store import previews, site
from service.store.database import RETRIED, Database, of_the_moment, sqlstate
from service.store.leased import Claim, LeaseLost
from service.store.previews import Row
from worker import steps

#: how long one step goes on: what is tried is noted, and seen on the page, about as often
STEP_S = 1.0
#: patients whose uses of the code are read at once
AT_ONCE = 20


def run(
    database: Database,
    tenant: int,
    id_: str,
    *,
    for_s: float = steps.TASK_S,
    step_s: float = STEP_S,
    after_step: Callable[[], None] = lambda: None,
) -> bool:
    """Do steps of a preview, as `steps.run` does them, and return whether one was done."""
    return steps.run(
        database,
        "preview",
        id_,
        lambda tx, claim: _try(tx, claim, step_s),
        tenant=tenant,
        for_s=for_s,
        after_step=after_step,
    )


def _try(tx: Connection, claim: Claim, step_s: float) -> bool:
    """Try some patients; return whether they were the last."""
    end = time.monotonic() + step_s
    tenant = claim.tenant
    asked = previews.find(tx, claim.id, tenant=tenant)
    if asked is None:
        # Decided on, or ended, since it was claimed.
        raise LeaseLost
    maps = site.read(tx, tenant=tenant).concept_maps
    question = asked.question
    changed = preview.changed(
        knowledge.translations(tx, maps, tenant=tenant),
        question.source,
        question.target,
        gives=question.gives,
    )
    gone = asked.gone
    while patients := previews.untried(tx, claim.id, gone, AT_ONCE, tenant=tenant):
        uses = preview.uses_of(tx, question.source, patients, tenant=tenant)
        for patient in patients:
            gone += 1
            found = _of(tx, patient, changed, uses[patient], tenant=tenant)
            if found.effects or found.failed:
                row = Row(patient=patient, effects=preview.written(found.effects), failed=found.failed)
                previews.add(tx, claim.id, gone, row, tenant=tenant)
            if time.monotonic() >= end and gone < asked.total:
                previews.reached(tx, claim, gone=gone)
                return False
    previews.finished(tx, claim, gone=gone)
    return True


def _of(tx: Connection, patient: str, changed: Translations, uses: Sequence[Use], *, tenant: int) -> Preview:
    """Return what would happen to a patient; of one who cannot be tried, why: the others still are."""
    try:
        with tx.begin_nested():
            return preview.of(tx, patient, changed, uses, tenant=tenant)
    except Exception as error:
        if of_the_moment(error) or _to_be_repeated(error):
            raise
        # The message may hold what a record says; the name of the error tells where to look.
        reason = type(error).__name__
        log.get().exception("patient_not_tried", tenant=tenant, patient=patient, reason=reason)
        return Preview(patient=patient, effects=(), failed=reason)


def _to_be_repeated(error: Exception) -> bool:
    return isinstance(error, (DBAPIError, psycopg.Error)) and sqlstate(error) in RETRIED
