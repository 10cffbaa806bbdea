"""A whole service as a stranger gets it: `hipway run` on scratch data, real processes, over HTTP."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dying_web import TESTS, Web
from installations import free_port

from service.stories import scratch
from service.stories.remote import Remote

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "examples"
STORIES = ROOT / "tests" / "stories"


@pytest.fixture(scope="session")
def service_url() -> Iterator[str]:
    with scratch.running() as url:
        yield url


@pytest.fixture(scope="session")
def service(service_url: str) -> Iterator[Remote]:
    """The running service; it has `.url`. Tests share it and begin with `clear` or `empty`."""
    with Remote(service_url) as remote:
        yield remote


@pytest.fixture
def empty(service: Remote) -> Remote:
    """The running service without patients, at the defaults and the machine's clock."""
    service.clear()
    service.free_clock()
    return service


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def stories() -> Path:
    return STORIES


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
