"""A web process that is killed on a line of the intake leaves all of a Bundle or nothing of it.

SP-02: what is acknowledged is stored, and a Bundle that is sent again after a broken connection
is there once. Each line that changes what a crash leaves is tried, before and after.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deadly_web
import pytest
from fhir_visits import bundle, encounter, observation, patient, post, put
from installations import free_port
from sqlalchemy import text

from fhir_profiles import reading
from service.store.database import Database

TESTS = Path(__file__).parents[1]

#: after these the transaction is committed, and the answer is on its way
COMMITTED = {
    "service.fhir.intake _wake before",
    "service.fhir.intake _wake after",
    "service.broker wake before",
    "service.broker wake after",
}

CASES = [f"{module} {name} {when}" for module, name in deadly_web.LINES for when in ("before", "after")]


class Web:
    """A web server that dies where it is told to, and comes back."""

    def __init__(self, port: int, order: Path, log: Path, **variables: str) -> None:
        self.port = port
        self._order = order
        self._log = log
        self._environment = {**os.environ, **variables, "HIPWAY_DEADLY": str(order)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as a supervisor does each time it has ended."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(TESTS / "deadly_web.py"), str(self.port)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        # Its own process ends with it; an orderly stop may meet a process that is just coming back.
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def die_at(self, line: str) -> None:
        self._order.write_text(line)

    @property
    def has_died(self) -> bool:
        return not self._order.exists()

    def post(self, content: dict[str, Any], key: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Content-Type": "application/fhir+json", "Idempotency-Key": f'"{key}"'}
            connection.request("POST", "/fhir", reading.write(content), sent)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def until_back(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            # Processes that die soon after their start make the server give up, too.
            if self._process is None or self._process.poll() is not None:
                self.start()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/health/live")
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            finally:
                connection.close()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def web(scratch: Path, database_url: str, broker_url: str) -> Iterator[Web]:
    port = free_port()
    server = Web(
        port,
        scratch / "deadly",
        scratch / "deadly-web.log",
        PYTHONPATH=os.pathsep.join((str(TESTS), str(TESTS.parent))),
        HIPWAY_DATABASE_URL=database_url,
        HIPWAY_BROKER_URL=broker_url,
        HIPWAY_PORT=str(port),
    )
    try:
        server.until_back()
        yield server
    finally:
        server.stop()


def left(database: Database, name: str) -> dict[str, int]:
    """Count what is stored of the Bundle: resources, versions, index values, promises and kept answers."""
    statements = {
        "resources": "SELECT count(*) FROM resource WHERE patient = :id",
        "versions": "SELECT coalesce(sum(version), 0) FROM resource WHERE patient = :id",
        "indexed": "SELECT count(*) FROM search_value JOIN resource USING (key) WHERE patient = :id",
        "arrivals": "SELECT count(*) FROM arrival WHERE patient = :id",
        "answers": "SELECT count(*) FROM idempotency_key WHERE key = :id",
    }
    with database.transaction() as tx:
        return {what: tx.execute(text(sql), {"id": name}).scalar_one() for what, sql in statements.items()}


def visit(name: str) -> dict[str, Any]:
    """Return a Bundle with a visit that has ended: it is evaluated at once, so a wake-up is sent, too."""
    return bundle(
        put(patient(name)),
        put(observation(f"{name}-o", f"Patient/{name}")),
        post(observation(None, f"Patient/{name}")),
        put(encounter(f"Patient/{name}", id_=f"{name}-e")),
    )


@pytest.fixture(scope="module")
def whole(web: Web, database: Database) -> dict[str, int]:
    """What a Bundle leaves that nothing disturbs."""
    web.post(visit("undisturbed"), "undisturbed")
    found = left(database, "undisturbed")
    assert found["resources"] == found["versions"] == 4
    assert found["arrivals"] == found["answers"] == 1
    return found


@pytest.mark.parametrize("line", CASES)
def test_a_killed_intake_leaves_all_or_nothing_and_the_next_attempt_stores_it_once(
    web, database, whole, line
):
    name = f"killed-{CASES.index(line)}"
    nothing = dict.fromkeys(whole, 0)
    web.die_at(line)

    with pytest.raises((OSError, http.client.HTTPException)):
        web.post(visit(name), name)

    assert web.has_died
    assert left(database, name) == (whole if line in COMMITTED else nothing)

    web.until_back()
    status, headers, _ = web.post(visit(name), name)

    assert status == 200
    assert left(database, name) == whole
    assert ("idempotent-replayed" in headers) == (line in COMMITTED)
