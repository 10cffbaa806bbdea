"""A lease that is renewed while its work goes on.

The lease is short, so that the work of a worker that dies is taken over soon; a slow but
living worker keeps it by renewing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy.exc import DBAPIError

from service.store import promises
from service.store.database import Database
from service.store.promises import Claim


@contextmanager
def renewing(database: Database, claim: Claim) -> Iterator[None]:
    """Renew the claim's lease, three times in its length, until the block ends."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(claim.lease_s / 3):
            try:
                with database.transaction() as tx:
                    if not promises.renew(tx, claim):
                        return
            except DBAPIError:
                # The next beat tries again; a lease that ran out is noticed when the work settles.
                continue

    thread = Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
