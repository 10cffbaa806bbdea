"""`hipway NAME ...`: find the subcommand, hand over the arguments, answer with an exit code.

Every subcommand is a module with `add(subparsers)`, which may import nothing heavy,
and `run(args) -> int`, which imports what it needs: `hipway --help` is read often.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from service.settings import InvalidSettings

#: in the order of `hipway --help`
SUBCOMMANDS = (
    "run",
    "web",
    "worker",
    "sweep",
    "replay",
    "audit",
    "migrate",
    "reindex",
    "post",
    "vignettes",
    "translate",
    "cql",
    "package",
    "publish",
    "doctor",
    "ready",
    "secrets",
    "account",
    "sender",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; 2 is a mistake of the caller or the set-up."""
    parser = argparse.ArgumentParser(
        prog="hipway",
        description="A FHIR R4 care-pathway service.",
        epilog="example: hipway post tests/examples/01-new-referral-visit.json",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for name in SUBCOMMANDS:
        importlib.import_module(f"service.commands.{name}").add(subparsers)
    chosen = parser.parse_args(arguments)
    try:
        return int(importlib.import_module(f"service.commands.{chosen.command}").run(chosen))
    except InvalidSettings as error:
        print(f"hipway: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
