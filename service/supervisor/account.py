"""The user that PostgreSQL runs as: it refuses root, so root lends it an unprivileged one."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from service.supervisor.unusable import Unusable

#: users that exist for nothing else, or for this
CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An existing user without privileges."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Return the user that servers run as when this process is root; None: as this process.

    Raises:
        Unusable: this process is root and the machine has no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise Unusable(
        "PostgreSQL does not run as root, and none of the users "
        f"{' and '.join(CANDIDATES)} exists; start hipway as another user."
    )


def can_enter(account: Account | None, folder: Path) -> bool:
    """Return whether the account may go to an existing folder. Asked by trying, so that ACLs count."""
    return account is None or _succeeds(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])


def can_run(account: Account | None, program: Path) -> bool:
    """Return whether the account may run a program that answers `--version`."""
    return account is None or _succeeds(account, [str(program), "--version"])


def _succeeds(account: Account, command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
