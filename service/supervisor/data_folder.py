"""The folder of one installation, used by one supervisor at a time.

The lock is held by the supervisor and by the guard of every child: it is free only when
the last process that could touch the data has ended.
"""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from service.supervisor.unusable import Unusable

#: the children of a supervisor that was killed are given this long to stop
PREDECESSOR_S = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A data folder this process has to itself."""

    path: Path
    lock: int

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' logs."""
        return self.path / "logs"

    def release(self) -> None:
        """Let another supervisor use the folder once the children have ended."""
        os.close(self.lock)


def take(path: Path) -> DataFolder:
    """Make the folder if need be, and keep every other supervisor out of it.

    Raises:
        Unusable: it cannot be written, or another supervisor uses it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "logs").mkdir(exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unusable(
            f"The data folder {path} cannot be written ({error.strerror}); set HIPWAY_DATA to another."
        ) from error
    deadline = time.monotonic() + PREDECESSOR_S
    while not _locked(lock):
        owner = int(os.pread(lock, 32, 0) or b"0")
        if _lives(owner) or time.monotonic() > deadline:
            os.close(lock)
            raise Unusable(
                f"The data folder {path} is in use by process {owner}; stop it or set HIPWAY_DATA to another."
            )
        time.sleep(0.1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return DataFolder(path=path, lock=lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
