"""`hipway sweep`: the small process that wakes what is due.

Replaces this process: the worker's package is above this one and is never imported here.
"""

import argparse
import os
import sys

from service.settings import Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "sweep",
        help="wake what is due",
        description="Run the sweep: every two seconds it wakes what is due, timers and lost "
        "wake-ups included. Needs HIPWAY_DATABASE_URL and HIPWAY_BROKER_URL.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... HIPWAY_BROKER_URL=redis://... hipway sweep",
    )


def run(_args: argparse.Namespace) -> int:
    """Become the process."""
    Settings.from_environment().assert_connected()
    os.execv(sys.executable, [sys.executable, "-m", "worker", "sweep"])  # noqa: S606 - no shell is wanted
