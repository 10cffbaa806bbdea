"""One HAPI server for the run, with our definitions on it.

HIPWAY_HAPI_URL, such as that of a running `make hapi`, puts another in its place, with what is on it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from installations import free_port
from optional_parts import need

from hapi.server import Hapi
from service.commands import main

#: the first `$evaluate` compiles the rules
TIMEOUT_S = 120


@pytest.fixture(scope="package")
def hapi_url(scratch: Path) -> Iterator[str]:
    """The base of a running server."""
    if url := os.environ.get("HIPWAY_HAPI_URL"):
        yield url
        return
    need("hapi", "the HAPI server")
    folder = scratch / "hapi"
    folder.mkdir()
    server = Hapi(folder, free_port())
    server.start()
    yield server.base
    server.stop()


@pytest.fixture(scope="package")
def hapi(hapi_url: str) -> Iterator[httpx.Client]:
    """A client of the server, which holds everything that `hipway publish` sends."""
    assert main(["publish", "--to", hapi_url]) == 0
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    with httpx.Client(base_url=hapi_url, headers=headers, timeout=TIMEOUT_S) as client:
        yield client
