"""Makes the request of a finding small: whatever can be left out, and the same is still wrong, is."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fuzz.making import Asked

#: a request that is still large after so many tries stays so
TRIES = 400


def shrink(asked: Asked, still: Callable[[Asked], bool]) -> Asked:
    """Return a smaller request of which the same is wrong.

    Args:
        still: sends a request and says whether the same is wrong with it.
    """
    left = [TRIES]
    smaller = True
    while smaller and left[0] > 0:
        smaller = False
        for candidate in _smaller(asked):
            if left[0] <= 0:
                break
            left[0] -= 1
            if still(candidate):
                asked, smaller = candidate, True
                break
    return asked


def _smaller(asked: Asked) -> Iterator[Asked]:
    for name in asked.headers:
        yield replace(asked, headers={n: v for n, v in asked.headers.items() if n != name})
    path, _, query = asked.url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(pairs) > 1:
        for at in range(len(pairs)):
            yield replace(
                asked, url=f"{path}?{urlencode(pairs[:at] + pairs[at + 1 :], errors='surrogatepass')}"
            )
    if asked.body is None:
        return
    try:
        value = json.loads(asked.body)
    except ValueError:
        return
    for part in _parts(value):
        yield replace(asked, body=json.dumps(part).encode())


def _parts(value: Any) -> Iterator[Any]:
    """Yield the value without one of its parts, large parts first."""
    places = sorted(_places(value), key=len)
    for steps in places:
        smaller = copy.deepcopy(value)
        node = smaller
        for step in steps[:-1]:
            node = node[step]
        del node[steps[-1]]
        yield smaller


def _places(node: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, value in inside:
        yield (*steps, step)
        yield from _places(value, (*steps, step))
