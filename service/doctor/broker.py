"""What the service needs from a Redis or Valkey server."""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from service.doctor.finding import Finding

VARIABLE = "HIPWAY_BROKER_URL"
TIMEOUT_S = 5


def examine(url: str) -> Iterator[Finding]:
    """Yield what was found, or why nothing could be looked at."""
    try:
        with _client(url) as client:
            found = tuple(_look(client, url))
    except (RedisError, OSError, ValueError) as error:
        seen, fix = trouble(error, url)
        found = (Finding(what="broker", seen=seen, fix=fix),)
    yield from found


def trouble(error: Exception, url: str) -> tuple[str, str]:
    """Return what is wrong, and what to do about it. Never repeats a message: it may hold the URL."""
    cause = error.__cause__ or error.__context__ or error
    encrypted = url.startswith("rediss://")
    if isinstance(error, NoPermissionError):
        return "the user may not ask the server how it is", "allow it INFO: ACL SETUSER ... +info"
    if isinstance(error, AuthenticationError):
        return "the server does not take this user and password", f"correct them in {VARIABLE}"
    if isinstance(error, ResponseError):
        return "the server has no database of this number", f"correct the number at the end of {VARIABLE}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in HOST_NAMES:
            return "the certificate of the server is for another host name", f"use its name in {VARIABLE}"
        return (
            "the certificate of the server is not trusted: another authority has issued it",
            f"add ssl_ca_certs=FILE with the certificate of its authority to {VARIABLE}",
        )
    if isinstance(cause, socket.gaierror):
        return "the host is not known", f"correct the host in {VARIABLE}"
    if isinstance(cause, ConnectionRefusedError | TimeoutError) or _no_socket(cause, url):
        return "no server answers there", f"start the server, or correct {VARIABLE}"
    if isinstance(cause, FileNotFoundError):
        return "the file that ssl_ca_certs names is not there", f"correct it in {VARIABLE}"
    if encrypted and isinstance(cause, ssl.SSLError | ConnectionError):
        return (
            "TLS is asked for, and the server offers none",
            f"write redis:// in {VARIABLE}, or turn on its TLS",
        )
    if isinstance(error, RedisError):
        return (
            "the server breaks the connection off, as one does that takes only TLS",
            f"write rediss:// and ?ssl_cert_reqs=required&ssl_ca_certs=FILE in {VARIABLE}",
        )
    return "the URL cannot be read", f"correct {VARIABLE}: rediss://user:password@host:port/0"


#: X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
HOST_NAMES = (62, 64)


def _no_socket(cause: BaseException, url: str) -> bool:
    return isinstance(cause, FileNotFoundError) and url.startswith("redis+socket://")


def _client(url: str) -> Any:
    checks: dict[str, str] = {}
    if url.startswith("rediss://"):
        checks = {"ssl_cert_reqs": _checks(url)}
        url = re.sub(r"ssl_cert_reqs=[^&]*&?", "", url).rstrip("?&")
    return Redis.from_url(
        url.replace("redis+socket://", "unix://", 1),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        **checks,
    )


def _checks(url: str) -> str:
    """Return how closely the service looks at the certificate."""
    word = parse_qs(urlsplit(url).query).get("ssl_cert_reqs", ["none"])[0]
    return word.removeprefix("CERT_").lower()


def _look(client: Any, url: str) -> Iterator[Finding]:
    info: dict[str, Any] = client.info()
    yield Finding(what="broker", seen=f"answers as Redis {info['redis_version']}")
    if url.startswith("rediss://") and _checks(url) != "required":
        yield Finding(
            what="broker's certificate",
            seen="is not checked",
            advice=f"write ?ssl_cert_reqs=required&ssl_ca_certs=FILE in {VARIABLE}",
        )
    if info.get("role") == "slave":
        read_only = bool(info.get("slave_read_only", 1))
        yield Finding(
            what="broker's role",
            seen="a replica" + (" that takes no writes" if read_only else ""),
            fix=f"name the primary in {VARIABLE}",
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicts = policy.startswith("allkeys-")
    yield Finding(
        what="broker's memory",
        seen=f"maxmemory-policy {policy}",
        fix="set maxmemory-policy to noeviction: a full server drops wake-ups unseen" if evicts else "",
    )
    kept = bool(info.get("aof_enabled")) or _snapshots(client)
    yield Finding(
        what="broker's disk",
        seen="wake-ups outlive a restart" if kept else "no append-only file and no snapshots",
        advice="" if kept else "set appendonly to yes: after a restart every wake-up waits for the sweep",
    )


def _snapshots(client: Any) -> bool:
    try:
        return bool(client.config_get("save").get("save"))
    except RedisError:
        # Who may not look cannot know; advice on a guess would be noise.
        return True
