"""`hipway reindex`: make the rows by which this version searches for what was stored before it."""

import argparse
import sys
from functools import partial

from service.settings import Settings

TENANT = 0


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "reindex",
        help="rebuild the search index while the service runs",
        description="Make the rows by which this version searches for everything that is stored, in "
        "HIPWAY_DATABASE_URL or else in the installation that runs in HIPWAY_DATA. Run it after an upgrade, "
        "when the last node of the version before has been replaced; until it is done, searches that need "
        "the rows are answered 503. Stopped and run again, it goes on where it was; run again when it was "
        "done, it replaces every row by itself, and searches are answered meanwhile.",
        epilog="example: hipway reindex",
    ).add_argument("--from-start", action="store_true", help="begin anew, although a run was not finished")


def run(args: argparse.Namespace) -> int:
    """Rebuild and say how far it is."""
    from service.store import reindexing
    from service.store.database import Database
    from service.supervisor import supervise

    database = Database(supervise.database_url(Settings.from_environment()), pool_size=1)
    try:
        state = database.run(partial(reindexing.progress, tenant=TENANT))
        if args.from_start or not reindexing.unfinished(state):
            state = database.run(partial(reindexing.begin, tenant=TENANT))
        said = -1
        while not state.done:
            state = database.run(partial(reindexing.step, tenant=TENANT))
            if state.percent != said:
                said = state.percent
                _say(f"{said} %")
    finally:
        database.close()
    _say("The search index is complete.")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
