"""The address the pages and the FHIR base are served at."""

import socket
import ssl
import urllib.error
import urllib.request

from service.supervisor.unusable import Unusable


def assert_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything is started.

    Raises:
        Unusable: another process listens there, or the host is not one of this machine.
    """
    number = numeric(host)
    try:
        with socket.socket(socket.AF_INET6 if ":" in number else socket.AF_INET) as probe:
            # As the web server does: connections that are only closing are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((number, port))
            probe.listen(1)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise Unusable(
                f"Port {port} may not be used by this user; set HIPWAY_PORT to another."
            ) from error
        raise Unusable(
            f"Port {port} on {host} cannot be used ({error.strerror}); set HIPWAY_PORT to another."
        ) from error


def numeric(host: str) -> str:
    """Return the host as a number, IPv4 where it has one: the web server takes no names.

    Raises:
        Unusable: nobody knows the name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unusable(
            f"The host {host} is not known; set HIPWAY_HOST to an address of this machine."
        ) from error
    return str(min(found, key=lambda each: each[0] != socket.AF_INET)[4][0])


def url(host: str, port: int, *, tls: bool = False) -> str:
    """Return where this machine reaches the service."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200. Never through a proxy.

    Nothing is told and nothing believed but the number, and a certificate is for the name that users know,
    so it is not checked here.
    """
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
