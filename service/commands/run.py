"""`hipway run`: everything, under one supervisor."""

import argparse
import sys

from service.settings import InvalidSettings, Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "run",
        help="start PostgreSQL, Valkey, web, worker and sweep, and keep them running",
        description="Start everything and keep it running until Ctrl-C. With HIPWAY_DATABASE_URL or "
        "HIPWAY_BROKER_URL set, no server is started for that part.",
        epilog="example: HIPWAY_PORT=8010 HIPWAY_DATA=/srv/hipway hipway run",
    )


def run(_args: argparse.Namespace) -> int:
    """Run the installation; 2 when something outside is in the way."""
    from service.supervisor import supervise
    from service.supervisor.unusable import Unusable

    settings = Settings.from_environment()
    refuse_production(settings)
    try:
        return supervise.run(settings)
    except Unusable as error:
        print(f"hipway: {error}", file=sys.stderr)
        return 2


def refuse_production(settings: Settings) -> None:
    """Refuse to serve patients' data to whoever asks: this version has no sign-in yet."""
    if not settings.sandbox:
        raise InvalidSettings(
            "HIPWAY_MODE", "cannot be production: that needs a sign-in, which this version does not have yet"
        )
