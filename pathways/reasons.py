"""Why a condition is met, not met or unknown, as a person reads it.

The engine explains expressions; this turns its tree into one of conditions: each with its answer, and at the
leaves the values used, with their dates and authors, and the limits of the site they were held against.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pathways.definition import Pathway
from pathways.inputs import Fact
from pathways.record import Json

#: limits that only say how old a value may be are not worth a word where a value was found
LOOKBACK = "lookback."
LANGUAGE = "en"
NOTHING = "nothing recorded"
#: the moment is on every page; as a reason it says nothing
MOMENT = "Evaluation Instant"
#: how the engine says what a look into the record found
STORED = "stored"


def reasons(
    pathway: Pathway, tree: Mapping[str, Any], facts: Mapping[str, Fact], *, deepest: int | None = None
) -> Json:
    """Return the tree in words: `text`, `result`, `value`, `because`, `sources`.

    Args:
        facts: what counts, by the reference to its version.
        deepest: conditions further down are left out, as for a reader who is not shown them.
    """
    return _node(pathway, tree, facts, pathway.library.spoken, deepest)


def value(fact: Fact) -> str:
    """Return the value of a fact with its day and author."""
    by = f", {fact.by}" if fact.by else ""
    return f"{fact.words} ({fact.at.date().isoformat()}{by})"


def _node(
    pathway: Pathway,
    tree: Mapping[str, Any],
    facts: Mapping[str, Fact],
    spoken: frozenset[str],
    deepest: int | None,
) -> Json:
    # The same condition may be asked at several places of an expression; once is enough.
    answers = list({part["text"]: part for part in reversed(list(_answers(tree, spoken)))}.values())[::-1]
    # A condition that rests on expressions only, not on other conditions, is a leaf: its values say it all.
    named = any(part["text"] in spoken for part in answers)
    parts: list[Json] = []
    if named and deepest != 0:
        below = None if deepest is None else deepest - 1
        parts = [_node(pathway, part, facts, spoken, below) for part in answers]
    sources = list(tree.get("sources", ()))
    node: Json = {
        "text": _text(tree),
        "result": tree.get("result", tree.get("value")),
        "because": parts,
        "sources": sources,
    }
    if not named:
        node["value"] = _leaf(pathway, tree, [facts[s] for s in sources if s in facts])
    return node


def _answers(tree: Mapping[str, Any], spoken: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the nearest parts that are conditions: those an author has named, else bare expressions.

    An expression between two named conditions is passed over: "not known" around a condition says nothing
    that the condition does not say itself.
    """
    for part in tree.get("because", ()):
        if part.get("text") in spoken and "result" in part:
            yield part
            continue
        below = list(_answers(part, spoken))
        if any(each["text"] in spoken for each in below):
            yield from below
        elif "result" in part:
            yield part


def _leaf(pathway: Pathway, tree: Mapping[str, Any], facts: Sequence[Fact]) -> str:
    titled = len({fact.input for fact in facts}) > 1
    values = [f"{fact.title}: {value(fact)}" if titled else value(fact) for fact in facts]
    values = values or [f"{text}: {amount}" for text, amount in dict(_computed(pathway, tree)).items()]
    limits = [
        f"{pathway.text(LANGUAGE, f'parameter.{name}')} {amount}{_unit(pathway, name)}"
        for name, amount in dict(_limits(pathway, tree)).items()
        if not (facts and name.startswith(LOOKBACK))
    ]
    known = "; ".join(values) if values else NOTHING if tree.get("value") is None else ""
    return " · ".join(part for part in (known, "; ".join(limits)) if part)


def _limits(pathway: Pathway, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the site's parameters that the answer rests on."""
    for part in tree.get("because", ()):
        if part.get("text") in pathway.parameters and not part.get("because"):
            yield part["text"], part.get("value")
        yield from _limits(pathway, part)


def _computed(pathway: Pathway, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the nearest amounts that were computed from what is remembered, with their phrases."""
    for part in tree.get("because", ()):
        amount, text = part.get("value"), str(part.get("text"))
        if text in pathway.parameters or text == MOMENT:
            continue
        if amount is None and text in pathway.library.parameters:
            yield text, "none"
            continue
        told = text in pathway.library.spoken or text in pathway.library.parameters
        told = told or (isinstance(amount, str) and amount.endswith(STORED))
        if told and isinstance(amount, (int, str)) and not isinstance(amount, bool):
            yield text, amount
        else:
            yield from _computed(pathway, part)


def _unit(pathway: Pathway, name: str) -> str:
    unit = pathway.parameters[name].unit
    return "" if unit in {"choice", "boolean", "zone", "grade", "grades", "score"} else f" {unit}"


def _text(tree: Mapping[str, Any]) -> str:
    """Return the phrase of the rules; a leading step number is for authors."""
    text = str(tree.get("text", ""))
    head, colon, rest = text.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and len(head) == 3 and head[1:].isdigit() else text
