"""When each kind of process was last seen alive, by the database's clock."""

from datetime import datetime

from sqlalchemy import Connection, text


def beat(tx: Connection, process: str) -> None:
    """Note that the process (sweep, worker) is alive now."""
    tx.execute(
        text(
            "INSERT INTO heartbeat (process, seen_at) VALUES (:process, clock_timestamp()) "
            "ON CONFLICT (process) DO UPDATE SET seen_at = excluded.seen_at"
        ),
        {"process": process},
    )


def ages(tx: Connection) -> dict[str, tuple[datetime, float]]:
    """Return, for each kind of process ever seen, when that was and how many seconds ago."""
    rows = tx.execute(
        text(
            "SELECT process, seen_at, extract(epoch FROM clock_timestamp() - seen_at)::float AS age "
            "FROM heartbeat"
        )
    )
    return {row.process: (row.seen_at, row.age) for row in rows}
