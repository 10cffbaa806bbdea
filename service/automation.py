"""Whether what works by itself does: sweep, broker, workers and courier, and how late the oldest work is.

Each part is seen through the one before it: the sweep asks the broker, and through the broker a worker.
So when one is silent nothing is said of the next, and what is told is where to look. The courier, where there
is a hospital to deliver to, and the feeder, where its data are read, are started by the sweep and say by
themselves that they live.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from service.hospital.settings import Hospital
from service.store import heartbeats, standings
from service.store.heartbeats import BROKER, COURIER, FEEDER, SWEEP, WORKER
from service.store.standings import Waiting

Part = Literal["sweep", "broker", "worker", "courier", "feeder", "late"]

#: after how many seconds of silence a part is taken for stopped; the sweep goes round every two
LIMITS_S: Mapping[Part, float] = {"sweep": 15, "broker": 15, "worker": 30}

#: work that is due is begun within seconds; after this somebody has to look
LATE_S = 60

#: besides the longest that one question to the hospital's server may take, during which who asks is silent
COURIER_S = 20

CHAIN: tuple[Part, ...] = (SWEEP, BROKER, WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A part that does not do its work."""

    part: Part
    #: by the database's clock; None: it has never been seen
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """How the work that nobody asks for goes."""

    #: the first silent part of the chain, and whether work is late
    troubles: tuple[Trouble, ...]
    waiting: Waiting
    #: seconds since each part was last seen
    ages: Mapping[str, float]
    #: after how many seconds of silence those are taken for stopped that are there for a hospital
    beside_s: Mapping[Part, float] = field(default_factory=dict)

    def trouble(self, part: Part) -> Trouble | None:
        """Return what is wrong with the part."""
        return next((trouble for trouble in self.troubles if trouble.part == part), None)

    def silent_before(self, part: Part) -> Part | None:
        """Return the silent part through which this one would be seen."""
        before = CHAIN[: CHAIN.index(part)] if part in CHAIN else (SWEEP,)
        return next((trouble.part for trouble in self.troubles if trouble.part in before), None)


def silent(ages: Mapping[str, float], part: Part, limit_s: float | None = None) -> bool:
    """Return whether the part has not been seen within its limit; one that was never seen has not.

    Args:
        ages: seconds since each part was seen. Seen in the future, it was seen before the database's
            clock was set back, and not since.
        limit_s: of a part whose limit depends on the settings.
    """
    return abs(ages.get(part, float("inf"))) > (LIMITS_S[part] if limit_s is None else limit_s)


def look(tx: Connection, now: datetime, hospital: Hospital | None = None) -> Automation:
    """Return how the automation goes.

    Args:
        now: the service clock.
        hospital: to which the courier delivers and from which the feeder reads; None: there are none.
    """
    return ask(tx, now, hospital)()


def ask(tx: Connection, now: datetime, hospital: Hospital | None = None) -> Callable[[], Automation]:
    """Ask for what `look` returns, and return how to get it after the end of a block of `together`."""
    seen, waiting = heartbeats.ask_ages(tx), standings.ask_waiting(tx, now)
    return lambda: _judged(seen(), waiting(), now, hospital)


def _judged(
    seen: Mapping[str, tuple[datetime, float]], waiting: Waiting, now: datetime, hospital: Hospital | None
) -> Automation:
    ages = {part: age for part, (_, age) in seen.items()}
    stopped = next((part for part in CHAIN if silent(ages, part)), None)
    troubles = [Trouble(part=stopped, since=seen[stopped][0] if stopped in seen else None)] if stopped else []
    beside_s = beside(hospital)
    for part, limit_s in beside_s.items():
        if stopped != SWEEP and silent(ages, part, limit_s):
            troubles.append(Trouble(part=part, since=seen[part][0] if part in seen else None))
    if waiting.late_s > LATE_S:
        troubles.append(Trouble(part="late", since=now - timedelta(seconds=waiting.late_s)))
    return Automation(troubles=tuple(troubles), waiting=waiting, ages=ages, beside_s=beside_s)


def beside(hospital: Hospital | None) -> dict[Part, float]:
    """Return what is there for a hospital, each with the seconds of silence after which it has stopped."""
    if hospital is None:
        return {}
    limit_s = hospital.longest_s + COURIER_S
    return {COURIER: limit_s, FEEDER: limit_s} if hospital.reads else {COURIER: limit_s}
