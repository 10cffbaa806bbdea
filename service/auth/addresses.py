"""From where a request comes, as far as it can be known.

`X-Forwarded-For` is believed from the right, and only as long as those who wrote it are proxies that the
settings name: everybody else can write one.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def client(remote: str | None, forwarded: str | None, proxies: Iterable[Network]) -> str:
    """Return the address of whoever asked first that no trusted proxy is.

    Args:
        remote: who holds the connection.
        forwarded: the header, each hop after the one before.
        proxies: whose word is taken.
    """
    trusted = tuple(proxies)
    found = remote or ""
    for hop in reversed((forwarded or "").split(",")):
        if not _within(found, trusted) or not _is_address(hop.strip()):
            break
        found = hop.strip()
    return found


def _within(address: str, proxies: tuple[Network, ...]) -> bool:
    if not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
