"""Texts of any length as an index can hold them, when they are stored and when they are looked for.

https://www.postgresql.org/docs/current/btree.html
"""

import hashlib

#: Bytes of UTF-8. An entry of an index holds some 2,700 in all; what is longer than this is found by its
#: beginning and a digest of all of it.
MOST = 600


def shortened(text: str) -> str:
    """Return a text that an index can hold: the same for the same text, another one for any other.

    What is shortened is still longer than what is not, so that neither is taken for the other.
    """
    if len(text) <= MOST // 4:
        return text
    encoded = text.encode()
    if len(encoded) <= MOST:
        return text
    # A character that is cut in two is left out.
    return f"{encoded[:MOST].decode(errors='ignore')}#{hashlib.sha256(encoded).hexdigest()}"
