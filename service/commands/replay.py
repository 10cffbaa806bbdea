"""`hipway replay [PATIENT ...]`: does the log of decisions come out the same?

Replaces this process: the worker's package is above this one and is never imported here.
"""

import argparse
import os
import sys

from service.settings import PASSWORD_FILES, Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replay",
        help="make the decisions of the log again and compare them",
        description="Make each decision of the log again from the versions that were read then, and compare "
        "rule, state and reasons to the last letter. Only reads, from HIPWAY_DATABASE_URL or else from the "
        "installation that runs in HIPWAY_DATA. Exit code 1: a decision comes out differently.",
        epilog="example: hipway replay gmt-v02",
    )
    parser.add_argument(
        "patients", nargs="*", metavar="PATIENT", help="the id of a patient; without one, all of them"
    )


def run(args: argparse.Namespace) -> int:
    """Become the process."""
    from service.supervisor import supervise

    settings = Settings.from_environment()
    url = supervise.database_url(settings)
    command = [sys.executable, "-m", "worker.audit", *args.patients]
    # The file of the password is part of the URL by now; both together are refused.
    environment = {name: value for name, value in os.environ.items() if name not in PASSWORD_FILES}
    os.execve(sys.executable, command, {**environment, "HIPWAY_DATABASE_URL": url})  # noqa: S606 - no shell is wanted
