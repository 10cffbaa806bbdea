"""Addresses that a browser or a stranger tells in headers: read, or nobody's.

https://www.rfc-editor.org/rfc/rfc6454#section-7
"""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit


def read(address: str) -> SplitResult | None:
    """Return the parts of an address; None where it is none, as `http://[`."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


def names(address: str, hosts: Collection[str]) -> bool:
    """Return whether an address leads to one of these hosts, each with its port."""
    parts = read(address)
    return parts is not None and parts.netloc in hosts
