"""Long work, step by step; between two of them whoever waits for a worker goes first.

claim (attempt, lease)       a transaction of its own
the step, and its place      one transaction, at most some seconds
failed                       a transaction of its own
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection

from service import clock, log
from service.fhir.refusals import NotIndexed
from service.store import leased, promises
from service.store.database import Database, of_the_moment
from service.store.leased import Claim, LeaseLost, Work

#: how long a worker goes on before it takes its next message; well below the limit of a task
TASK_S = 20.0

#: does one step, within a transaction, and returns whether it was the last
Step = Callable[[Connection, Claim], bool]

logger = log.get()


def run(
    database: Database,
    work: Work,
    id_: str,
    step: Step,
    *,
    tenant: int,
    for_s: float = TASK_S,
    after_step: Callable[[], None] = lambda: None,
) -> bool:
    """Do steps until all is done, the time is over, or a patient waits to be evaluated.

    A failure is recorded with the work, which says when to try again; nobody waits to hear of it.

    Args:
        after_step: called after each, such as to say that this process lives.

    Returns:
        whether a step was done.
    """
    end = time.monotonic() + for_s
    did = False
    while _step(database, work, id_, step, tenant=tenant):
        did = True
        after_step()
        if time.monotonic() >= end or _somebody_waits(database):
            break
    return did


def _step(database: Database, work: Work, id_: str, step: Step, *, tenant: int) -> bool:
    """Do one step and return whether it was done."""
    with database.transaction() as tx:
        claim = leased.claim(tx, work, id_, tenant=tenant)
    if claim is None:
        return False
    try:
        done = database.run(lambda tx: step(tx, claim), isolation="REPEATABLE READ")
    except LeaseLost:
        logger.warning("lease_lost", work=work, tenant=tenant, id=id_)
        return False
    except Exception as error:
        # The message may hold what a record says; the name of the error tells where to look.
        reason = type(error).__name__
        given_up = False
        with database.transaction() as tx:
            # What waits for the index is not to blame, either, however long that takes.
            if of_the_moment(error) or isinstance(error, NotIndexed):
                leased.give_back(tx, claim, reason)
            else:
                given_up = leased.failed(tx, claim, reason)
        logger.exception("step_failed", work=work, tenant=tenant, id=id_, reason=reason, given_up=given_up)
        return False
    logger.info("work_finished" if done else "step_done", work=work, tenant=tenant, id=id_)
    return True


def _somebody_waits(database: Database) -> bool:
    with database.transaction() as tx:
        return bool(promises.due(tx, clock.now(tx), 1))
