"""Play many stories along one clock: post what is posted then, evaluate what is evaluated then, go on.

The clock is held, so an evaluation happens when it is asked for and at no other time. That makes
the outcome of every patient a matter of the story alone, whatever is killed in between.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy import Connection, text

from chaos import fingerprint
from chaos.copies import Step
from chaos.hospital import Hospital
from chaos.site import Site
from service import broker, clock
from service.store import promises
from service.stories import orders, placeholders

SENDERS = 12

#: how long nothing may come of the evaluations of one instant, with everything that dies meanwhile
STALLED_S = 180.0
#: counting those who wait costs the database the more, the more they are
LOOK_AGAIN_S = (0.05, 1.0)


class NotEvaluated(Exception):
    """Something is still waiting, long after it should have been done."""


def play(site: Site, hospital: Hospital, steps: Sequence[Step]) -> None:
    """Play every step at its time.

    Raises:
        chaos.hospital.Refused: a Bundle was answered with an error.
        NotEvaluated: naming how many patients wait.
    """
    with ThreadPoolExecutor(SENDERS) as senders:
        for instant, posted, evaluated in _instants(steps):
            site.run(lambda tx, now=instant: clock.set_(tx, now, held=True))
            # Evaluated first: a visit at this instant comes after it.
            _evaluate(site, evaluated)
            list(senders.map(lambda step: _post(site, hospital, step), posted))


def _instants(steps: Sequence[Step]) -> Iterator[tuple[datetime, list[Step], list[Step]]]:
    posted, evaluated = defaultdict(list), defaultdict(list)
    for step in steps:
        if step.bundle is not None:
            posted[step.at].append(step)
        evaluated[step.evaluated_at].append(step)
    for instant in sorted({*posted, *evaluated}):
        yield instant, posted[instant], evaluated[instant]


def _post(site: Site, hospital: Hospital, step: Step) -> None:
    bundle = step.bundle
    assert bundle is not None
    found = placeholders.wanted(bundle)
    if found:
        record = site.run(lambda tx: fingerprint.record(tx, step.patient))
        bundle = placeholders.replaced(bundle, placeholders.meanings(found, record, orders.names()))
    hospital.send(bundle)


def _evaluate(site: Site, steps: Sequence[Step]) -> None:
    patients = [step.patient for step in steps]
    if not patients:
        return
    site.run(lambda tx: _want(tx, patients))
    for patient in patients:
        broker.wake(site.settings, 0, patient)
    fewest, end = math.inf, 0.0
    shortest, longest = LOOK_AGAIN_S
    while left := site.run(_asked_for):
        if left < fewest:
            fewest, end = left, time.monotonic() + STALLED_S
        elif time.monotonic() > end:
            raise NotEvaluated(f"{left} patients wait")
        time.sleep(min(longest, shortest + left / 10_000))


def _want(tx: Connection, patients: Sequence[str]) -> None:
    now = clock.now(tx)
    for patient in patients:
        promises.want(tx, patient, tenant=0, due_at=now, forced=True)


def _asked_for(tx: Connection) -> int:
    """Return how many patients wait for an evaluation that was asked for, or are in one."""
    statement = (
        "SELECT count(*) FROM (SELECT patient FROM arrival WHERE forced "
        "UNION SELECT patient FROM promise WHERE lease_until IS NOT NULL) AS waiting"
    )
    return int(tx.execute(text(statement)).scalar_one())
