"""Statements by the driver itself, without SQLAlchemy, where microseconds and round trips count."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection


def raw(tx: Connection) -> psycopg.Connection[Any]:
    """Return the driver's connection, for statements whose round trips count."""
    connection: psycopg.Connection[Any] = tx.connection.driver_connection  # type: ignore[assignment]
    return connection


@contextmanager
def together(tx: Connection) -> Iterator[None]:
    """Send what the block executes by the driver without waiting for each: one round trip for all.

    Results are fetched after the block; a fetch within it would be a round trip more.
    """
    with raw(tx).pipeline():
        yield
