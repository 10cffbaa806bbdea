"""`hipway ready web|worker|sweep`: would it help to start this process again? For health checks.

    web      its own process answers; a page needs more than that, which /health/ready tells
    sweep    it was seen within the limit
    worker   a worker answered the sweep, or evaluated somebody, within the limit

Exit code 1 is for the machine that starts processes again, so it means that this process stands
still, never that something else is missing: while the database, the broker or the sweep is away,
nothing can be said about a worker, and starting it again would not bring them back.

The database keeps one moment per kind of process, not per process: of several worker nodes
this tells that some worker lives. One that stands still among others holds nobody up, because its
leases run out and the others go on; that all stand still is what must be seen.
"""

import argparse
import sys
from itertools import takewhile

from service.settings import Settings

#: a sweep comes round every 2 s and asks a worker each time
LIMIT_S = 30


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "ready",
        help="say whether a process works, for health checks",
        description="Say in one sentence whether a process works. Exit code 1: it does not, and starting it "
        "again may help. web is asked on this machine, worker and sweep in the database.",
        epilog="example: HIPWAY_PORT=8000 hipway ready web",
    )
    parser.add_argument("process", choices=("web", "worker", "sweep"))


def run(args: argparse.Namespace) -> int:
    """Print the sentence; 1 when the process stands still."""
    settings = Settings.from_environment()
    sentence, works = _web(settings) if args.process == "web" else _seen(settings, args.process)
    print(f"hipway: {sentence}.", file=sys.stdout if works else sys.stderr)
    return 0 if works else 1


def _web(settings: Settings) -> tuple[str, bool]:
    from service.supervisor import address

    url = f"{address.url(settings.host, settings.port, tls=settings.tls_certificate is not None)}/health/live"
    if address.answers(url):
        return "the web process answers", True
    return f"the web process does not answer at {url}", False


def _seen(settings: Settings, process: str) -> tuple[str, bool]:
    from psycopg import Error as DatabaseError
    from sqlalchemy.exc import SQLAlchemyError

    from service.store import heartbeats
    from service.store.database import Database

    settings.assert_connected()
    database = Database(settings.database_url, pool_size=1, overflow=0, statement_timeout_s=5)
    try:
        with database.transaction() as tx:
            ages = {name: age for name, (_, age) in heartbeats.ages(tx).items()}
    except (SQLAlchemyError, DatabaseError) as error:
        return f"the database does not say when the {process} was seen ({type(error).__name__})", True
    finally:
        database.close()
    return judged(process, ages)


def judged(process: str, ages: dict[str, float]) -> tuple[str, bool]:
    """Return the sentence about a process, and whether it works as far as can be told.

    Args:
        process: worker or sweep.
        ages: seconds since each part was last seen; a part never seen is not there.
    """
    from service.automation import CHAIN, silent

    for part in takewhile(lambda part: part != process, CHAIN):
        if silent(ages, part):
            return f"the {part} is not seen, so nothing can be said about the {process}", True
    if process not in ages:
        return f"no {process} has been seen", False
    if ages[process] < -LIMIT_S:
        return f"no {process} has been seen since the database's clock was set back", False
    if ages[process] > LIMIT_S:
        return f"no {process} has been seen for {ages[process]:.0f} s, the limit is {LIMIT_S} s", False
    return f"a {process} was seen {ages[process]:.0f} s ago", True
