"""The address the pages and the FHIR base are served at."""

import socket
import urllib.error
import urllib.request

from service.supervisor.unusable import Unusable


def assert_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything is started.

    Raises:
        Unusable: another process listens there, or the host is not one of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the web server does: connections that are only closing are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as error:
        raise Unusable(
            f"The host {host} is not known; set HIPWAY_HOST to an address of this machine."
        ) from error
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno is None:
            raise Unusable(
                f"Port {port} may not be used by this user; set HIPWAY_PORT to another."
            ) from error
        raise Unusable(
            f"Port {port} on {host} cannot be used ({error.strerror}); set HIPWAY_PORT to another."
        ) from error


def url(host: str, port: int) -> str:
    """Return where this machine reaches the service."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
