"""What the driver executes while a block runs, whoever asks it: pages ask by SQLAlchemy and without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg


@contextmanager
def executed() -> Iterator[list[str]]:
    """Collect the statements of the block."""
    found: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    with patch.object(psycopg.Cursor, "execute", noted):
        yield found
