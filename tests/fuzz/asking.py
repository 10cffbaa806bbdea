"""Whole requests at random: each is a function of a seed and a number."""

import gzip
import random
from collections.abc import Callable, Mapping

from fuzz import beside, operating, reads, spoiling, writes
from fuzz.grammar import Grammar
from fuzz.making import Asked, Making

#: each way to make a request, with how often it is taken
_WAYS: tuple[tuple[Callable[[Making], Asked], int], ...] = (
    (writes.put, 16),
    (writes.create, 8),
    (writes.update_by_identifier, 4),
    (writes.bundle, 12),
    (writes.visit, 8),
    (writes.patch, 8),
    (writes.delete, 4),
    (reads.read, 10),
    (reads.search, 16),
    (reads.operation, 7),
    (operating.labels, 3),
    (operating.joining, 2),
    (operating.export, 2),
    (operating.subscription, 3),
    (operating.patch_by_paths, 4),
    (operating.hook, 1),
    (beside.cds, 2),
    (beside.page, 4),
    (beside.control, 1),
    (beside.anything, 4),
)

#: headers that hardly anybody sends, or not like this
_UNUSUAL = (
    *("Accept", "Content-Type", "Content-Encoding", "If-Match", "If-None-Match", "If-None-Exist"),
    *(
        "If-Modified-Since",
        "Prefer",
        "Idempotency-Key",
        "Authorization",
        "Cookie",
        "Range",
        "Accept-Language",
    ),
    *("X-Forwarded-For", "Origin", "Accept-Charset", "If-Unmodified-Since", "HX-Request", "Sec-Fetch-Site"),
    *("X-HTTP-Method-Override", "Referer", "If-Range"),
)


def asked(seed: int, number: int, known: Mapping[str, list[str]]) -> Asked:
    """Return one of the requests of a seed.

    Args:
        known: ids that are there from the beginning, by type.
    """
    chance = random.Random(f"{seed}:{number}")
    ways, weights = zip(*_WAYS, strict=True)
    (way,) = chance.choices(ways, weights)
    found = way(Making(chance=chance, it=Grammar(chance), known=known))
    return _unusual(found, chance) if chance.random() < 0.15 else found


def _unusual(found: Asked, chance: random.Random) -> Asked:
    name, value = chance.choice(_UNUSUAL), spoiling.word(chance)
    headers, body = dict(found.headers), found.body
    # HTTP itself carries no others.
    headers[name] = "".join(c for c in value if 32 <= ord(c) < 256 and ord(c) != 127)
    if name == "Content-Encoding" and body is not None and chance.random() < 0.5:
        headers[name], body = "gzip", gzip.compress(body, mtime=0)
        body = body if chance.random() < 0.7 else body[: len(body) // 2]
    return Asked(method=found.method, url=found.url, headers=headers, body=body)
