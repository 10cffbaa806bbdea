"""What the service needs from this machine: a folder, a port, an address that leads to it."""

import os
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from service.doctor.finding import Finding
from service.settings import Settings
from service.supervisor import account, address, binaries
from service.supervisor.unusable import Unusable

GIB = 1024**3

#: a database that meets a full disk stops; this is a few days of a hospital
LEAST_FREE = GIB

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def folder(settings: Settings, *, least_free: int = LEAST_FREE) -> Finding:
    """Look at the data folder, or at where it would be made. Nothing is made.

    Args:
        least_free: bytes.
    """
    path = settings.data
    # With servers of one's own only the logs of `hipway run` lie there.
    embedded = not (settings.database_url and settings.broker_url)
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        words = "set HIPWAY_DATA to a folder that this user may write"
        seen = f"{path} cannot be written"
        return _graded("data folder", seen, words, must=embedded)
    free = shutil.disk_usage(there).free
    words = f"free some space, or set HIPWAY_DATA to a larger disk; at least {least_free / GIB:.0f} GiB"
    seen = f"{path}, {free / GIB:.1f} GiB free"
    return _graded("data folder", seen, words if free < least_free else "", must=embedded)


def port(settings: Settings) -> Finding:
    """Look whether the web process can listen, or already does."""
    here = address.url(settings.host, settings.port, tls=settings.tls_certificate is not None)
    try:
        address.assert_free(settings.host, settings.port)
    except Unusable as error:
        if address.answers(f"{here}/health/live"):
            return Finding(what="port", seen=f"hipway answers at {here}")
        return Finding(what="port", seen=f"{settings.port} on {settings.host} cannot be used", fix=str(error))
    return Finding(what="port", seen=f"{settings.port} on {settings.host} is free")


def base_url(settings: Settings) -> Finding:
    """Look whether the links that the service writes can lead back to it."""
    what, seen = "base URL", settings.base_url
    try:
        parts = urlsplit(settings.base_url)
        number = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return Finding(what=what, seen="cannot be read", fix="correct HIPWAY_BASE_URL: https://host:port")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Finding(what=what, seen="cannot be read", fix="correct HIPWAY_BASE_URL: https://host:port")
    direct = parts.hostname in LOOPBACK or parts.hostname == settings.host
    if direct and number != settings.port:
        words = f"links lead to port {number} and the service listens on {settings.port}"
        return Finding(what=what, seen=seen, fix=f"{words}; correct HIPWAY_BASE_URL or HIPWAY_PORT")
    if direct and parts.hostname in LOOPBACK and settings.host not in (*LOOPBACK, *ANY):
        words = f"links lead to this machine's loopback and the service listens on {settings.host}"
        return Finding(what=what, seen=seen, fix=f"{words}; correct HIPWAY_BASE_URL or HIPWAY_HOST")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return Finding(what=what, seen=seen, advice="use https: what users see crosses the network readable")
    return Finding(what=what, seen=seen)


def embedded(settings: Settings) -> Iterator[Finding]:
    """Look whether the servers that nobody named can be started here."""
    if not settings.database_url:
        yield _startable("database", _postgres)
    if not settings.broker_url:
        yield _startable("broker", _valkey)


def _startable(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, seen=look())
    except Unusable as error:
        return Finding(what=what, seen="cannot be started here", fix=str(error))


def _graded(what: str, seen: str, words: str, *, must: bool) -> Finding:
    return Finding(what=what, seen=seen, fix=words if must else "", advice="" if must else words)


def _postgres() -> str:
    user = account.unprivileged()
    binaries.postgres(user)
    return f"embedded PostgreSQL, run as {f'the user {user.name}' if user else f'this user ({os.geteuid()})'}"


def _valkey() -> str:
    binaries.valkey()
    return "embedded Valkey"
