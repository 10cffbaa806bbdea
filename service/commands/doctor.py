"""`hipway doctor`: look at a set-up and say what to fix."""

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from service.doctor.finding import Finding


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "doctor",
        help="check a set-up and say what to fix",
        description="Check Python, the settings, this machine, the database, the broker and the hospital's "
        "server, as the user and with the settings of the service. Exit code 1 when something has to be "
        "fixed; advice leaves it at 0. Without HIPWAY_DATABASE_URL or HIPWAY_BROKER_URL it checks that the "
        "servers of the sandbox can be started. Changes nothing and prints no password.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... HIPWAY_BROKER_URL=redis://... hipway doctor",
    )


def run(_args: argparse.Namespace) -> int:
    """Print every finding; 1 when one asks for a fix."""
    sick = False
    for finding in examine():
        sick = sick or bool(finding.fix)
        grade = "fix " if finding.fix else "hint" if finding.advice else "well"
        print(f"{grade}  {finding.what}: {finding.seen}")
        if finding.fix or finding.advice:
            print(f"      {finding.fix or finding.advice}")
    return 1 if sick else 0


def examine(now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> "Iterator[Finding]":
    """Yield the findings, what others rest on first.

    Args:
        now: this machine's clock.
    """
    from service.doctor import broker, database, hospital, machine, sign_in, subscribers
    from service.doctor.finding import Finding

    # An older Python cannot install this package at all, so there is nothing to fix here.
    yield Finding(what="python", seen=".".join(map(str, sys.version_info[:3])))
    try:
        settings = Settings.from_environment()
        settings.assert_served_safely()
    except InvalidSettings as error:
        yield Finding(what="settings", seen=str(error), fix=f"set {error.variable} and try again")
        return
    yield Finding(what="settings", seen=f"{settings.mode}, data in {settings.data}")
    yield machine.folder(settings)
    yield machine.port(settings)
    yield machine.base_url(settings)
    yield from sign_in.examine(settings, now)
    yield subscribers.examine(settings)
    if settings.database_url:
        yield from database.examine(settings, now)
    if settings.broker_url:
        yield from broker.examine(settings.broker_url)
    yield from hospital.examine(settings)
    yield from machine.embedded(settings)
