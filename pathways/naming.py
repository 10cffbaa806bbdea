"""The same words with other names in them, where what they name is kept under another id."""

import re
from collections.abc import Mapping
from typing import Any

#: `Type/id`, with or without a version
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}(?:/_history/[0-9]+)?")
#: what stands between the parts of a key
_BETWEEN = re.compile(r"([|:])")


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON value with other references in its texts.

    Args:
        names: by `Type/id` or `Type/id/_history/version`, what stands in its place.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: names.get(found[0], found[0]), value) if "/" in value else value
    if isinstance(value, Mapping):
        return {key: renamed(part, names) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [renamed(part, names) for part in value]
    return value


def with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    """Return a JSON value with other ids where a text is one, or a part of `key:id` or `key|id`."""
    if isinstance(value, str):
        return "".join(ids.get(part, part) for part in _BETWEEN.split(value))
    if isinstance(value, Mapping):
        return {key: with_ids(part, ids) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_ids(part, ids) for part in value]
    return value
