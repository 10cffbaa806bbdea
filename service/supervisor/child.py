"""One process of an installation, on a lifeline (see `guard`)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from service.supervisor.account import Account
from service.supervisor.unusable import Unusable

GUARD = Path(__file__).with_name("guard.py")

#: a log that has grown beyond this is set aside when its process starts
LOG_BYTES = 10 * 1024 * 1024


class Child:
    """A program that runs until it is stopped, or until this process ends in any way."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10,
        held: Sequence[int] = (),
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Describe a program; `start` runs it.

        Args:
            name: for people and for the name of nothing else.
            command: the program and its arguments.
            log: the file that takes what it prints.
            environment: all of its environment; None means that of this process.
            account: the user it runs as; None means that of this process.
            stop_signal: what the program understands as a request to stop.
            grace_s: how long it may take over it.
            held: open files that stay open until the program has ended, such as a lock.
            prepare: clears away, before each start, what the last run may have left.
        """
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._user = f"{account.uid}:{account.gid}" if account else "-"
        self._stop_signal = stop_signal
        self._grace_s = grace_s
        self._held = tuple(held)
        self._prepare = prepare
        self._guard: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    def start(self) -> None:
        """Run the program."""
        self._prepare()
        reading, self._lifeline = os.pipe()
        try:
            with _log(self.log) as log:
                self._guard = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-S", str(GUARD)),
                        *(str(reading), str(int(self._stop_signal)), str(self._grace_s), self._user),
                        *self._command,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    pass_fds=(reading, *self._held),
                    start_new_session=True,
                )
        finally:
            os.close(reading)

    @property
    def guard_pid(self) -> int:
        """Return the process id of the guard, the parent of the program."""
        assert self._guard is not None
        return self._guard.pid

    def ended(self) -> int | None:
        """Return the exit code of a program that has ended, None while it runs."""
        return self._guard.poll() if self._guard else None

    def let_go(self) -> None:
        """Ask the program to stop, without waiting for it."""
        if self._lifeline >= 0:
            with suppress(OSError):
                os.write(self._lifeline, b".")
            os.close(self._lifeline)
            self._lifeline = -1

    def stop(self) -> None:
        """Ask the program to stop and wait until it has."""
        self.let_go()
        if self._guard is None:
            return
        with suppress(subprocess.TimeoutExpired):
            # The guard kills at the end of the grace; the rest is for a slow machine.
            self._guard.wait(self._grace_s + 10)
            return
        self._guard.kill()
        self._guard.wait()


def _log(path: Path):  # type: ignore[no-untyped-def]
    """Open a log for appending, setting a large one aside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".1.log"))
    try:
        return path.open("ab", buffering=0)
    except OSError as error:
        raise Unusable(f"The log {path} cannot be written: {error.strerror}.") from error
