"""The sweep: every two seconds, wake what is due and nobody works on.

Timers are promises with a date, so this is all the periodic work there is. When the broker cannot be
reached the sweep does the work itself, slowly: what is urgent does not wait for Redis.
"""

import signal
import time
from threading import Event

from sqlalchemy.exc import DBAPIError

from service import broker, clock, log
from service.settings import Settings
from service.store import heartbeats, promises
from service.store.database import Database
from worker.advance import advance

EVERY_S = 2.0
LIMIT = 200
#: A wake-up that is on its way is not sent again before this.
AGAIN_S = 10.0
#: How many patients the sweep itself takes on in a round without a broker.
ALONE = 10

logger = log.get()


def run(settings: Settings) -> None:
    """Sweep until a signal asks to stop."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = Database(settings.database_url, pool_size=2, overflow=1)
    sent: dict[tuple[int, str], float] = {}
    try:
        while not stop.is_set():
            try:
                sweep(database, settings, sent)
            except DBAPIError as error:
                logger.warning("sweep_without_database", reason=type(error).__name__)
            stop.wait(EVERY_S)
    finally:
        database.close()


def sweep(database: Database, settings: Settings, sent: dict[tuple[int, str], float]) -> int:
    """Wake what is due; returns how many were due. `sent` remembers when each was woken last."""
    with database.transaction() as tx:
        heartbeats.beat(tx, "sweep")
        due = promises.due(tx, clock.now(tx), LIMIT)
    moment = time.monotonic()
    for key in [key for key, at in sent.items() if moment - at > AGAIN_S]:
        del sent[key]
    alone = 0
    for tenant, patient, _ in due:
        if (tenant, patient) in sent:
            continue
        if alone == 0 and broker.wake(settings, tenant, patient):
            sent[tenant, patient] = moment
        elif alone < ALONE:
            alone += 1
            advance(database, tenant, patient)
    if alone:
        logger.error("broker_unreachable", done_by_sweep=alone)
    return len(due)
