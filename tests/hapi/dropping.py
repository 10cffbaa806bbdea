"""A proxy that drops some answers after what was asked for is done, as a network does."""

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: what is said between two neighbours only
OF_THE_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")
#: longer than anybody waits here
PATIENCE_S = 120


class Dropping:
    """What a proxy leads to, and what it has done."""

    def __init__(self, target: str, share: float, seed: int) -> None:
        self.target = target
        self.url = ""
        self.share = share
        self.dropped = 0
        self.passed = 0
        #: requests that the other side did not take
        self.unanswered = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def drops(self) -> bool:
        """Return whether this answer is lost on the way."""
        with self._lock:
            lost = self._random.random() < self.share
            self.dropped += lost
            self.passed += not lost
            return lost


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def _do(self) -> None:
        dropping = self.server.dropping
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, headers, answer = self._ask(dropping.target, body)
        except (OSError, http.client.HTTPException):
            dropping.unanswered += 1
            self.close_connection = True
            return
        if dropping.drops():
            self.close_connection = True
            return
        # Links lead back through the proxy.
        answer = answer.replace(dropping.target.encode(), dropping.url.encode())
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in (*OF_THE_HOP, "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def _ask(self, target: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(target)
        assert parts.hostname
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
        try:
            named = {n: v for n, v in self.headers.items() if n.lower() not in OF_THE_HOP}
            connection.request(self.command, self.path, body or None, named)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    dropping: Dropping

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has gone."""


@contextmanager
def dropping(target: str, share: float, seed: int) -> Iterator[Dropping]:
    """Run a proxy on the loopback address.

    Args:
        target: the address it leads to, with its path.
        share: of the answers that are lost, 0 to 1.
    """
    made = Dropping(target, share, seed)
    server = _Server(("127.0.0.1", 0), _Request)
    server.dropping = made
    made.url = f"http://127.0.0.1:{server.server_port}{urlsplit(target).path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
