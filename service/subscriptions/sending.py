"""One signed request to a subscriber.

    X-Hipway-Timestamp: 1767605400
    X-Hipway-Signature: sha256=<HMAC-SHA256 of "1767605400." and the body, with the secret, in hexadecimal>

A subscriber that knows the secret computes the same and compares; one that also refuses a timestamp more than
five minutes old cannot be sent an old notification by somebody who overheard it.

https://www.rfc-editor.org/rfc/rfc2104
"""

import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from service.environment import InvalidSettings
from service.hospital import transport
from service.hospital.transport import CONNECT_S, Failed
from service.subscriptions import addresses, answers
from service.subscriptions.addresses import Address, Networks, NotAllowed, NotKnown, Resolve
from service.subscriptions.answers import Answer, Kind

TIMESTAMP, SIGNATURE = "X-Hipway-Timestamp", "X-Hipway-Signature"
CONTENT_TYPE = "application/fhir+json; fhirVersion=4.0"

#: a host has one or two; more would hold up whoever waits for the thread
MOST_ADDRESSES = 3
#: seconds for the addresses that are not reached, besides what a subscriber has for its answer
CONNECTING_S = 10.0

CA_FILE = "HIPWAY_SUBSCRIBERS_CA_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent, and where."""

    endpoint: str = field(repr=False)
    #: of the Subscription's own
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)
    secret: str = field(repr=False)
    #: for the whole answer, seconds
    timeout_s: float


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return what the header of the signature says of a body that is sent at this second."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return whose certificates are believed: the system's authorities, or those of a file.

    Raises:
        InvalidSettings: the file holds none.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise InvalidSettings(CA_FILE, "names a file that holds no certificates") from None


def send(
    request: Request,
    *,
    now: datetime,
    trust: ssl.SSLContext,
    networks: Networks,
    resolve: Resolve = addresses.resolved,
) -> Answer:
    """Send a notification and return what became of it; nothing is raised for what the other side does.

    Args:
        now: the machine's own clock, which is the timestamp.
        resolve: asked once; only an address that it gave and that may be sent to is connected to, and of
            those the first `MOST_ADDRESSES`, within one limit of time for all of them.
    """
    parts = urlsplit(request.endpoint)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = addresses.chosen(host, port, networks, resolve)
    except NotAllowed:
        return Answer(kind=Kind.NOT_ALLOWED)
    except NotKnown:
        return Answer(kind=Kind.UNREACHABLE)
    timestamp = int(now.timestamp())
    headers = [
        *request.headers,
        ("Host", parts.netloc),
        ("Content-Type", CONTENT_TYPE),
        ("User-Agent", "hipway"),
        (TIMESTAMP, str(timestamp)),
        (SIGNATURE, signature(request.secret, timestamp, request.body)),
    ]
    answer = Answer(kind=Kind.UNREACHABLE)
    end = time.monotonic() + request.timeout_s + CONNECTING_S
    for address in found[:MOST_ADDRESSES]:
        left_s = min(request.timeout_s, end - time.monotonic())
        if answer.kind is not Kind.UNREACHABLE or left_s <= 0:
            break
        url = urlunsplit(parts._replace(netloc=_netloc(address, port)))
        answer = _post(request, url, headers, host, trust, left_s)
    return answer


def _post(
    request: Request,
    url: str,
    headers: Sequence[tuple[str, str]],
    host: str,
    trust: ssl.SSLContext,
    longest_s: float,
) -> Answer:
    """Send to one address. The certificate has to be that of the host, by whose name it is asked."""
    timeout = httpx.Timeout(longest_s, connect=min(CONNECT_S, longest_s))
    # No connection is kept: the next one might have another name at the same address.
    client = httpx.Client(verify=trust, timeout=timeout, follow_redirects=False, trust_env=False)
    deadline = _Deadline(longest_s)
    try:
        with client, deadline:
            raw = transport.ask(
                client,
                "POST",
                url,
                content=request.body,
                headers=headers,
                longest_s=longest_s,
                extensions={"sni_hostname": host, "trace": deadline.see},
            )
    except Failed as failed:
        if failed.status is not None:
            # What was answered stands in the status, whatever became of the rest.
            return Answer(kind=answers.of_status(failed.status), status=failed.status)
        return Answer(kind=Kind.SILENT if deadline.has_ended_it else Kind(failed.kind.value))
    return answers.read(raw, datetime.now(UTC))


def _netloc(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class _Deadline:
    """Ends a connection when its time is over.

    The limits of httpx are for one part of an answer each: who sends a byte now and then keeps them.
    """

    def __init__(self, seconds: float) -> None:
        self._over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._timer.cancel()

    @property
    def has_ended_it(self) -> bool:
        """Return whether there was a connection when the time was over."""
        return self._over and self._socket is not None

    def see(self, event: str, info: dict[str, Any]) -> None:
        """Note the connection that is used, as httpx tells of it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._over:
                self._end()

    def _end(self) -> None:
        self._over = True
        if self._socket is not None:
            try:
                # Of the socket alone, beneath TLS, which would wait for the other side to say farewell.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                # It has ended meanwhile.
                pass
