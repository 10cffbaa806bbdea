"""A lease that is renewed while its work goes on.

The lease is short, so that the work of a worker that dies is taken over soon; a slow but
living worker keeps it by renewing. Most work ends before the first renewal, so no thread is
started for it: one watches over whatever the process has claimed, and ends when there is nothing.

A renewal changes the row that the work changes at its end, so the work that goes on meanwhile is
repeated (40001). Each renewal is therefore for twice as long as the one before: soon the work ends
between two of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from service.store import promises
from service.store.database import Database
from service.store.promises import Claim

#: no work is expected to take longer; what died in it waits as long
LONGEST_S = 60


@contextmanager
def renewing(database: Database, claim: Claim) -> Iterator[None]:
    """Renew the claim's lease each time a third of it has passed, until the block ends."""
    lease = _Lease(database, claim, lasts=claim.lease_s)
    _WATCH.begin(lease)
    try:
        yield
    finally:
        _WATCH.end(lease)


@dataclass(eq=False, slots=True)
class _Lease:
    """A claim whose work goes on."""

    database: Database
    claim: Claim
    #: for how long it is given, seconds
    lasts: float
    #: when it is renewed next, by `time.monotonic`
    due: float = 0
    #: held while it is renewed
    busy: Lock = field(default_factory=Lock)

    def again(self) -> None:
        """Set when it is renewed next."""
        self.due = time.monotonic() + self.lasts / 3

    def renew(self) -> bool:
        """Return whether the lease may still be ours."""
        longer = min(2 * self.lasts, LONGEST_S)
        try:
            with self.database.transaction() as tx:
                kept = promises.renew(tx, self.claim, longer)
            self.lasts = longer
            return kept
        except (SQLAlchemyError, psycopg.Error):
            # The next time tries again; a lease that ran out is noticed when the work settles.
            return True


class _Watch:
    """The leases of this process, and the thread that renews them while there are any."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._leases: set[_Lease] = set()
        self._thread: Thread | None = None
        self._sleeps_until = 0.0

    def begin(self, lease: _Lease) -> None:
        """Watch over the lease."""
        lease.again()
        with self._changed:
            self._leases.add(lease)
            # A thread does not survive a fork; the process that was forked has none alive.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
            elif lease.due < self._sleeps_until:
                self._changed.notify()

    def end(self, lease: _Lease) -> None:
        """Watch no longer; a renewal that has begun is waited for."""
        with self._changed:
            self._leases.discard(lease)
        with lease.busy:
            pass

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._leases:
                    self._thread = None
                    return
                self._sleeps_until = min(lease.due for lease in self._leases)
                # What begins meanwhile is due later, as a rule, so nothing wakes this thread for it.
                self._changed.wait(max(0.0, self._sleeps_until - time.monotonic()))
                due = [lease for lease in self._leases if lease.due <= time.monotonic()]
            for lease in due:
                self._renew(lease)

    def _renew(self, lease: _Lease) -> None:
        with lease.busy:
            with self._changed:
                if lease not in self._leases:
                    return
            kept = lease.renew()
        with self._changed:
            lease.again()
            if not kept:
                self._leases.discard(lease)


_WATCH = _Watch()
