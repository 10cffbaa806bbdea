"""Who may store next: a few at once, a turn for each sender that waits, "come back later" for the rest.

    ask --> storing --> leave
      |        ^
      +--> waiting --> refused     the queue is full, or the wait was too long

Slots go round-robin to the senders that wait, so one that floods waits for itself and
nobody else. When the queue is full, the sender with the most waiting gives way. Nothing
that was accepted is ever dropped: whoever is refused here has stored nothing yet.

One web process counts for itself. What several processes let through together is bounded
by the sum of their slots.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum

from flask import Request
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.auth import calling

#: A client gives up after some 30 seconds, and its request with it; until then there must be
#: time for the store itself, and for the answer that says when to come back.
LONGEST_WAIT_S = 10.0

#: A sender that is told more than this has rather lost its connection than its patience.
LONGEST_RETRY_S = 60

#: How much the newest store counts in the mean time of storing: the last twenty or so tell.
NEWEST = 0.1


class Throttled(Exception):
    """There is no room now; nothing was stored."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"try again in {retry_after_s} s")
        #: 1 to `LONGEST_RETRY_S`
        self.retry_after_s = retry_after_s


class State(Enum):
    """Where a request stands."""

    WAITING = "waiting"
    STORING = "storing"
    REFUSED = "refused"
    LEFT = "left"


class Turn:
    """One request that wants to store. Only `Admission` moves it."""

    def __init__(self, sender: str) -> None:
        """Begin to wait."""
        self.sender = sender
        self.state = State.WAITING
        #: set when the waiting is over, either way
        self.settled = threading.Event()
        #: when the slot was given
        self.since = 0.0
        #: what a refused one is told
        self.retry_after_s = 0


class Admission(Collector):
    """The slots of one web process and the queue before them; safe to use from every thread."""

    def __init__(
        self,
        *,
        slots: int,
        queue: int,
        longest_wait_s: float = LONGEST_WAIT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with every slot free.

        Args:
            slots: how many store at once. Fewer than the connections of the database's pool,
                so that pages and health find one while every slot is taken.
            queue: how many more may wait; 0: nobody waits.
            now: seconds that never go back.
        """
        self._slots = slots
        self._queue = queue
        self._longest_wait_s = longest_wait_s
        self._now = now
        self._lock = threading.Lock()
        self._storing = 0
        self._refused = 0
        self._mean_s: float | None = None
        # Each sender that waits, the next one first, with its requests in their order.
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()

    @contextmanager
    def turn(self, sender: str) -> Iterator[None]:
        """Hold a slot for the length of a block, after waiting for it.

        Raises:
            Throttled: there is no room, or there was none for the longest wait.
        """
        turn = self.ask(sender)
        try:
            turn.settled.wait(self._longest_wait_s)
            self.stop_waiting(turn)
            if turn.state is State.REFUSED:
                raise Throttled(turn.retry_after_s)
            yield
        finally:
            self.leave(turn)

    def ask(self, sender: str) -> Turn:
        """Return a turn that stores at once, waits, or is refused."""
        turn = Turn(sender)
        with self._lock:
            if self._storing < self._slots:
                # Nobody waits while a slot is free, so nobody is overtaken.
                self._give_slot(turn)
                return turn
            if self._count() >= self._queue:
                self._make_room_for(turn)
            if turn.state is State.WAITING:
                self._waiting.setdefault(sender, deque()).append(turn)
        return turn

    def stop_waiting(self, turn: Turn) -> None:
        """Refuse the turn if it still waits."""
        with self._lock:
            if turn.state is State.WAITING:
                self._remove(turn)
                self._refuse(turn)

    def leave(self, turn: Turn) -> None:
        """Give the slot back, and to whoever is next; a turn that has none only ends."""
        with self._lock:
            if turn.state is State.WAITING:
                self._remove(turn)
            if turn.state is State.STORING:
                self._storing -= 1
                self._remember(self._now() - turn.since)
                if self._waiting:
                    self._give_slot(self._next())
            turn.state = State.LEFT

    def collect(self) -> Iterable[Metric]:
        """Yield what waits and what was refused, for a registry of metrics."""
        with self._lock:
            waiting, refused = self._count(), self._refused
        yield GaugeMetricFamily("hipway_intake_waiting", "Writes that wait for a slot", waiting)
        yield CounterMetricFamily("hipway_intake_refused", "Writes answered 429", refused)

    def _count(self) -> int:
        return sum(len(turns) for turns in self._waiting.values())

    def _give_slot(self, turn: Turn) -> None:
        self._storing += 1
        turn.since = self._now()
        turn.state = State.STORING
        turn.settled.set()

    def _next(self) -> Turn:
        """Take the first request of the sender whose turn it is; the sender's next turn is last."""
        sender, turns = self._waiting.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._waiting[sender] = turns
        return turn

    def _make_room_for(self, newcomer: Turn) -> None:
        """Refuse the newest request of the sender with the most, the newcomer counted.

        On a tie the newcomer goes: sending it away changes nothing for those who waited.
        """
        most = max(self._waiting, key=lambda sender: len(self._waiting[sender]), default=newcomer.sender)
        own = len(self._waiting.get(newcomer.sender, ()))
        if len(self._waiting.get(most, ())) <= own + 1:
            self._refuse(newcomer)
            return
        newest = self._waiting[most][-1]
        self._remove(newest)
        self._refuse(newest)

    def _remove(self, turn: Turn) -> None:
        turns = self._waiting[turn.sender]
        turns.remove(turn)
        if not turns:
            del self._waiting[turn.sender]

    def _refuse(self, turn: Turn) -> None:
        self._refused += 1
        turn.retry_after_s = self._retry_after_s()
        turn.state = State.REFUSED
        turn.settled.set()

    def _retry_after_s(self) -> int:
        """Return when those who wait now will probably have stored, in whole seconds."""
        rate = self._slots / self._mean_s if self._mean_s else math.inf
        return min(max(math.ceil((self._count() + 1) / rate), 1), LONGEST_RETRY_S)

    def _remember(self, took_s: float) -> None:
        before = took_s if self._mean_s is None else self._mean_s
        self._mean_s = before + NEWEST * (took_s - before)


def sender_of(request: Request) -> str:
    """Return by whom a request is counted: the sender whose token it shows, else the client's address.

    In a sandbox nobody shows one, and nothing better is known that a sender could not choose freely.
    There, behind a proxy, everybody has the proxy's address and is one sender; its X-Forwarded-For is
    not believed, because everybody can write one.
    """
    caller = calling.caller()
    return caller.name if caller.is_known else request.remote_addr or ""
