"""The whole installation as real processes: started, killed, started again, in each other's way.

Checks the promises of `service.supervisor.supervise`: no orphan after a SIGKILL, recovery at
the next start, one sentence and exit code 2 for what is in the way.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from installations import GUARD, Installation, all_gone, descendants, free_port, installation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def data(scratch: Path, request: pytest.FixtureRequest) -> Path:
    return scratch / f"data-{abs(hash(request.node.nodeid)) % 10**8}"


@pytest.fixture
def running(data: Path) -> Iterator[Installation]:
    with installation(data, free_port()) as started:
        yield started.until_ready()


@pytest.fixture(scope="module")
def lasting(scratch: Path) -> Iterator[Installation]:
    """One for the tests that leave it running: a start takes seconds."""
    with installation(scratch / "lasting", free_port()) as started:
        yield started.until_ready()


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_finds_everything(data: Path):
    port = free_port()
    with installation(data, port) as first:
        first.until_ready()
        _put_patient(first.url)
        below = descendants(first.process.pid)

        first.process.kill()
        first.process.wait()

        assert all_gone(below, within_s=45) == {}
    with installation(data, port) as second:
        second.until_ready()
        assert _patient_is_there(second.url)


def test_a_start_right_after_a_kill_waits_for_what_still_ends(data: Path):
    port = free_port()
    with installation(data, port) as first:
        first.until_ready()
        first.process.kill()
        first.process.wait()
    with installation(data, port) as second:
        assert second.until_ready()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child_before_the_supervisor_ends(running: Installation, number: signal.Signals):
    below = descendants(running.process.pid)

    running.process.send_signal(number)
    code, said = running.ended()

    assert (code, all_gone(below, within_s=0)) == (0, {}), said


@pytest.mark.parametrize("begun", ["postgres", "valkey", "migrate", "worker", "web"])
def test_a_signal_while_it_starts_stops_what_has_started(data: Path, begun: str):
    log = data / "logs" / f"{begun}.log"
    with installation(data, free_port()) as starting:
        deadline = time.monotonic() + 60
        while not log.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        below = descendants(starting.process.pid)

        starting.process.terminate()
        code, said = starting.ended()

        assert (code, all_gone(below, within_s=0), said) == (0, {}, "hipway: stopped.\n")


def test_sockets_are_removed_at_the_end(running: Installation):
    folders = [(running.data / part / "run").resolve() for part in ("pg", "valkey")]
    assert all(folder.is_dir() for folder in folders)

    running.process.terminate()
    running.ended()

    assert [folder for folder in folders if folder.exists()] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("web", "service.commands web", id="web"),
        pytest.param("worker", "worker worker", id="worker"),
        pytest.param("postgres", "/bin/postgres -D", id="postgres"),
        pytest.param("valkey", "valkey-server", id="valkey"),
    ],
)
def test_a_child_that_is_killed_starts_again_and_leaves_nothing(lasting: Installation, name: str, words: str):
    below = descendants(lasting.process.pid)
    (victim, _), *_ = (
        process for process, command in below.items() if words in command and GUARD not in command
    )
    parts = descendants(victim)

    os.kill(victim, signal.SIGKILL)

    assert "starts again" in lasting.until(f"{name} ended")
    assert all_gone(parts, within_s=20) == {}
    _wait_until_ready(lasting.url)


def test_a_port_in_use_is_one_sentence(data: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with installation(data, port) as refused:
            code, said = refused.ended()

    assert code == 2
    assert said.count("\n") == 1
    assert f"Port {port}" in said
    assert "HIPWAY_PORT" in said


def test_a_host_nobody_knows_is_one_sentence(data: Path):
    with installation(data, free_port(), HIPWAY_HOST="no-such-host.invalid") as refused:
        code, said = refused.ended()

    assert (code, said.count("\n"), "HIPWAY_HOST" in said) == (2, 1, True)


def test_a_host_may_be_a_name(data: Path):
    with installation(data, free_port(), HIPWAY_HOST="localhost") as named:
        assert named.until_ready()


def test_a_data_folder_in_use_is_one_sentence(lasting: Installation):
    with installation(lasting.data, free_port()) as refused:
        code, said = refused.ended()

    assert code == 2
    assert said.count("\n") == 1
    assert str(lasting.process.pid) in said
    assert "HIPWAY_DATA" in said


def test_a_data_folder_that_cannot_be_written_is_one_sentence(scratch: Path):
    # A file where a folder has to be: refused to root, too.
    (scratch / "file").touch()
    with installation(scratch / "file" / "data", free_port()) as refused:
        code, said = refused.ended()

    assert code == 2
    assert said.count("\n") == 1
    assert "HIPWAY_DATA" in said


def test_replay_finds_the_installation_of_the_data_folder(lasting: Installation, tmp_path: Path):
    found = _replayed(lasting.data)
    nowhere = _replayed(tmp_path)

    assert (found.returncode, found.stderr) == (0, "")
    assert "0 decisions of 0 evaluations of 0 patients" in found.stdout
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert str(tmp_path) in nowhere.stderr


def test_two_installations_run_side_by_side(lasting: Installation, data: Path):
    with installation(data.with_name(f"{data.name}-b"), free_port()) as other:
        other.until_ready()
        _put_patient(lasting.url)

        assert _patient_is_there(lasting.url)
        assert not _patient_is_there(other.url)


def test_a_data_folder_below_a_private_one_works_for_root_too(tmp_path: Path):
    with installation(tmp_path / "data", free_port()) as private:
        private.until_ready()
        _put_patient(private.url)
        assert _patient_is_there(private.url)
    # As root the cluster lies elsewhere, and pytest removes only its own folder.
    shutil.rmtree((tmp_path / "data" / "pg" / "cluster").resolve())


def _replayed(data: Path) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "service.commands", "replay"],
        env={**others, "HIPWAY_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )


def _put_patient(url: str) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:6a4ff1a2-6d46-4a6f-9f4c-6d5f6c1a2b3c",
                "resource": {"resourceType": "Patient", "id": "kept"},
                "request": {"method": "PUT", "url": "Patient/kept"},
            }
        ],
    }
    request = urllib.request.Request(
        f"{url}/fhir",
        data=json.dumps(bundle).encode(),
        headers={"Content-Type": "application/fhir+json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200


def _patient_is_there(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/fhir/Patient/kept", timeout=20) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
