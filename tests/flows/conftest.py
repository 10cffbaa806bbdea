"""A whole service as a stranger gets it: `hipway run` on scratch data, real processes, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
