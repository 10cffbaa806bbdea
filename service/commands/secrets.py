"""`hipway secrets FOLDER`: make the secrets of an installation that are missing, once.

    database_password   of the PostgreSQL user
    broker_password     of the broker
    secret_key          signs cookies
    metrics_token       opens the metrics in production

Each is one line in a file of its own, read through HIPWAY_DATABASE_PASSWORD_FILE,
HIPWAY_BROKER_PASSWORD_FILE, HIPWAY_SECRET_KEY_FILE and HIPWAY_METRICS_TOKEN_FILE. What is there is never
changed, so a folder with a hospital's own secrets stays as it is.
"""

import argparse
import os
import secrets
import sys
from pathlib import Path

NAMES = ("database_password", "broker_password", "secret_key", "metrics_token")

#: the owner and the group read them: the servers run as other users, in this user's group
MODE = 0o440

BYTES = 32


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "secrets",
        help="make passwords and the key that are missing",
        description="Make a file with a random secret for each of "
        f"{', '.join(NAMES)} that FOLDER lacks. Existing files are kept.",
        epilog="example: hipway secrets /etc/hipway/secrets",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="an existing folder")


def run(args: argparse.Namespace) -> int:
    """Make what is missing and name it; 2 when a file cannot be made or holds nothing."""
    try:
        made = [name for name in NAMES if _made(args.folder / name)]
        empty = [name for name in NAMES if not (args.folder / name).stat().st_size]
    except OSError as error:
        print(f"hipway: secrets cannot be kept in {args.folder}: {error.strerror}.", file=sys.stderr)
        return 2
    if empty:
        print(f"hipway: {args.folder / empty[0]} is empty; write a secret or delete it.", file=sys.stderr)
        return 2
    print(f"Made {', '.join(made)}." if made else "Nothing is missing.")
    return 0


def _made(path: Path) -> bool:
    """Make the file unless it is there. It appears whole or not at all, also after a crash."""
    if path.exists():
        return False
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w") as file:
            file.write(f"{secrets.token_urlsafe(BYTES)}\n")
            file.flush()
            # The mode of the call is cut by the umask, and the servers' users read through the group.
            os.fchmod(file.fileno(), MODE)
            os.fsync(file.fileno())
        # A link, unlike a move, never puts a second secret in the place of a first.
        os.link(half, path)
    except FileExistsError:
        return False
    finally:
        half.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def _sync(folder: Path) -> None:
    """Have the folder's new name survive a power cut: the database keeps the password for ever."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
