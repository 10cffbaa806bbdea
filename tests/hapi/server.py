"""A real HAPI FHIR R4 server with storage, Subscriptions, $validate, $apply and $evaluate, on 127.0.0.1.

Our few classes that put it together stand in tests/hapi/java, and are built into build/hapi.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from installations import free_port
from maven import Program

from service.supervisor import address
from service.supervisor.child import Child
from service.supervisor.postgres import Postgres
from service.supervisor.unusable import Unusable

SOURCES = Path(__file__).parent / "java"
PROGRAM = Program("hapi", SOURCES)

START_S = 180

#: A small heap that `$evaluate` is comfortable in, and a compiler that is quick at the start. CQL reads the
#: zone of the machine, and ours is asked in UTC.
JAVA = ("-Xms512m", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.timezone=UTC")

#: how often a Subscription looks for what has changed, which is how long a hook may take; HAPI's own is 5000
INTERVAL_MS = 200


class Hapi:
    """One server with a PostgreSQL of its own."""

    def __init__(
        self, folder: Path, port: int, *, java: Sequence[str] = JAVA, interval_ms: int = INTERVAL_MS
    ) -> None:
        """Describe a server whose files live in `folder`; `start` runs it.

        Args:
            java: the options of the virtual machine.
            interval_ms: how often Subscriptions look for changes.
        """
        database_port = free_port()
        self.base = f"http://127.0.0.1:{port}/fhir"
        self.log = folder / "hapi.log"
        self._port = port
        self._options = tuple(java)
        self._interval_ms = interval_ms
        self._database_port = database_port
        self._postgres = Postgres(folder / "pg", loopback_port=database_port)
        self._java: Child | None = None

    def start(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Start both and wait until `/metadata` answers.

        Args:
            wait: waits that many seconds; it may raise, and then nothing is left running.

        Raises:
            Unusable: the server does not build or start.
        """
        class_path = PROGRAM.class_path()
        url = urlsplit(self._postgres.start())
        self._java = Child(
            "hapi",
            [
                "java",
                *self._options,
                "-cp",
                class_path,
                "org.hipway.hapi.Main",
                str(self._port),
            ],
            log=self.log,
            environment={
                "PATH": os.environ["PATH"],
                "HAPI_DATABASE_URL": f"jdbc:postgresql://127.0.0.1:{self._database_port}{url.path}",
                "HAPI_DATABASE_USER": url.username or "",
                "HAPI_DATABASE_PASSWORD": unquote(url.password or ""),
                "HAPI_SUBSCRIPTION_INTERVAL_MS": str(self._interval_ms),
            },
            grace_s=20,
        )
        self._java.start()
        try:
            self._until_it_answers(wait)
        except BaseException:
            self.stop()
            raise

    def _until_it_answers(self, wait: Callable[[float], None]) -> None:
        assert self._java is not None
        deadline = time.monotonic() + START_S
        while not address.answers(f"{self.base}/metadata"):
            if self._java.ended() is not None or time.monotonic() > deadline:
                raise Unusable(f"HAPI does not start; {self.log} says why.")
            wait(0.5)

    def groups(self) -> dict[str, int]:
        """Return the process at the top of each part, for who measures what they take."""
        assert self._java is not None
        return {"HAPI": self._java.guard_pid, "HAPI's PostgreSQL": self._postgres.running.guard_pid}

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._java is not None and self._java.ended() is not None

    def stop(self) -> None:
        """Stop the server, then its database."""
        if self._java is not None:
            self._java.stop()
        self._postgres.stop()
