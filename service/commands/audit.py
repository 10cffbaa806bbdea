"""`hipway audit`: is the record of accesses and decisions whole?"""

import argparse
import sys

from service.settings import Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "audit",
        help="check the chain of hashes over accesses and decisions",
        description="Check every link of the chain and every entry it holds, and print the newest link. Only "
        "reads, from HIPWAY_DATABASE_URL or else from the installation that runs in HIPWAY_DATA. Exit "
        "code 1: something was changed or removed.",
        epilog="example: hipway audit --expect 812:9f2c...",
    )
    parser.add_argument(
        "--expect",
        metavar="NUMBER:HASH",
        action="append",
        default=[],
        help="a link that was noted elsewhere; who rewrites the whole chain cannot rewrite that",
    )


def run(args: argparse.Namespace) -> int:
    """Check and say what is wrong; 1 when something is."""
    from service.store import seals
    from service.store.database import Database
    from service.supervisor import supervise

    database = Database(supervise.database_url(Settings.from_environment()), pool_size=1)
    try:
        with database.transaction("REPEATABLE READ") as tx:
            faults = [*seals.check(tx, tenant=TENANT)]
            latest = seals.latest(tx, tenant=TENANT)
            unknown = [noted for noted in args.expect if not seals.holds(tx, noted, tenant=TENANT)]
    finally:
        database.close()
    for fault in faults:
        _say(f"link {fault.number}: {fault.kind} {fault.entry}".rstrip())
    for noted in unknown:
        _say(f"link {noted} is not in the chain")
    if latest is not None:
        _say(f"{latest.number}:{latest.hash}")
    _say("not whole" if faults or unknown else "whole")
    return 1 if faults or unknown else 0


TENANT = 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
