"""Why a rule was applied, in words: what a row of the log of decisions keeps as its basis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.store.decisions import Row
from service.web.moments import Moments
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a rule and how it was answered. `depth`: its place in the explanation."""

    text: str
    value: str
    #: met, not or unknown; empty: a part that has no answer of its own
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
    side: str
    by: str
    status: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One thing the rule made or changed."""

    reference: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Everything one decision rests on."""

    number: int
    rule: str
    title: str
    source: str
    target: str
    conditions: tuple[Condition, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    profile: str
    changed: tuple[tuple[str, str], ...]
    engine: str
    pathway: str


def read(row: Row, when: Moments, words: Words) -> Basis:
    """Return the basis of a row in words. What an older version did not keep is empty."""
    kept = row.basis
    parameters = kept.get("parameters") or {}
    return Basis(
        number=row.number,
        rule=row.rule,
        title=str(kept.get("title") or row.rule),
        source=str(kept.get("from") or row.before.get("stage") or ""),
        target=str(kept.get("to") or row.after.get("stage") or ""),
        conditions=tuple(
            part for condition in kept.get("conditions") or () for part in _conditions(condition, 0)
        ),
        inputs=tuple(read_input(entry, when, words) for entry in kept.get("inputs") or ()),
        outputs=tuple(
            Output(reference=str(o.get("reference", "")), title=str(o.get("title") or o.get("shorthand", "")))
            for o in kept.get("outputs") or ()
        ),
        profile=str(parameters.get("profile") or ""),
        changed=tuple((str(k), str(v)) for k, v in (parameters.get("changed") or {}).items()),
        engine=str(kept.get("engine") or ""),
        pathway=str(kept.get("pathway") or ""),
    )


#: an explanation deeper than this is for the FHIR view, not for a table
DEEPEST = 3


def _conditions(node: Any, depth: int) -> list[Condition]:
    """Return a condition and what it rests on, each with its depth."""
    if not isinstance(node, Mapping):
        return [Condition(text=str(node), value="", result="", depth=depth)]
    text, value = str(node.get("text") or ""), node.get("value")
    own = Condition(
        text=text,
        value="" if value is None else str(value),
        result=_result(node["result"]) if "result" in node else "",
        depth=depth,
    )
    parts = [own] if text else []
    if depth < DEEPEST:
        for part in node.get("because") or ():
            parts += _conditions(part, depth + (1 if text else 0))
    return parts


def _result(answer: object) -> str:
    return "met" if answer is True else "not" if answer is False else "unknown"


def read_input(entry: Mapping[str, Any], when: Moments, words: Words) -> Input:
    """Return one input of a basis in words."""
    reference = str(entry.get("reference") or "")
    plain, _, version = reference.partition("/_history/")
    return Input(
        reference=plain,
        url=f"/fhir/{reference}" if reference else "",
        name=str(entry.get("input") or plain),
        value=_said(entry.get("value"), words),
        date=when.said(str(entry["date"])) if entry.get("date") else words("not_recorded"),
        side=str(entry.get("side") or ""),
        by=str(entry.get("by") or ""),
        status=str(entry.get("status") or ""),
        version=version,
    )


def _said(value: object, words: Words) -> str:
    if value is None:
        return words("not_recorded")
    if isinstance(value, bool):
        return words("yes" if value else "no")
    return str(value)
