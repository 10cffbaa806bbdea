"""Fuzz a service on a database of its own; ends with 1 where something was wrong.

    PYTHONPATH=tests python -m fuzz --database postgresql://... --broker redis://... --requests 10000 --seed 7

The database is migrated and empty. Numbers follow one another from --first; one request of a run is made
again with the same seed, its number as --first, and --requests 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import playing
from sqlalchemy import text
from stored_play import StoredPlay

from fuzz import sending
from fuzz.run import Run
from fuzz.sending import HOST, Send
from service import log
from service.app import create_app
from service.settings import Settings
from service.store.database import Database

#: who is on a pathway from the beginning, so that there are plans, Tasks and pages
STORY = Path(__file__).parents[1] / "stories" / "V09.json"


def main(arguments: argparse.Namespace) -> int:
    """Run and print the report."""
    database = Database(arguments.database)
    known = _begin(database)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "web.log"
        settings = Settings(
            database_url=arguments.database, broker_url=arguments.broker, base_url=f"http://{HOST}"
        )
        with written.open("w", buffering=1) as own_log, _to(own_log):
            log.configure("web")
            app = create_app(settings, database)
            with _sender(arguments, app, written) as send:
                report = Run(app, send, database, written, known, arguments.seed).go(
                    arguments.first, arguments.requests
                )
    database.close()
    print(f"seed {arguments.seed}: {report}")
    return 1 if report.found else 0


def _begin(database: Database) -> dict[str, list[str]]:
    """Play a story, and return what is there then."""
    StoredPlay(database=database).tell(playing.read(STORY))
    known: dict[str, list[str]] = {}
    with database.transaction() as tx:
        for row in tx.execute(text("SELECT type, id FROM resource ORDER BY type, id")):
            known.setdefault(row.type, []).append(row.id)
    known["page"] = [f"/careplans/{id_}" for id_ in known.get("CarePlan", ())]
    known["page"] += [f"/inbox/{id_}" for id_ in known.get("Task", ())[:3]]
    return known


@contextmanager
def _sender(arguments: argparse.Namespace, app: sending.Flask, written: Path) -> Iterator[Send]:
    if not arguments.over_http:
        yield sending.within(app)
        return
    with sending.over_http(arguments.database, arguments.broker, written) as send:
        yield send


@contextmanager
def _to(own_log: object) -> Iterator[None]:
    """Send what is logged in this process to a file."""
    before = sys.stderr
    sys.stderr = own_log  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stderr = before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--over-http", action="store_true")
    sys.exit(main(parser.parse_args()))
