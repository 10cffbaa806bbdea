"""A PostgreSQL as nobody should run one: it forgets, takes few connections, and speaks no TLS."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from installations import free_port
from sqlalchemy.engine import make_url

from service.supervisor import account, binaries, places
from service.supervisor.child import Child
from service.supervisor.postgres import PORT, Postgres

#: on a slow machine
START_S = 60


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run it in the folder and yield the URL of an empty database on it."""
    made = Postgres(folder)
    password = make_url(made.start()).password
    made.stop()
    user = account.unprivileged()
    sockets = places.sockets(folder / "run", user, f".s.PGSQL.{PORT}")
    port = free_port()
    options = {
        "unix_socket_directories": str(sockets),
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "fsync": "off",
        "synchronous_commit": "off",
        "max_connections": "20",
    }
    child = Child(
        "postgres",
        [
            *(
                str(binaries.postgres(user) / "postgres"),
                "-D",
                str(places.reachable(folder / "cluster", user)),
            ),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ],
        log=folder / "bad.log",
        account=user,
    )
    child.start()
    url = f"postgresql://hipway:{password}@127.0.0.1:{port}/hipway"
    try:
        _wait_until_it_answers(url)
        yield url
    finally:
        child.stop()
        places.forget_sockets(folder / "run")


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
