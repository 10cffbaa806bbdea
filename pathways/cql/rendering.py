"""An explanation for people: as one sentence, or as lists within lists. As it is, it is JSON.

Pure: the tree of `Run.explain` in, text out. No source is lost.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Explanation = Mapping[str, Any]


def answer(tree: Explanation) -> str:
    """Return the value of an explanation in words; of a condition whether it holds."""
    if "result" in tree:
        return {True: "true", False: "false", None: "unknown"}[tree["result"]]
    return _said(tree["value"])


def sentence(tree: Explanation) -> str:
    """Return what was found, the reasons it rests on directly, and every source, in one sentence."""
    reasons = "; ".join(f"{reason['text']}: {answer(reason)}" for reason in tree["because"])
    sources = ", ".join(tree["sources"])
    return (
        f"{tree['text']}: {answer(tree)}"
        + (f", because {reasons}" if reasons else "")
        + (f" (from {sources})" if sources else "")
        + "."
    )


def outline(tree: Explanation) -> str:
    """Return a list of lists, as Markdown has them: each reason below what it is a reason for.

    A source stands at the last line that rests on it, where the record was read.
    """
    return "\n".join(_lines(tree, 0))


def _lines(tree: Explanation, depth: int) -> Iterator[str]:
    deeper = {source for reason in tree["because"] for source in reason["sources"]}
    own = [source for source in tree["sources"] if source not in deeper]
    read = f" [{', '.join(own)}]" if own else ""
    yield f"{'  ' * depth}- {tree['text']}: {answer(tree)}{read}"
    for reason in tree["because"]:
        yield from _lines(reason, depth + 1)


def _said(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_said, value)) or "none"
        case Mapping():
            return ", ".join(f"{name} {_said(part)}" for name, part in value.items())
        case _:
            return str(value)
