"""Strings.

Regular expressions come from rules and texts from records, and some pairs would take longer than anyone
waits. What a pattern may cost for a text is reckoned before it is tried, so the same pair always has the
same answer: a value, or a refusal.

https://cql.hl7.org/09-b-cqlreference.html#string-operators-3
"""

import re
from collections.abc import Iterator, Sequence
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
    return _affordable(pattern, text, anywhere=True).split(text)


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
    return _affordable(pattern, text, anywhere=False).fullmatch(text) is not None


def replace_matches(text: str, pattern: str, substitution: str) -> str:
    """Return the text with each match replaced; `$1` is a group and `\\$` a dollar sign."""
    return _affordable(pattern, text, anywhere=True).sub(_python_substitution(substitution), text)


def _python_substitution(substitution: str) -> Any:
    parts = re.findall(r"\\(.)|\$(\d+)|\$\{(\w+)\}|([^\\$]+|.)", substitution, re.DOTALL)

    def replaced(match: re.Match[str]) -> str:
        return "".join(
            escaped or (match[int(number)] or "" if number else match[name] if name else plain)
            for escaped, number, name, plain in parts
        )

    return replaced


# Steps of the matcher: a second or less.
_MOST_STEPS = 10_000_000
# What a pattern is made of, as far as its cost goes: the quantifiers, groups and choices outside of classes.
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!<>]*|[()|]|[*+?]|\{\d*,?\d*\}|.", re.DOTALL)
_QUANTIFIER = re.compile(r"[*+?]|\{\d*,?\d*\}")


def _affordable(pattern: str, text: str, *, anywhere: bool) -> re.Pattern[str]:
    """Return the pattern, ready to be tried on the text.

    Raises:
        Unanswerable: it is none, or may take too many steps for a text of this length.
    """
    compiled, choices = _pattern(pattern)
    steps = len(text) + 1 if anywhere else 1
    for most in choices:
        steps *= min(most, len(text)) + 1
        if steps > _MOST_STEPS:
            raise Unanswerable("a pattern that may take too long for its text")
    return compiled


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> tuple[re.Pattern[str], tuple[int, ...]]:
    try:
        return re.compile(pattern, re.DOTALL), tuple(_choices(pattern))
    except re.error:
        raise Unanswerable("a pattern that is not a regular expression") from None


def _choices(pattern: str) -> Iterator[int]:
    """Yield, for each place at which the matcher may choose, how many ways it has at most.

    Raises:
        Unanswerable: it may choose within a repetition, which multiplies with the length of the text.
    """
    groups = [False]  # whether there was a choice in each group that is open
    closed = False  # whether there was one in the group that was just closed
    for part in _PART.findall(pattern):
        if part.startswith("("):
            groups.append(False)
        elif part == ")":
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            continue
        elif part == "|" or re.fullmatch(r"\\[1-9]", part):
            groups[-1] = True
            yield 1
        elif _QUANTIFIER.fullmatch(part):
            least, most = _times(part)
            if closed and most > 1:
                raise Unanswerable("a pattern with a choice or a repetition inside a repetition")
            if most > least:
                groups[-1] = True
                yield most - least
        closed = False


def _times(quantifier: str) -> tuple[int, int]:
    without_end = 1 << 31
    if quantifier in "*+?":
        return {"*": (0, without_end), "+": (1, without_end), "?": (0, 1)}[quantifier]
    least, comma, most = quantifier[1:-1].partition(",")
    return int(least or 0), int(most) if most else without_end if comma else int(least or 0)
