"""Random values that are told once, and the digests by which they are known again.

A value has 256 random bits, so nothing slower than a plain hash is needed to protect the digest.
"""

import hashlib
from collections.abc import Callable
from secrets import token_urlsafe

BYTES = 32

#: makes a random text of so many bytes
Random = Callable[[int], str]


def new(random: Random = token_urlsafe) -> str:
    """Return a value that nobody can guess."""
    return random(BYTES)


def digest(value: str) -> bytes:
    """Return what is kept of a value."""
    return hashlib.sha256(value.encode()).digest()
