"""One record that is fed from one server, without waiting for anything."""

from source_server import SourceServer
from sqlalchemy import text

from service.hospital.answers import Answer
from service.hospital.connection import Connection
from service.hospital.settings import Hospital
from service.hospital.storing import Reader
from service.store import resources
from service.store.database import Database
from worker.feeding import Feeding
from worker.pulse import Pulse

BASE_URL = "https://hipway.example.org"
#: what a test leaves behind; emptied row by row, which is quicker than a TRUNCATE of so many
TABLES = (
    *(
        "joined_version",
        "joining",
        "arrival",
        "promise",
        "history",
        "resource",
        "circuit",
        "search_value",
        "search_text",
        "search_date",
    ),
    *(
        "search_number",
        "search_narrative",
        "source",
        "source_window",
        "hospital_subscription",
        "origin",
        "set_aside",
        "sending",
    ),
)


class Fed:
    """A record and its source."""

    def __init__(self, database: Database, server: SourceServer, **settings: object) -> None:
        self.database = database
        self.server = server
        named = {"rate": 1000, "timeout_s": 1, "settle_s": 0, "read": "poll", **settings}
        self.hospital = Hospital(url=server.url, **named)
        self.connection = Connection(self.hospital)
        self.woken: list[str] = []
        self.reader = Reader(
            database=database, connection=self.connection, chance=lambda: 0.0, wake=self.woken.append
        )
        self.feeding = self.another()
        self._moment = 0.0

    def another(self) -> Feeding:
        """Return a feeder that knows nothing of what others have done."""
        return Feeding(self.reader, self.hospital, BASE_URL, Pulse("feeder"))

    def whole(self, feeding: Feeding | None = None) -> Answer | None:
        """Look at everything now, whatever pauses there are."""
        self.do("UPDATE source SET looked_at = NULL")
        self.do("UPDATE circuit SET open_until = NULL")
        self._moment += 1000
        return (feeding or self.feeding).round(self._moment)

    def soon(self) -> Answer | None:
        """Go round once."""
        self._moment += 1000
        return self.feeding.round(self._moment)

    def do(self, statement: str, **names: object) -> None:
        with self.database.transaction() as tx:
            tx.execute(text(statement), names)

    def rows(self, statement: str, **names: object) -> list[tuple]:
        with self.database.transaction() as tx:
            return [tuple(row) for row in tx.execute(text(statement), names)]

    def stored(self) -> dict[str, int]:
        """Return what of the hospital's is in the record, each with its version."""
        return dict(
            self.rows(
                "SELECT type || '/' || id, version FROM resource WHERE NOT owned AND NOT deleted "
                "ORDER BY type, id"
            )
        )

    def current(self, reference: str) -> dict | None:
        type_, id_ = reference.split("/")
        with self.database.transaction() as tx:
            found = resources.current(tx, type_, id_, tenant=0)
        return found.resource if found and not found.deleted else None

    def aside(self) -> dict[str, str]:
        return dict(self.rows("SELECT type || '/' || their_id, reason FROM set_aside ORDER BY 1"))
