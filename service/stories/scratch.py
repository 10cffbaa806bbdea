"""A service of one's own for as long as it takes: all processes, on data that are thrown away."""

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from service.supervisor.child import Child

#: the first start creates a database; two processors under load need a while
READY_S = 120

#: the supervisor stops its own children in turn
STOP_S = 40


class NotStarted(Exception):
    """The service did not become ready; the message holds the end of its log."""


@contextmanager
def running(
    environment: Mapping[str, str] = os.environ, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a sandbox without demo patients and yield its URL; nothing is left afterwards.

    Args:
        environment: the variables it gets; those of an installation are left out.
        settings: of the service, beside those that a sandbox of this kind needs.

    Raises:
        NotStarted: with the reason.
    """
    with folder() as data, running_on(data, environment, settings) as url:
        yield url


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder for the data, and remove it with everything in it."""
    parent = Path(tempfile.mkdtemp(prefix="hipway-"))
    # Another user runs the database where this process is root, and must get in.
    parent.chmod(0o711)
    try:
        yield parent / "data"
    finally:
        for path in (*parent.rglob("*"),):
            # Where root's data had to lie elsewhere, a link leads there.
            if path.is_symlink() and path.is_dir():
                shutil.rmtree(path.resolve(), ignore_errors=True)
        shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def running_on(
    data: Path, environment: Mapping[str, str] = os.environ, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a sandbox without demo patients on a data folder, and yield its URL.

    Raises:
        NotStarted: with the reason.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = data.with_suffix(".log")
    child = Child(
        "service",
        [sys.executable, "-m", "service.commands", "run"],
        log=log,
        environment={
            # Whatever the caller's installation is: this one shares nothing with it.
            **{name: value for name, value in environment.items() if not name.startswith("HIPWAY_")},
            "HIPWAY_MODE": "sandbox",
            "HIPWAY_HOST": "127.0.0.1",
            "HIPWAY_PORT": str(port),
            "HIPWAY_BASE_URL": url,
            "HIPWAY_DATA": str(data),
            "HIPWAY_DEMO": "0",
            **(settings or {}),
        },
        grace_s=STOP_S,
    )
    child.start()
    try:
        _wait_until_ready(url, child, log)
        yield url
    finally:
        child.stop()


def _wait_until_ready(url: str, child: Child, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while True:
            try:
                if client.get(f"{url}/health/ready").is_success:
                    return
            except httpx.TransportError:
                pass
            if child.ended() is not None or time.monotonic() > deadline:
                what = "ended while it started" if child.ended() is not None else "is not ready"
                raise NotStarted(f"the service {what}:\n{_end_of(log)}")
            time.sleep(0.2)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
