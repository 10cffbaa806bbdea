"""Where a server may keep its files: sockets in a short private folder, data where its user may go."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from service.supervisor.account import Account, can_enter
from service.supervisor.unusable import Unusable

#: the longest path of a socket on every system we know, without the final zero
SOCKET_BYTES = 103

#: where root keeps what an unprivileged user must reach, best first
ROOTS = (Path("/var/lib/hipway"), Path("/var/tmp/hipway"))  # noqa: S108 - only root writes there


def sockets(link: Path, account: Account | None, socket_name: str) -> Path:
    """Return a new private folder for a socket, and leave a link to it in the data.

    The link is how the next start finds and removes the folder of a start that was killed.
    """
    forget_sockets(link)
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it private
        try:
            folder = Path(tempfile.mkdtemp(prefix="hipway-", dir=parent))
        except OSError:
            continue
        if len(os.fsencode(folder / socket_name)) <= SOCKET_BYTES and can_enter(account, folder.parent):
            if account:
                os.chown(folder, account.uid, account.gid)
            link.symlink_to(folder)
            return folder
        folder.rmdir()
    raise Unusable("There is no short folder for a socket that can be written; set TMPDIR to one.")


def forget_sockets(link: Path) -> None:
    """Remove the folder that `sockets` made, if it is still there."""
    if link.is_symlink():
        folder = link.readlink()
        link.unlink()
        if folder.name.startswith("hipway-"):
            shutil.rmtree(folder, ignore_errors=True)


def reachable(folder: Path, account: Account | None) -> Path:
    """Return where the data of `folder` really lie: there, or where the account may go.

    The second case leaves a link in place of the folder, so that deleting the link is a
    clean start as deleting the folder is.

    Raises:
        Unusable: there is no place that the account may reach.
    """
    if folder.is_symlink():
        return folder.readlink()
    if folder.exists() or can_enter(account, folder.parent):
        if not can_enter(account, folder.parent):
            raise Unusable(
                f"The folder {folder} belongs to a user who may not go there any more; move it or delete it."
            )
        return folder
    assert account is not None
    home = root_place(account) / hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    shutil.rmtree(home, ignore_errors=True)
    folder.symlink_to(home)
    return home


def root_place(account: Account) -> Path:
    """Return root's folder for what the account must reach."""
    for place in ROOTS:
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if place.stat().st_uid == 0 and can_enter(account, place):
            return place
    raise Unusable(
        f"The user {account.name}, who runs PostgreSQL for root, may go neither to the data folder "
        f"nor to {' or '.join(map(str, ROOTS))}; set HIPWAY_DATA to a folder that every user may enter."
    )
