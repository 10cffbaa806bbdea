"""A web server of `deadly_web`, which dies where it is told to, and comes back."""

import http.client
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fhir_profiles import reading

TESTS = Path(__file__).parent


class Web:
    """A web server that dies where it is told to, and comes back."""

    def __init__(self, port: int, order: Path, log: Path, **variables: str) -> None:
        self.port = port
        self._order = order
        self._log = log
        self._environment = {**os.environ, **variables, "HIPWAY_DEADLY": str(order)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as a supervisor does each time it has ended."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(TESTS / "deadly_web.py"), str(self.port)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        # Its own process ends with it; an orderly stop may meet a process that is just coming back.
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def die_at(self, line: str) -> None:
        self._order.write_text(line)

    @property
    def has_died(self) -> bool:
        return not self._order.exists()

    def post(
        self, content: dict[str, Any], key: str | None, path: str = "/fhir"
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Content-Type": "application/fhir+json"}
            if key is not None:
                sent["Idempotency-Key"] = f'"{key}"'
            connection.request("POST", path, reading.write(content), sent)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def until_back(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            # Processes that die soon after their start make the server give up, too.
            if self._process is None or self._process.poll() is not None:
                self.start()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/health/live")
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            finally:
                connection.close()
            time.sleep(0.05)
