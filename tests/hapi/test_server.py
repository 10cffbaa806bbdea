"""The server that people start beside us: `make hapi`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from installations import all_gone, descendants, free_port

pytestmark = pytest.mark.requires("hapi")

ROOT = Path(__file__).parents[2]
#: building, on a machine that has nothing yet, and starting
READY_S = 900


@pytest.fixture
def started(scratch: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A started server and its base."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "hapi", str(port)],
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = next(line for line in process.stdout if line.startswith("FHIR"))
    yield process, said.split()[1]
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_answers_where_it_says_and_leaves_nothing_behind_when_it_is_killed(started):
    process, base = started
    said = httpx.get(f"{base}/metadata", timeout=60).json()
    below = descendants(process.pid)

    assert said["software"]["name"] == "HAPI FHIR Server"
    operations = {o["name"] for r in said["rest"][0]["resource"] for o in r.get("operation", ())}
    assert {"apply", "evaluate", "validate"} <= operations
    assert any("org.hipway.hapi.Main" in command for command in below.values())
    process.send_signal(signal.SIGKILL)

    assert all_gone(below, 30) == {}


def test_it_stops_in_order_when_it_is_asked(started):
    process, _ = started
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    assert all_gone(below, 30) == {}
