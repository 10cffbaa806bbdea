"""A real HAPI FHIR R4 server with storage, Subscriptions, $validate, $apply and $evaluate, on 127.0.0.1.

    build/hapi/<digest>/lib       the libraries, as Maven resolved them, with checksums verified
    build/hapi/<digest>/hapi.jar  our few classes that put them together (tests/hapi/java)

The digest is that of the sources, so that a change is a build of its own.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from installations import free_port

from service.supervisor import address
from service.supervisor.child import Child
from service.supervisor.postgres import Postgres
from service.supervisor.unusable import Unusable

ROOT = Path(__file__).parents[2]
SOURCES = Path(__file__).parent / "java"
BUILT = ROOT / "build" / "hapi"

#: into an empty repository a few hundred megabytes are fetched
BUILD_S = 900
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
        folder = build()
        url = urlsplit(self._postgres.start())
        self._java = Child(
            "hapi",
            [
                "java",
                *self._options,
                "-cp",
                f"{folder / 'hapi.jar'}:{folder / 'lib'}/*",
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

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._java is not None and self._java.ended() is not None

    def stop(self) -> None:
        """Stop the server, then its database."""
        if self._java is not None:
            self._java.stop()
        self._postgres.stop()


def build() -> Path:
    """Return the folder of the built server, and build it first where its sources have changed.

    Raises:
        Unusable: Maven cannot; its first complaint is said.
    """
    folder = built()
    if folder.exists():
        return folder
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT, prefix="half-") as half:
        target = Path(half) / "target"
        output = Path(half) / "hapi"
        # `--strict-checksums` refuses an artifact whose checksum is not the repository's.
        made = subprocess.run(
            [
                *("mvn", "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--quiet"),
                *("--file", str(SOURCES / "pom.xml"), f"-DbuildDirectory={target}"),
                f"-DoutputDirectory={output / 'lib'}",
                *("resources:resources", "compiler:compile", "jar:jar", "dependency:copy-dependencies"),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=BUILD_S,
            check=False,
        )
        if made.returncode != 0:
            said = (made.stdout + made.stderr).strip().splitlines() or ["it says nothing"]
            raise Unusable(f"HAPI cannot be built: {said[0].removeprefix('[ERROR] ')}")
        shutil.move(target / "hapi-1.jar", output / "hapi.jar")
        for older in BUILT.iterdir():
            if older.name != Path(half).name and not older.name.startswith("half-"):
                shutil.rmtree(older, ignore_errors=True)
        output.rename(folder)
    return folder


def built() -> Path:
    """Return the folder of the server as the sources are now, whether it is there or not."""
    digest = hashlib.sha256()
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes())
    return BUILT / digest.hexdigest()[:16]
