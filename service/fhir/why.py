"""Why and why not, as FHIR Parameters: every way out of the stage, its answer, and what the answer rests on.

https://hl7.org/fhir/R4/operations.html
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pathways import basis
from pathways.inputs import Fact
from pathways.memory import Hold
from pathways.outlook import Situation, WayOut
from pathways.record import Json
from service.store import content

#: a way that a person decides on, and one whose rule erred: an error is no answer
DECISION, FAILED = "decision", "failed"
SAID = {
    "met": "met",
    "not-met": "not met",
    "unknown": "not known",
    DECISION: "a clinician decides",
    FAILED: "a rule failed",
}


def parameters(situation: Situation, moment: datetime) -> Json:
    """Return the answer of `CarePlan/$why` at the moment."""
    changes = situation.changes(moment)
    judge = situation.judge(moment)
    facts = {fact.entry.versioned: fact for fact in judge.facts}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "instant", "valueInstant": content.instant(moment)},
            {"name": "pathway", "valueCanonical": situation.pathway.canonical},
            {"name": "side", "valueCode": situation.side},
            {"name": "stage", "valueCode": situation.memory.stage},
            *({"name": "hold", "valueString": _hold(hold)} for hold in situation.memory.holds),
            *(_way(way, changes.get(way.rule), facts) for way in situation.ways_out(judge)),
        ],
    }


def sentence(way: WayOut) -> str:
    """Return the way, its answer, and the conditions that decide it, in one sentence."""
    answer = _answer(way)
    if way.failed:
        return f"{way.title}: {SAID[answer]}, the definition {way.failed!r}."
    # Of what is not met the failing conditions say why, of what is not known the open ones, else all.
    reasons = [_said(part) for part in _deciding(way.conditions, answer)]
    return f"{way.title}: {SAID[answer]}{', because ' + '; '.join(reasons) if reasons else ''}."


def _way(way: WayOut, changes: date | None, facts: Mapping[str, Fact]) -> Json:
    found = dict.fromkeys(source for node in way.conditions for source in basis.sources(node))
    used = [facts[source] for source in found if source in facts]
    return {
        "name": "way",
        "part": [
            {"name": "rule", "valueCode": way.code},
            {"name": "action", "valueId": way.rule},
            {"name": "title", "valueString": way.title},
            *([{"name": "target", "valueCode": way.target}] if way.target else []),
            {"name": "answer", "valueCode": _answer(way)},
            {"name": "sentence", "valueString": sentence(way)},
            *([{"name": "changes", "valueDate": changes.isoformat()}] if changes else []),
            *(_condition(node) for node in way.conditions),
            *({"name": "missing", "valueString": text} for text in dict.fromkeys(_missing(way.conditions))),
            *(_input(fact) for fact in used),
        ],
    }


def _input(fact: Fact) -> Json:
    return {
        "name": "input",
        "part": [
            {"name": "reference", "valueReference": {"reference": fact.entry.versioned}},
            {"name": "title", "valueString": fact.title},
            {"name": "value", "valueString": fact.words},
            {"name": "date", "valueDateTime": fact.at.isoformat(timespec="seconds")},
            *([{"name": "author", "valueString": fact.by}] if fact.by else []),
        ],
    }


def _condition(node: Mapping[str, Any]) -> Json:
    parts: list[Json] = [
        *([{"name": "definition", "valueString": node["name"]}] if "name" in node else []),
        {"name": "text", "valueString": node["text"]},
        {"name": "answer", "valueCode": _answered(node["result"])},
    ]
    if isinstance(value := node.get("value"), str) and value:
        parts.append({"name": "value", "valueString": value})
    parts += [
        {"name": "source", "valueReference": {"reference": source}}
        for source in node["sources"]
        if not any(source in part["sources"] for part in node["because"])
    ]
    parts += [_condition(part) for part in node["because"]]
    return {"name": "condition", "part": parts}


def _hold(hold: Hold) -> str:
    return f"{hold.code}:{hold.input}" if hold.input else hold.code


def _answer(way: WayOut) -> str:
    if way.failed:
        return FAILED
    return DECISION if way.decided_by_person else _answered(way.result)


def _answered(result: object) -> str:
    return "met" if result is True else "not-met" if result is False else "unknown"


def _deciding(nodes: Sequence[Mapping[str, Any]], answer: str) -> Iterator[Mapping[str, Any]]:
    """Yield the conditions with this answer: where the parts of one have it too, those."""
    for node in nodes:
        if _answered(node["result"]) == answer:
            yield from [part for part in node["because"] if _answered(part["result"]) == answer] or [node]


def _said(node: Mapping[str, Any]) -> str:
    value = node.get("value")
    known = f" ({value})" if isinstance(value, str) and value else ""
    return f"{node['text'].rstrip('.')}: {SAID[_answered(node['result'])]}{known}"


def _missing(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the innermost conditions that are not known."""
    for node in nodes:
        if node["because"]:
            yield from _missing(node["because"])
        elif node["result"] is None:
            yield node["text"]
