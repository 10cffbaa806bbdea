"""`python -m worker worker|sweep`: the two processes of this package."""

import sys

from sqlalchemy.exc import DBAPIError

from service import log
from service.settings import Settings
from service.store.database import Database, NotDurable


def main(what: str) -> None:
    """Run one of the two processes until it is asked to stop."""
    settings = Settings.from_environment()
    log.configure(what, level=settings.log_level)
    database = Database(settings.database_url, pool_size=1)
    try:
        database.assert_durable()
    except NotDurable as error:
        sys.exit(f"hipway: {error}")
    except DBAPIError:
        # Not up yet: what needs it waits for it, and readiness says so.
        pass
    finally:
        database.close()
    # Each process loads its own half: what one does not need delays its start by a second.
    if what == "sweep":
        from worker import sweep

        sweep.run(settings)
    else:
        from worker import app

        app.run(settings)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in {"worker", "sweep"}:
        sys.exit("usage: python -m worker worker|sweep")
    main(sys.argv[1])
