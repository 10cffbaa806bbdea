"""One HTTP exchange with limits of time and size; whatever goes wrong on the way has a name.

Redirects are not followed, since they could lead patients' data elsewhere, and nothing of the process's
environment (proxies, `.netrc`) has a say.
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.environment import InvalidSettings
from service.hospital.answers import Kind
from service.hospital.settings import PREFIX, Hospital

#: no good answer is longer
MAX_BYTES = 8 * 1024 * 1024
CONNECT_S = 5.0


class Failed(Exception):
    """There is no whole answer. Its kind says why."""

    def __init__(self, kind: Kind, status: int | None = None) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An answer that arrived whole."""

    status: int
    #: by lower-case name
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def ask(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]],
    longest_s: float,
    extensions: Mapping[str, Any] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Raw:
    """Return the answer to one request.

    Args:
        longest_s: for the whole answer, however slowly its parts come.
        extensions: as httpx knows them, https://www.python-httpx.org/advanced/extensions/.
        monotonic: seconds from any moment on.

    Raises:
        Failed: there is none, or not all of it.
    """
    end = monotonic() + longest_s
    # A body that is small on the way may be large once it is unpacked: none is packed.
    asked = [*(headers.items() if isinstance(headers, Mapping) else headers), ("Accept-Encoding", "identity")]
    status: int | None = None
    try:
        with client.stream(method, url, content=content, headers=asked, extensions=extensions) as answer:
            status = answer.status_code
            body = bytearray()
            for part in answer.iter_raw():
                body += part
                if len(body) > MAX_BYTES:
                    raise Failed(Kind.TOO_LONG, status)
                if monotonic() > end:
                    raise Failed(Kind.SILENT, status)
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Raw(status=status, headers=named, body=bytes(body))
    except httpx.ConnectTimeout:
        raise Failed(Kind.UNREACHABLE) from None
    except httpx.ConnectError as error:
        kind = Kind.UNTRUSTED if _of_certificate(error) else Kind.UNREACHABLE
        raise Failed(kind) from None
    except httpx.TimeoutException:
        raise Failed(Kind.SILENT, status) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        # The connection ended or what came was no HTTP, after something may have been sent.
        raise Failed(Kind.CUT_OFF, status) from None


class Transport:
    """Connections to one server, no more requests a second than its settings allow."""

    def __init__(
        self,
        hospital: Hospital,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            monotonic: seconds from any moment on, by which time-outs and the rate are kept.
            sleep: waits that many seconds.

        Raises:
            InvalidSettings: a certificate or a key cannot be used.
        """
        self._pause = 1 / hospital.rate
        self._longest = 2.0 * hospital.timeout_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._next = 0.0
        self._client = httpx.Client(
            verify=_trust(hospital),
            timeout=httpx.Timeout(float(hospital.timeout_s), connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    def exchange(self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str]) -> Raw:
        """Return the answer to one request.

        Raises:
            Failed: there is none, or not all of it.
        """
        self._keep_the_rate()
        return ask(
            self._client,
            method,
            url,
            content=content,
            headers=headers,
            longest_s=self._longest,
            monotonic=self._monotonic,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _keep_the_rate(self) -> None:
        now = self._monotonic()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._pause


def _trust(hospital: Hospital) -> ssl.SSLContext:
    """Return whom we trust and how we show who we are; a certificate is always looked at."""
    if not any(url.startswith("https://") for url in (hospital.url, hospital.token_url)):
        # Nobody is asked for a certificate, and a start that loads none is a quick one.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trust = ssl.create_default_context(cafile=hospital.ca_file)
    except OSError:
        raise InvalidSettings(PREFIX + "CA_FILE", "names a file that holds no certificates") from None
    if hospital.certificate_file is not None:
        try:
            trust.load_cert_chain(hospital.certificate_file, hospital.certificate_key_file)
        except OSError:
            reason = "and its key do not belong together, or are not PEM files"
            raise InvalidSettings(PREFIX + "CERTIFICATE_FILE", reason) from None
    return trust


def _of_certificate(error: BaseException | None) -> bool:
    """Return whether a TLS handshake is what failed; libraries wrap the error several times."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
