"""Ways to send a request: to the application within this process, or to a web process over HTTP."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from flask import Flask
from installations import free_port
from werkzeug.test import Client, EnvironBuilder

from fuzz.making import Asked
from fuzz.watch import Answered

HOST = "127.0.0.1:8000"
START_S = 60


class Send(Protocol):
    """Sends one request and returns what was answered."""

    def __call__(self, asked: Asked) -> Answered: ...


def within(app: Flask) -> Send:
    """Send to an application of this process."""
    client = Client(app)

    def send(asked: Asked) -> Answered:
        path, _, query = asked.url.partition("?")
        builder = EnvironBuilder(
            path=path,
            query_string=query,
            method=asked.method,
            data=asked.body,
            headers={"Host": HOST, **asked.headers},
        )
        begun = time.monotonic()
        response = client.open(builder)
        body = response.get_data()
        took_s = time.monotonic() - begun
        headers = {name.lower(): value for name, value in response.headers}
        return Answered(status=response.status_code, headers=headers, body=body, took_s=took_s)

    return send


@contextmanager
def web(database_url: str, broker_url: str, log: Path) -> Iterator[str]:
    """Run a web process of its own for a block, and yield its address."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")}
    variables = {
        "HIPWAY_DATABASE_URL": database_url,
        "HIPWAY_BROKER_URL": broker_url,
        "HIPWAY_PORT": str(port),
        "HIPWAY_BASE_URL": f"http://127.0.0.1:{port}",
    }
    with log.open("wb") as writing:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.commands", "web"],
            env={**inherited, **variables},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        _wait(connection, process)
        connection.close()
        yield f"http://127.0.0.1:{port}"
    finally:
        connection.close()
        process.terminate()
        process.wait(30)


@contextmanager
def over_http(database_url: str, broker_url: str, log: Path) -> Iterator[Send]:
    """Send to a web process of its own, many requests on one connection."""
    with web(database_url, broker_url, log) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        yield lambda asked: _send(connection, asked)
        connection.close()


def _wait(connection: http.client.HTTPConnection, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            _send(connection, Asked(method="GET", url="/health/live"))
            return
        except OSError:
            connection.close()
            assert process.poll() is None, "the web process ended"
            assert time.monotonic() < deadline, "the web process does not answer"
            time.sleep(0.1)


def _send(connection: http.client.HTTPConnection, asked: Asked) -> Answered:
    begun = time.monotonic()
    try:
        return _once(connection, asked, begun)
    except (http.client.BadStatusLine, ConnectionError):
        # The server may close a connection after what it cannot read; then the next one is another.
        connection.close()
        return _once(connection, asked, begun)


def _once(connection: http.client.HTTPConnection, asked: Asked, begun: float) -> Answered:
    connection.request(asked.method, asked.url, body=asked.body, headers=dict(asked.headers))
    response = connection.getresponse()
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answered(status=response.status, headers=headers, body=body, took_s=time.monotonic() - begun)
