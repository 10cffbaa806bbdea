"""An export survives its workers and the broker: real processes, killed while they write it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from installations import free_port
from sqlalchemy import text

from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).parents[2]
#: so many that they are written in a hundred steps, where a step is a page
MANY = 20_000
#: `python -m worker`, which commits after each page
IN_SMALL_STEPS = """
import sys
from worker import __main__, export
export.run.__kwdefaults__["step_s"] = 0
__main__.main(sys.argv[1])
"""
#: on a busy machine
PATIENCE_S = 120

FILL = """
    INSERT INTO resource (tenant, type, id, version, seq, owned, deleted, received, sender, digest, body)
    SELECT 0, 'Basic', 'b' || n, 1, nextval('receipt_seq'), false, false,
        date_trunc('second', clock_timestamp()) - interval '1 hour', 'test', '',
        json_build_object('resourceType', 'Basic', 'id', 'b' || n)::text
    FROM generate_series(1, :many) AS n
"""


@pytest.fixture(scope="module")
def settings(database_url, broker_url):
    return Settings(database_url=database_url, broker_url=broker_url)


@pytest.fixture(scope="module")
def client(settings, database):
    with database.transaction() as tx:
        tx.execute(text(FILL), {"many": MANY})
        tx.execute(text("ANALYZE resource"))
    return create_app(settings, database).test_client()


@contextmanager
def running(what: str, settings: Settings, log: Path) -> Iterator[None]:
    """Run the worker or the sweep for a block, and kill it and its children at its end."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")},
        "PYTHONPATH": str(ROOT),
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
    }
    with log.open("ab") as said:
        command = [sys.executable, "-c", IN_SMALL_STEPS, what]
        process = subprocess.Popen(command, env=environment, stderr=said, stdout=said, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def begin(client):
    answer = client.get("/fhir/$export?_type=Basic", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    return urlsplit(answer.headers["Content-Location"]).path


def until(condition, log):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def written(database):
    with database.transaction() as tx:
        return int(tx.execute(text("SELECT coalesce(sum(lines), 0) FROM export_chunk")).scalar_one())


def ids(client, manifest):
    found = []
    for file in manifest["output"]:
        answer = client.get(urlsplit(file["url"]).path)
        found += [json.loads(line)["id"] for line in answer.data.splitlines()]
    return found


def test_an_export_whose_worker_is_killed_is_gone_on_with_by_the_next(client, database, settings, tmp_path):
    log = tmp_path / "log"
    with running("worker", settings, log):
        # Through Celery alone: nothing else wakes a worker.
        status = begin(client)
        until(lambda: written(database), log)
    at_death = written(database)
    assert 0 < at_death < MANY
    assert client.get(status).status_code == 202
    with database.transaction() as tx:
        # Nobody waits a minute here for the lease of the dead to run out.
        tx.execute(text("UPDATE export SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL"))

    with running("worker", settings, log), running("sweep", settings, log):
        until(lambda: client.get(status).status_code == 200, log)

    found = ids(client, client.get(status).get_json())
    assert len(found) == MANY
    assert set(found) == {f"b{n}" for n in range(1, MANY + 1)}


def test_without_broker_and_workers_the_sweep_has_it_written_beside_it(client, database, settings, tmp_path):
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM resource WHERE seq % 100 <> 0"))
    alone = Settings(database_url=settings.database_url, broker_url=f"redis://127.0.0.1:{free_port()}/0")
    log = tmp_path / "log"
    status = begin(create_app(alone, database).test_client())

    with running("sweep", alone, log):
        until(lambda: client.get(status).status_code == 200, log)

    assert len(ids(client, client.get(status).get_json())) == MANY // 100
