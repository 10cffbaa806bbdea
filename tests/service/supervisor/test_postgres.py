"""The server of our own after a crash."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from service.supervisor import postgres
from service.supervisor.postgres import Postgres


def test_a_server_that_recovers_for_long_is_waited_for(scratch: Path, monkeypatch: pytest.MonkeyPatch):
    server = Postgres(scratch / "recovering", log=scratch / "recovering.log")
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE written (text text)")
        connection.execute("CHECKPOINT")
        connection.execute("INSERT INTO written SELECT repeat('x', 1000) FROM generate_series(1, 150000)")
    # The postmaster, whose sessions end with it: nothing is written out in order.
    os.kill(
        int((scratch / "recovering" / "cluster" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL
    )
    while server.running.ended() is None:
        time.sleep(0.05)
    server.running.let_go()

    # Recovery takes longer than a server may stay silent.
    monkeypatch.setattr(postgres, "START_S", 0.2)
    again = Postgres(scratch / "recovering", log=scratch / "recovering.log")
    try:
        with psycopg.connect(again.start()) as connection:
            assert connection.execute("SELECT count(*) FROM written").fetchone() == (150_000,)
        assert "redo done" in (scratch / "recovering.log").read_text()
    finally:
        again.stop()
