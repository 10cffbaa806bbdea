"""What goes on while a part is missing, what is told of it, and that nothing is lost by it.

SP-04, SP-02. Each part of a real installation is suspended in turn: it neither answers nor
ends, so that nothing starts it again.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fhir_visits import visit
from installations import GUARD, Installation, descendants, free_port, installation

from fhir_profiles import reading

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

#: on a slow machine; what a part is given before it is told is in `service.automation`
SOON_S = 90

#: room for the servers' own files, and little more
DISK_MB = 200


@pytest.fixture(scope="module")
def running(scratch: Path) -> Iterator[Installation]:
    with installation(scratch / "degraded", free_port()) as service:
        service.until_ready()
        put(service, "/sandbox/parameters", {"settle.minutes": 0})
        yield service


@contextmanager
def suspended(service: Installation, words: str) -> Iterator[None]:
    """Suspend the processes with these words in their commands, and all below them, for a block."""
    found = pids(service, words)
    stopped = {pid for parent in found for pid in (parent, *(child for child, _ in descendants(parent)))}
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def pids(service: Installation, words: str) -> list[int]:
    below = descendants(service.process.pid)
    return [pid for (pid, _), command in below.items() if words in command and GUARD not in command]


def put(service: Installation, path: str, content: object) -> None:
    assert httpx.put(f"{service.url}{path}", json=content, timeout=150).is_success


def post(service: Installation, patient: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/fhir",
        content=reading.write(visit(patient)),
        headers={"Content-Type": "application/fhir+json"},
        timeout=60,
    )


def due(service: Installation) -> float:
    """Return for how many patients an evaluation is due, as the metrics tell."""
    return metric(service, "hipway_promises_due")


def metric(service: Installation, name: str) -> float:
    text = httpx.get(f"{service.url}/metrics", timeout=30).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not among the metrics"
    return float(found[1])


def not_ready(service: Installation) -> set[str]:
    answer = httpx.get(f"{service.url}/health/ready", timeout=30)
    parts = answer.json()["parts"]
    found = {name for name, part in parts.items() if part["status"] != "ready"}
    assert answer.status_code == (503 if found else 200)
    assert all("since" in parts[name] for name in found)
    return found


def until(what, *, within_s: float = SOON_S) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def said(service: Installation) -> str:
    return httpx.get(f"{service.url}/", timeout=30).text


def test_without_a_broker_everything_is_evaluated_and_it_is_told(running):
    with suspended(running, "valkey-server"):
        for number in range(5):
            assert post(running, f"no-broker-{number}").status_code == 200

        until(lambda: due(running) == 0)
        until(lambda: "Evaluations have been slow since" in said(running))
        assert "broker" in not_ready(running)
        assert metric(running, 'hipway_heartbeat_age_seconds{part="broker"}') > 10

    until(lambda: not_ready(running) == set())
    assert 'aria-label="Automation"' not in said(running)


def test_workers_that_stand_still_hold_nobody_up_and_it_is_told(running):
    with suspended(running, "worker worker"):
        for number in range(5):
            assert post(running, f"no-worker-{number}").status_code == 200

        until(lambda: due(running) == 0)
        until(lambda: "No worker has answered since" in said(running))
        assert "worker" in not_ready(running)

    until(lambda: not_ready(running) == set())


def test_a_sweep_that_stands_still_is_told_while_new_data_are_evaluated(running):
    with suspended(running, "worker sweep"):
        until(lambda: "Automation has stood still since" in said(running))
        assert {"sweep", "worker"} <= not_ready(running)
        assert post(running, "no-sweep").status_code == 200
        until(lambda: due(running) == 0)

    until(lambda: not_ready(running) == set())


def test_workers_work_again_after_a_broker_that_was_killed_in_the_midst_of_it(running):
    """Celery's consumer may stay connected and never ask again; then the worker ends and starts anew."""
    # A little ahead: a clock is never set back while there are patients.
    shown = httpx.get(f"{running.url}/sandbox/clock", timeout=30).json()["now"]
    now = (datetime.fromisoformat(shown) + timedelta(seconds=2)).isoformat()
    put(running, "/sandbox/clock", {"now": now, "evaluation": "held"})
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda number: post(running, f"midst-{number}"), range(150)))
    assert all(answer.status_code == 200 for answer in answers)
    (broker,) = pids(running, "valkey-server")

    with ThreadPoolExecutor(1) as person:
        # All of them are woken at once, so that the broker dies with a long queue and work under way.
        person.submit(put, running, "/sandbox/clock", {"now": now, "evaluation": "automatic"})
        until(lambda: due(running) < 140)
        os.kill(broker, signal.SIGKILL)

    until(lambda: due(running) == 0)
    until(lambda: not_ready(running) == set())
    assert httpx.delete(f"{running.url}/sandbox/clock", timeout=30).is_success


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system on the folder."""
    folder.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Leave no room on the file system."""
    with file.open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12):
            while True:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    break


@pytest.mark.requires("mount")
def test_a_full_disk_accepts_nothing_and_loses_nothing(scratch: Path):
    with (
        small_disk(scratch / "disk") as disk,
        installation(disk / "data", free_port()) as service,
    ):
        service.until_ready()
        put(service, "/sandbox/parameters", {"settle.minutes": 0})
        assert post(service, "before").status_code == 200
        fill(disk / "ballast")
        answers = {f"full-{number}": _posted(service, f"full-{number}") for number in range(40)}
        accepted = {"before", *(name for name, answer in answers.items() if answer == 200)}

        assert 503 in answers.values()
        assert set(answers.values()) <= {200, 503}
        assert httpx.get(f"{service.url}/health/live", timeout=30).status_code == 200

        (disk / "ballast").unlink()
        until(lambda: post(service, "after").status_code == 200)
        for name in answers:
            stored = httpx.get(f"{service.url}/fhir/Patient/{name}", timeout=30).status_code
            assert stored == (200 if name in accepted else 404), name
        until(lambda: due(service) == 0)
        until(lambda: not_ready(service) == set())


def _posted(service: Installation, patient: str) -> int:
    answer = post(service, patient)
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0
    return answer.status_code
