"""Strings.

https://cql.hl7.org/09-b-cqlreference.html#string-operators-3
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pathways.cql.refusal import Unanswerable


def combined(parts: Sequence[str | None], separator: str | None) -> str | None:
    """Return the parts that are not null, joined; null of nothing."""
    known = [part for part in parts if part is not None]
    return (separator or "").join(known) if known else None


def split(text: str, separator: str | None) -> list[str]:
    """Return the pieces between the separators."""
    return text.split(separator) if separator else [text]


def split_on_matches(text: str, pattern: str) -> list[str]:
    """Return the pieces between what the pattern matches."""
    return _pattern(pattern).split(text)


def position_of(pattern: str, text: str) -> int:
    """Return where the pattern first begins, -1 when it does not."""
    return text.find(pattern)


def last_position_of(pattern: str, text: str) -> int:
    """Return where the pattern last begins, -1 when it does not."""
    return text.rfind(pattern)


def substring(text: str, start: int | None, length: int | None) -> str | None:
    """Return the part from start, null when it begins outside the text."""
    if start is None or not 0 <= start < max(len(text), 1):
        return None
    return text[start:] if length is None else text[start : start + length]


def matches(text: str, pattern: str) -> bool:
    """Return whether the pattern matches the whole text."""
    return _pattern(pattern).fullmatch(text) is not None


def replace_matches(text: str, pattern: str, substitution: str) -> str:
    """Return the text with each match replaced; `$1` is a group and `\\$` a dollar sign."""
    return _pattern(pattern).sub(_python_substitution(substitution), text)


def _python_substitution(substitution: str) -> Any:
    parts = re.findall(r"\\(.)|\$(\d+)|\$\{(\w+)\}|([^\\$]+|.)", substitution, re.DOTALL)

    def replaced(match: re.Match[str]) -> str:
        return "".join(
            escaped or (match[int(number)] or "" if number else match[name] if name else plain)
            for escaped, number, name, plain in parts
        )

    return replaced


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        raise Unanswerable("a pattern that is not a regular expression") from None
