"""A hospital's senders: each Bundle is sent until it is acknowledged, and what was is remembered."""

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import reading

#: an answer that takes longer is taken for lost; what was suspended comes back before that
PATIENCE_S = 15.0
PAUSE_S = 0.25

#: a service that has not taken a Bundle by then does not come back
GIVEN_UP_S = 240.0


class Refused(Exception):
    """The service answered with something that sending again does not mend."""


@dataclass(slots=True)
class Told:
    """What the service has acknowledged, and what it cost."""

    #: (type, id, version), and the resource that was sent
    acknowledged: list[tuple[str, str, int, dict[str, Any]]] = field(default_factory=list)
    bundles: int = 0
    #: connections that broke or never came about, answers that never came
    lost: int = 0
    #: answers 429 and 503
    put_off: int = 0
    slowest_s: float = 0.0


class Hospital:
    """Many senders of one hospital. Threads share it; each has a connection of its own."""

    def __init__(self, port: int) -> None:
        """Prepare to send to this port of this machine."""
        self.told = Told()
        self._port = port
        self._own = threading.local()
        self._lock = threading.Lock()
        self._connections: list[http.client.HTTPConnection] = []

    def send(self, bundle: dict[str, Any]) -> None:
        """Send until it is acknowledged.

        Raises:
            Refused: with the answer.
        """
        body = reading.write(bundle)
        begun = time.monotonic()
        lost = put_off = 0
        while time.monotonic() - begun < GIVEN_UP_S:
            try:
                status, answer = self._once(body)
            except (OSError, http.client.HTTPException):
                lost += 1
            else:
                if status == 200:
                    self._note(bundle, reading.read(answer), time.monotonic() - begun, lost, put_off)
                    return
                if status not in (429, 502, 503):
                    raise Refused(f"{status} {answer[:2000]!r}")
                put_off += 1
            time.sleep(PAUSE_S)
        raise Refused(f"not acknowledged in {GIVEN_UP_S:.0f} s: {lost} lost, {put_off} put off")

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()

    def _once(self, body: bytes) -> tuple[int, bytes]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
            self._own.connection = connection
            self._connections.append(connection)
        try:
            connection.request("POST", "/fhir", body, {"Content-Type": "application/fhir+json"})
            response = connection.getresponse()
            return response.status, response.read()
        except BaseException:
            # It is opened again by the next request.
            connection.close()
            raise

    def _note(
        self, bundle: dict[str, Any], answer: dict[str, Any], took_s: float, lost: int, put_off: int
    ) -> None:
        with self._lock:
            self.told.bundles += 1
            self.told.lost += lost
            self.told.put_off += put_off
            self.told.slowest_s = max(self.told.slowest_s, took_s)
            for sent, line in zip(bundle["entry"], answer["entry"], strict=True):
                type_, id_, _, version = line["response"]["location"].split("/")
                self.told.acknowledged.append((type_, id_, int(version), sent["resource"]))
