"""Why a rule was applied, in words: what a row of the log of decisions keeps as its basis."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.store.decisions import Row
from service.web import elements, moments
from service.web.moments import Moments
from service.web.once import once
from service.web.words import Words

#: the texts of some conditions begin with the rule they belong to, as in `T06: weak and in pain`
_RULE_NAME = re.compile(r"^[A-Z]\d{2}: ")
#: how the parameters of a site are named
_LIMIT = re.compile(r"^[a-z]\w*\.\w+ ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a rule and how it was answered. `depth`: its place in the explanation."""

    text: str
    #: of a text in another language than the page's: an expression of the rules that has no words
    language: str
    value: str
    #: the limits of the site it was held against
    limit: str
    #: met, not or unknown
    result: str
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One thing the record said when the rule was applied."""

    reference: str
    #: where to read exactly this version
    url: str
    name: str
    value: str
    date: str
    day: str
    side: str
    by: str
    status: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One thing the rule made or changed."""

    reference: str
    title: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """Everything one decision rests on; read when it is asked for: a timeline names more than it opens."""

    number: int
    rule: str
    title: str
    source: str
    target: str
    outputs: tuple[Output, ...]
    profile: str
    changed: tuple[tuple[str, str], ...]
    engine: str
    pathway: str
    kept: Mapping[str, Any] = field(repr=False)
    when: Moments = field(repr=False)
    words: Words = field(repr=False)

    @once
    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of the rule and what each rests on."""
        return _all(self.kept, DEEPEST, self.words)

    @once
    def explained(self) -> tuple[Condition, ...]:
        """Return the same, further down."""
        return _all(self.kept, DEEPEST + 2, self.words)

    @once
    def inputs(self) -> tuple[Input, ...]:
        """Return what the record said."""
        return tuple(read_input(entry, self.when, self.words) for entry in _used(self.kept))


def read(row: Row, when: Moments, words: Words) -> Basis:
    """Return the basis of a row in words. What an older version did not keep is empty."""
    kept = row.basis
    parameters = kept.get("parameters") or {}
    return Basis(
        number=row.number,
        rule=row.rule,
        title=_title(kept, row.rule, words),
        source=str(kept.get("from") or row.before.get("stage") or ""),
        target=str(kept.get("to") or row.after.get("stage") or ""),
        outputs=tuple(
            Output(
                reference=str(o.get("reference", "")),
                title=words.said(str(o.get("title") or o.get("shorthand", ""))),
            )
            for o in kept.get("outputs") or ()
        ),
        profile=str(parameters.get("profile") or ""),
        changed=tuple((str(k), str(v)) for k, v in (parameters.get("changed") or {}).items()),
        engine=str(kept.get("engine") or ""),
        pathway=str(kept.get("pathway") or ""),
        kept=kept,
        when=when,
        words=words,
    )


#: a table shows the conditions of a rule and what each rests on, not more
DEEPEST = 2
#: values beside one condition; the others are in the findings
VALUES = 3


def _all(kept: Mapping[str, Any], deepest: int, words: Words) -> tuple[Condition, ...]:
    nodes = kept.get("conditions") or ()
    return tuple(part for node in nodes for part in conditions(node, words, deepest=deepest))


def conditions(node: Any, words: Words, *, deepest: int = DEEPEST, depth: int = 0) -> list[Condition]:
    """Return a condition, the conditions it rests on, and beside each the values it was answered from."""
    parts = [part for part in node.get("because") or () if isinstance(part, Mapping)]
    said = [_split(node.get("value"))] if node.get("value") not in (None, True, False) else []
    if depth == deepest and not said:
        said = list(dict.fromkeys(_below(parts)))[:VALUES]
    text, language = words.told(_sentence(str(node.get("text") or node.get("name") or "")))
    found = [
        Condition(
            text=text,
            language=language,
            value="; ".join(dict.fromkeys(words.value(value) for value, _ in said if value)),
            limit="; ".join(dict.fromkeys(words.value(limit) for _, limit in said if limit)),
            result=result(node["result"] if "result" in node else node.get("value")),
            depth=depth,
        )
    ]
    if depth < deepest:
        for part in parts:
            found += conditions(part, words, deepest=deepest, depth=depth + 1)
    return found


def _below(nodes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what the conditions below were answered from, nearest first."""
    for node in nodes:
        if isinstance(node.get("value"), str):
            yield _split(node["value"])
        else:
            yield from _below([part for part in node.get("because") or () if isinstance(part, Mapping)])


def _split(value: object) -> tuple[str, str]:
    """Return a value in words and the limits of the site it was held against, which stand behind it."""
    words = str(value)
    if _LIMIT.match(words):
        return "", words
    known, _, limits = words.partition(" · ")
    # a person as such is no value: what is missing of them is said by the condition
    return "" if "/_history/" in known else known, limits


def _sentence(text: str) -> str:
    """Return the text without the name of its rule, beginning with a capital."""
    return elements.capital(_RULE_NAME.sub("", text))


def result(answer: object) -> str:
    """Return how a three-valued answer is called here."""
    return "met" if answer is True else "not" if answer is False else "unknown"


def _used(kept: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the inputs the conditions rest on; all that counted where that was not kept."""
    inputs = list(kept.get("inputs") or ())
    used = set(kept.get("used") or ())
    return [entry for entry in inputs if entry.get("reference") in used] if used else inputs


def read_input(entry: Mapping[str, Any], when: Moments, words: Words) -> Input:
    """Return one input of a basis in words."""
    reference = str(entry.get("reference") or "")
    plain, _, version = reference.partition("/_history/")
    return Input(
        reference=plain,
        url=f"/fhir/{reference}" if reference else "",
        name=words.said(str(entry.get("input") or plain)),
        value=_said(entry.get("value"), words),
        date=when.said(str(entry["date"])) if entry.get("date") else words("not_recorded"),
        day=when.short(at) if (at := moments.read(str(entry.get("date")))) else "",
        side=words.said(str(entry.get("side") or "")),
        by=str(entry.get("by") or ""),
        status=status(entry, words),
        version=version,
    )


def status(entry: Mapping[str, Any], words: Words) -> str:
    """Return the status of an input in words; empty where it is as expected."""
    code = str(entry.get("status") or "")
    return "" if code == "final" else words.code("status", code)


def _title(kept: Mapping[str, Any], rule: str, words: Words) -> str:
    """Return the title of the step; of a rule that said none, its code."""
    return words.said(str(kept["title"])) if kept.get("title") else rule


def _said(value: object, words: Words) -> str:
    if value is None:
        return words("not_recorded")
    if isinstance(value, bool):
        return words("yes" if value else "no")
    return words.value(str(value))
