"""The server of our own: after a crash, and where it listens."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from installations import free_port
from psycopg.conninfo import conninfo_to_dict

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

    # Each look at a server that recovers takes more than half of the time for which one may stay silent.
    spent_s = 0.0

    def pause(seconds: float) -> None:
        nonlocal spent_s
        time.sleep(seconds)
        if "redo starts" in (scratch / "recovering.log").read_text():
            spent_s += postgres.START_S / 2 + 1

    monkeypatch.setattr(postgres, "time", SimpleNamespace(monotonic=lambda: spent_s, sleep=time.sleep))
    again = Postgres(scratch / "recovering", log=scratch / "recovering.log", pause=pause)
    try:
        with psycopg.connect(again.start()) as connection:
            assert connection.execute("SELECT count(*) FROM written").fetchone() == (150_000,)
        assert "redo done" in (scratch / "recovering.log").read_text()
        assert spent_s > postgres.START_S
    finally:
        again.stop()


def test_a_port_is_opened_only_where_it_is_asked_for_and_asks_for_the_password(scratch: Path):
    port = free_port()
    server = Postgres(scratch / "over-tcp", loopback_port=port)
    try:
        url = server.start()
        given = conninfo_to_dict(url)
        over_tcp = {"host": "127.0.0.1", "port": port, "user": given["user"], "dbname": given["dbname"]}
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        with psycopg.connect(**over_tcp, password=given["password"]) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**over_tcp, password="guessed")
    finally:
        server.stop()
