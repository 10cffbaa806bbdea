"""Why a proposal was made, as GitHub-flavoured markdown: conditions with their answers, values and dates.

What comes from a record is escaped: a name cannot become a link, a heading or a tag.

https://github.github.com/gfm/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

#: every ASCII punctuation character may be escaped so, https://github.github.com/gfm/#backslash-escapes
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-!|~&@:$])")
ANSWERS = {True: "met", False: "not met", None: "not known"}
#: deeper reasons are for the page of the plan
DEPTH = 3


def escaped(words: str) -> str:
    """Return the words as text that means nothing else, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))


def reasons(basis: Json) -> Iterator[str]:
    """Yield the lines that say why: the step, its conditions, the values it rests on."""
    day = str(basis.get("at", ""))[:10]
    yield f"**{escaped(str(basis['title']))}** (rule {escaped(str(basis['rule']))}, {escaped(day)})"
    yield ""
    yield from _conditions(basis.get("conditions", ()), 0)
    used = set(basis.get("used", ()))
    values = [given for given in basis.get("inputs", ()) if given["reference"] in used]
    if values:
        yield ""
        yield "Values used:"
        yield ""
        yield from (f"- {_value(given)}" for given in values)


def listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a titled list; nothing where there is nothing in it."""
    if lines:
        yield from ("", f"{title}:", "")
        yield from (f"- {line}" for line in lines)


def _conditions(nodes: Sequence[Json], depth: int) -> Iterator[str]:
    for node in nodes:
        value = node.get("value")
        known = f" ({escaped(value)})" if isinstance(value, str) and value else ""
        result = node.get("result")
        answer = ANSWERS.get(result, "") if result is None or isinstance(result, bool) else ""
        yield f"{'  ' * depth}- {escaped(str(node['text']).rstrip('.'))}: {answer}{known}"
        if depth + 1 < DEPTH:
            yield from _conditions(node.get("because", ()), depth + 1)


def _value(given: Json) -> str:
    by = f", {given['by']}" if given.get("by") else ""
    return escaped(f"{given['input']}: {given['value']} ({given['date'][:10]}{by})")
