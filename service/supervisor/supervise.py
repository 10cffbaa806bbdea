"""Start an installation, keep it running, stop it in order.

start   data folder, address, postgres, valkey, migrations, worker, sweep, web, demo patients
watch   what ends is started again, later each time it ends soon
stop    web, sweep, worker, valkey, postgres: who gives work before who does it
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import DBAPIError

from service.settings import PASSWORD_FILES, InvalidSettings, Settings
from service.stop_request import StopRequest
from service.store import promises, schema
from service.store.database import Database
from service.supervisor import address, data_folder, places
from service.supervisor.child import Child
from service.supervisor.postgres import Postgres, running_in
from service.supervisor.unusable import Unusable
from service.supervisor.valkey import Valkey

READY_S = 90
#: a child that ran this long is healthy: its next end is its first
HEALTHY_S = 10
LONGEST_PAUSE_S = 30
DEMO = "service.demo"

#: folders of the embedded servers in the data folder
POSTGRES = "pg"
VALKEY = "valkey"


class _Stop(BaseException):
    """A person or the system asks the supervisor to end. Raised by a pause only."""


#: waits that many seconds
Pause = Callable[[float], None]


def database_url(settings: Settings) -> str:
    """Return the URL of the database: the one that is set, else that of the installation that runs.

    Raises:
        InvalidSettings: there is neither.
    """
    url = settings.database_url or running_in(settings.data / POSTGRES)
    if not url:
        raise InvalidSettings(
            "HIPWAY_DATABASE_URL", f"is not set, and no installation runs in {settings.data}"
        )
    return url


def run(settings: Settings, environment: Mapping[str, str] = os.environ) -> int:
    """Run the installation until a signal ends it and return the exit code.

    Raises:
        Unusable: something outside is in the way. Nothing is left running.
    """
    children: list[Child] = []
    request = StopRequest(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def pause(seconds: float) -> None:
        if request.wait(seconds):
            raise _Stop

    try:
        with _used(settings) as folder:
            try:
                _start(settings, environment, folder, children, pause)
                _watch(children, pause)
            finally:
                _stop(children, folder)
    except _Stop:
        _say("stopped.")
    return 0


@contextmanager
def _used(settings: Settings) -> Iterator[data_folder.DataFolder]:
    folder = data_folder.take(settings.data)
    try:
        yield folder
    finally:
        folder.release()


def _start(
    settings: Settings,
    environment: Mapping[str, str],
    folder: data_folder.DataFolder,
    children: list[Child],
    pause: Pause,
) -> None:
    """Start everything in order; what has started is in `children`, in that order."""
    address.assert_free(settings.host, settings.port)
    own_database = bool(settings.database_url)
    settings = _with_servers(settings, folder, children, pause)
    inherited = {
        # The passwords of these files are part of the URLs below; both together are refused.
        **{name: value for name, value in environment.items() if name not in PASSWORD_FILES},
        "HIPWAY_MODE": settings.mode,
        "HIPWAY_HOST": settings.host,
        "HIPWAY_PORT": str(settings.port),
        "HIPWAY_DATA": str(settings.data),
        "HIPWAY_DATABASE_URL": settings.database_url,
        "HIPWAY_BROKER_URL": settings.broker_url,
        "PYTHONUNBUFFERED": "1",
    }

    def ours(name: str, *module: str) -> Child:
        return Child(
            name,
            [sys.executable, "-m", *module],
            log=folder.logs / f"{name}.log",
            environment=inherited,
            grace_s=15,
            held=[folder.lock],
        )

    if not _up_to_date(settings.database_url):
        _finish(ours("migrate", "service.commands", "migrate"), pause)
    if not own_database:
        # Nobody else works on this database, and whoever did has ended with the last supervisor.
        _release(settings.database_url)
    for name in ("worker", "sweep", "web"):
        child = ours(name, "service.commands", name)
        children.append(child)
        child.start()
    url = address.url(settings.host, settings.port, tls=settings.tls_certificate is not None)
    _wait_until_ready(url, children, pause)
    if settings.demo:
        # Before the addresses are said: while the stories are told, the clock stands in the past.
        _say("loading the demo patients ...")
        try:
            _finish(ours("demo", "service.demo", "--url", url), pause)
        except Unusable as error:
            _say(str(error))
    _greet(settings, url)


def _with_servers(
    settings: Settings, folder: data_folder.DataFolder, children: list[Child], pause: Pause
) -> Settings:
    """Start the servers that the settings do not name, and return settings that name them."""
    if not settings.database_url:
        postgres = Postgres(
            folder.path / POSTGRES, log=folder.logs / "postgres.log", held=[folder.lock], pause=pause
        )
        settings = replace(settings, database_url=postgres.start())
        children.append(postgres.running)
    if not settings.broker_url:
        valkey = Valkey(folder.path / VALKEY, log=folder.logs / "valkey.log", held=[folder.lock], pause=pause)
        settings = replace(settings, broker_url=valkey.start())
        children.append(valkey.running)
    return settings


def _up_to_date(url: str) -> bool:
    """Return whether there is nothing to migrate; a restart need not wait until a migration says so."""
    database = Database(url, pool_size=1)
    try:
        return schema.compatible(database.run(schema.revision))
    except DBAPIError:
        # Whatever is in the way, the migration finds it too and says it in a sentence.
        return False
    finally:
        database.close()


def _release(url: str) -> None:
    """Take back the leases of workers that are gone, so that nothing waits for them to run out."""
    database = Database(url, pool_size=1)
    try:
        with database.transaction() as tx:
            promises.release(tx)
    finally:
        database.close()


def _finish(child: Child, pause: Pause) -> None:
    """Run a program that ends by itself."""
    child.start()
    try:
        while (code := child.ended()) is None:
            pause(0.05)
    finally:
        child.stop()
    if code != 0:
        raise Unusable(f"The step {child.name} failed; {child.log} says why.")


def _wait_until_ready(url: str, children: list[Child], pause: Pause) -> None:
    deadline = time.monotonic() + READY_S
    while not address.answers(f"{url}/health/ready"):
        for child in children:
            if child.ended() is not None:
                raise Unusable(f"The {child.name} process ended while starting; {child.log} says why.")
        if time.monotonic() > deadline:
            if address.answers(f"{url}/health/live"):
                return _say(f"not everything is ready after {READY_S} s; see {url}/health/ready")
            raise Unusable(f"The web process does not answer; {children[-1].log} says why.")
        pause(0.1)
    return None


@dataclass(slots=True)
class _Life:
    """What the supervisor remembers of one child."""

    child: Child
    started: float
    ends: int = 0
    again_at: float | None = None


def _watch(children: list[Child], pause: Pause) -> NoReturn:
    """Start again whatever ends, until a pause ends it."""
    lives = [_Life(child, time.monotonic()) for child in children]
    while True:
        now = time.monotonic()
        for life in lives:
            code = life.child.ended()
            if life.again_at is not None and now >= life.again_at:
                _start_again(life)
            elif life.again_at is None and code is not None:
                _later(life, f"ended with {code}", healthy=now - life.started > HEALTHY_S)
        pause(0.2)


def _start_again(life: _Life) -> None:
    life.child.let_go()
    try:
        life.child.start()
    except (Unusable, OSError) as error:
        # One child that cannot start, for want of disk or memory, must not end the others.
        _later(life, f"cannot start ({error})", healthy=False)
        return
    life.started, life.again_at = time.monotonic(), None


def _later(life: _Life, what: str, *, healthy: bool) -> None:
    """Start the child again after a pause, a longer one each time it ends soon."""
    life.ends = 1 if healthy else life.ends + 1
    pause_s = min(2 ** (life.ends - 1), LONGEST_PAUSE_S)
    life.again_at = time.monotonic() + pause_s
    _say(f"{life.child.name} {what}, starts again in {pause_s} s; see {life.child.log}")


def _stop(children: list[Child], folder: data_folder.DataFolder) -> None:
    """Stop in the reverse order of the start."""
    for child in reversed(children):
        child.stop()
    for server in (POSTGRES, VALKEY):
        places.forget_sockets(folder.path / server / "run")


def _greet(settings: Settings, url: str) -> None:
    lines = [
        f"worklist   {url}/",
        f"FHIR base  {url}/fhir",
        f"data       {_short(settings.data)}",
    ]
    if settings.sandbox:
        lines.append("sandbox: no sign-in, a test clock, made-up patients; never for real ones")
    _say("ready.\n\n  " + "\n  ".join(lines) + "\n\nCtrl-C stops everything.")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _say(text: str) -> None:
    print(f"hipway: {text}", flush=True)  # noqa: T201 - the supervisor talks to the person who started it
