"""`hipway run`: everything, under one supervisor."""

import argparse
import signal
import sys

from service.settings import Settings
from service.supervisor.guard import PR_SET_PDEATHSIG


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="start PostgreSQL, Valkey, web, worker and sweep, and keep them running",
        description="Start everything and keep it running until Ctrl-C. With HIPWAY_DATABASE_URL or "
        "HIPWAY_BROKER_URL set, no server is started for that part.",
        epilog="example: HIPWAY_PORT=8010 HIPWAY_DATA=/srv/hipway hipway run",
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="stop when the process that started this one ends, however it ends (Linux)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the installation; 2 when something outside is in the way."""
    from service.supervisor import supervise
    from service.supervisor.unusable import Unusable

    settings = Settings.from_environment()
    settings.assert_served_safely()
    if settings.hospital is not None:
        # A key or a certificate that cannot be used is named before anything is started.
        from service.hospital.connection import Connection

        Connection(settings.hospital).close()
    if args.with_parent:
        end_with_parent()
    try:
        return supervise.run(settings)
    except Unusable as error:
        print(f"hipway: {error}", file=sys.stderr)
        return 2


def end_with_parent() -> None:
    """Have the system send SIGTERM when the parent ends: a killed `make run` leaves nothing behind."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
