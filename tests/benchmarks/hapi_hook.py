"""The hospital's program beside HAPI: a Subscription calls it, and it orders.

HAPI delivers an Observation as `PUT BASE/Observation/ID`, and is answered at once.

https://hl7.org/fhir/R4/subscription.html
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

from hapi_server import Server
from playing import Json

#: a hook that takes longer is lost, and so is the benchmark
LONGEST_S = 60


class Listener:
    """An HTTP server that hands on the ids of the Observations that it is told of."""

    def __init__(self) -> None:
        """Listen on a free port of this machine; `close` ends it."""
        told: Queue[str] = Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                told.put(self.path.rpartition("/")[2])

            def log_message(self, *_: object) -> None:
                """Say nothing of each request."""

        self._told = told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def until_told(self, id: str) -> None:
        """Wait for one Observation; others are passed over.

        Raises:
            RuntimeError: the hook was not called in time.
        """
        deadline = time.monotonic() + LONGEST_S
        try:
            while self._told.get(timeout=max(0.0, deadline - time.monotonic())) != id:
                pass
        except Empty:
            raise RuntimeError(f"HAPI has not called the hook for Observation/{id}") from None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def subscribed(server: Server, criteria: str) -> Iterator[Listener]:
    """Listen to what meets the criteria for a block; HAPI's Subscription is active when it begins."""
    listener = Listener()
    try:
        subscription = {
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "benchmark",
            "criteria": criteria,
            "channel": {
                "type": "rest-hook",
                "endpoint": listener.url,
                "payload": "application/fhir+json",
            },
        }
        path = f"/Subscription/{server.post('/Subscription', subscription)['id']}"
        _wait(lambda: server.get(path)["status"] == "active")
        yield listener
        # Otherwise HAPI would go on telling a listener that is gone.
        server.delete(path)
    finally:
        listener.close()


def order(server: Server, patient: str, observation: str) -> Json:
    """Store an order for a patient, by reason of an Observation, and return it."""
    return server.post(
        "/ServiceRequest",
        {
            "resourceType": "ServiceRequest",
            "status": "draft",
            "intent": "proposal",
            "priority": "urgent",
            "code": {"text": "MRI of the hip"},
            "subject": {"reference": f"Patient/{patient}"},
            "reasonReference": [{"reference": f"Observation/{observation}"}],
        },
    )


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not until():
        if time.monotonic() > deadline:
            raise RuntimeError("HAPI has not made the Subscription active")
        time.sleep(0.1)
