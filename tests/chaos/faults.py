"""Kill and suspend the processes of an installation, one after another, chosen by a seed."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from installations import GUARD, descendants
from sqlalchemy import Connection, text

from chaos.site import Site

#: what can be hit, how often in proportion, and by which words its command is known
KINDS: dict[str, tuple[int, str]] = {
    "web": (2, "service.commands web"),
    "web process": (3, ""),
    "worker": (2, "worker worker"),
    "worker process": (4, ""),
    "sweep": (2, "worker sweep"),
    "database": (2, "/bin/postgres -D"),
    "database session": (4, ""),
    "broker": (2, "valkey-server"),
    "guard": (1, GUARD),
    "supervisor": (1, ""),
}

#: a child process of which kind stands for a kind without words of its own
OF = {"web process": "web", "worker process": "worker", "database session": "database"}

PAUSE_S = (1.0, 7.0)
#: until each has been hit once, so that a short run disturbs all of them too
FIRST_PAUSE_S = (0.5, 2.5)
#: longer than a lease, so that somebody else does the work of what is suspended
SUSPENDED_S = (0.2, 12.0)
#: without a supervisor nothing that ended starts again, which is no news after a moment
SUPERVISOR_S = 2.0
SUSPEND = 0.3

#: a start that takes longer has failed
READY_S = 90.0


@dataclass(slots=True)
class Report:
    """What was done to the installation, and how it came back."""

    done: Counter[str] = field(default_factory=Counter)
    #: seconds from a start of the supervisor until it is ready, and until it evaluates who waits
    ready_s: list[float] = field(default_factory=list)
    recovered_s: list[float] = field(default_factory=list)


class Faults:
    """A thread that disturbs one site until it is told to stop."""

    def __init__(self, site: Site, seed: int) -> None:
        """Prepare; `with` begins and ends it."""
        self.report = Report()
        self.error: Exception | None = None
        self._site = site
        self._random = random.Random(seed)
        #: each is killed once before chance decides
        self._first = self._random.sample(list(KINDS), len(KINDS))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self._resumed: list[threading.Timer] = []

    def __enter__(self) -> "Faults":
        self._thread.start()
        return self

    def __exit__(self, _kind: object, failure: BaseException | None, _traceback: object) -> None:
        self._stop.set()
        self._thread.join()
        for timer in self._resumed:
            timer.join()
        if failure is not None and self.error is not None:
            failure.add_note(f"before that, the faults had ended with: {self.error}")

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._random.uniform(*(FIRST_PAUSE_S if self._first else PAUSE_S))):
                self._hit()
        except Exception as error:  # noqa: BLE001 - the test tells of it
            self.error = error

    def _hit(self) -> None:
        weights = [weight for weight, _ in KINDS.values()]
        (kind,) = self._first[:1] or self._random.choices(list(KINDS), weights)
        suspended = not self._first and self._random.random() < SUSPEND
        for_s = SUPERVISOR_S if kind == "supervisor" else self._random.uniform(*SUSPENDED_S)
        victims = self._victims(kind)
        if not victims:
            return
        victim = self._random.choice(victims)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP if suspended else signal.SIGKILL)
            self.report.done[f"{kind} {'suspended' if suspended else 'killed'}"] += 1
            del self._first[:1]
        if suspended:
            timer = threading.Timer(for_s, _resume, [victim])
            timer.start()
            self._resumed.append(timer)
        elif kind == "supervisor":
            self._start_again()

    def _victims(self, kind: str) -> list[int]:
        supervisor = self._site.installation.process.pid
        if kind == "supervisor":
            return [supervisor]
        below = descendants(supervisor)
        words = KINDS[OF.get(kind, kind)][1]
        found = sorted(
            pid
            for (pid, _), command in below.items()
            if words in command and (kind == "guard" or GUARD not in command)
        )
        if kind in OF:
            return sorted(pid for parent in found[:1] for pid, _ in descendants(parent))
        return found if kind == "guard" else found[:1]

    def _start_again(self) -> None:
        """Start the supervisor that was killed, and measure until patients are evaluated again."""
        self._site.installation.process.wait()
        self._site.installation.close()
        begun = time.monotonic()
        self._site.start()
        _until_ready(self._site)
        self.report.ready_s.append(time.monotonic() - begun)
        waiting = self._site.run(_waiting)
        while waiting and not self._site.run(lambda tx: _fewer(tx, waiting)):
            if time.monotonic() - begun > READY_S:
                raise AssertionError(f"{len(waiting)} patients wait {READY_S:.0f} s after a start")
            time.sleep(0.05)
        self.report.recovered_s.append(time.monotonic() - begun)


def _waiting(tx: Connection) -> list[int]:
    return list(tx.execute(text("SELECT key FROM arrival WHERE forced")).scalars())


def _fewer(tx: Connection, waiting: list[int]) -> bool:
    left = tx.execute(text("SELECT count(*) FROM arrival WHERE key = ANY(:keys)"), {"keys": waiting})
    return int(left.scalar_one()) < len(waiting)


def _until_ready(site: Site) -> None:
    said = "nothing"
    end = time.monotonic() + READY_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                answer = client.get(f"http://127.0.0.1:{site.port}/health/ready")
                if answer.is_success:
                    return
                said = answer.text
            time.sleep(0.05)
    raise AssertionError(f"not ready {READY_S:.0f} s after a start: {said} {site.installation.heard()}")


def _resume(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
