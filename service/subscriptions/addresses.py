"""Where notifications may be sent to: public addresses, and networks that an installation allows.

Whoever may subscribe names an address, and this service, which stands inside a hospital's network, would ask
it: so no request goes to this machine, to its neighbours, or to what a cloud tells its machines about
themselves. A name is resolved once for each request, and the connection goes to the address that was looked
at, not to the name again, whose answer may have changed.

https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
https://www.iana.org/assignments/iana-ipv6-special-registry/iana-ipv6-special-registry.xhtml
"""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

#: of IPv6, what is routed publicly at all: no loopback, no translation to IPv4, no local network
GLOBAL_UNICAST = IPv6Network("2000::/3")
#: seconds to find the addresses of a host: the system's own limit grows with each server that it may ask
RESOLVE_S = 5.0
#: an address of IPv4 inside one of IPv6, by which a translator would be led to it
TRANSLATED = ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """The host has no address that notifications may be sent to."""


class NotKnown(Exception):
    """The host has no address, or nobody who would know it can be asked."""


#: the addresses of a host
Resolve = Callable[[str, int], Sequence[str]]


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system knows them, those to be tried first at the front.

    Raises:
        NotKnown: there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotKnown from None
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def chosen(host: str, port: int, networks: Networks, resolve: Resolve = resolved) -> list[Address]:
    """Return the addresses of the host that may be sent to.

    Raises:
        NotAllowed: it has some, and none of them may.
        NotKnown: it has none, or they are not found in `RESOLVE_S`.
    """
    # A link-local address of IPv6 comes with its interface.
    found = [ip_address(address.partition("%")[0]) for address in _in_time(resolve, host, port)]
    if not found:
        raise NotKnown
    allowed = [address for address in found if may_be_sent_to(address, networks)]
    if not allowed:
        raise NotAllowed
    return allowed


def may_be_sent_to(address: Address, networks: Networks) -> bool:
    """Return whether notifications may be sent to the address: it is public, or in one of the networks."""
    inner = _inner(address)
    if any(address in network or (inner is not None and inner in network) for network in networks):
        return True
    return _is_public(address) and (inner is None or _is_public(inner))


def literal(host: str) -> Address | None:
    """Return the address that a host is written as; None: it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_odd_number(host: str) -> bool:
    """Return whether a host is a number that some programs take for an address: 2130706433, 0x7f.1, 127.1.

    https://url.spec.whatwg.org/#ends-in-a-number-checker
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    is_number = last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))
    return is_number and literal(host) is None


def _in_time(resolve: Resolve, host: str, port: int) -> Sequence[str]:
    # The system cannot be told to stop: who looks for too long is left to finish by itself.
    pool = ThreadPoolExecutor(1, thread_name_prefix="resolve")
    try:
        return pool.submit(resolve, host, port).result(timeout=RESOLVE_S)
    except TimeoutError:
        raise NotKnown from None
    finally:
        pool.shutdown(wait=False)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> IPv4Address | None:
    """Return the address of IPv4 that one of IPv6 leads to; None: there is none."""
    if isinstance(address, IPv4Address):
        return None
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
