"""`hipway worker`: the Celery worker.

Replaces this process: the worker's package is above this one and is never imported here.
"""

import argparse
import os
import sys

from service.settings import Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "worker",
        help="evaluate patients as wake-ups arrive",
        description="Run the Celery worker: it applies the pathways to each patient whose record changed. "
        "Needs HIPWAY_DATABASE_URL and HIPWAY_BROKER_URL.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... HIPWAY_BROKER_URL=redis://... hipway worker",
    )


def run(_args: argparse.Namespace) -> int:
    """Become the process."""
    Settings.from_environment().assert_connected()
    os.execv(sys.executable, [sys.executable, "-m", "worker", "worker"])  # noqa: S606 - no shell is wanted
