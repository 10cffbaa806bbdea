"""The reasons of a step, as the log keeps them: rule, versions, inputs, conditions, outputs."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pathways.definition import Pathway
from pathways.inputs import Fact
from pathways.record import Json
from pathways.steps import PERSON, Step


def used(step: Step) -> tuple[Fact, ...]:
    """Return the facts that the conditions of the step rest on, in the order of receipt.

    They are the leaves of the explanations. A step without conditions rests on none.
    """
    leaves = {source for condition in step.conditions for source in sources(condition)}
    return tuple(f for f in step.facts if f.entry.versioned in leaves or f.entry.reference in leaves)


def basis(
    pathway: Pathway,
    step: Step,
    *,
    engine: str,
    zones: str,
    profile: str,
    changed: Mapping[str, Any],
    due: datetime | None = None,
) -> Json:
    """Return everything needed to read the step later, and to replay it.

    Args:
        zones: the edition of the time zone data.
        due: when the evaluation should have been, so that a late one can be told as such.
    """
    return {
        "rule": step.rule,
        "action": step.action,
        "title": step.title,
        "from": step.before.stage,
        "to": step.after.stage if step.moved or step.before.stage is None else None,
        "event": step.event,
        "decision": _decision(step),
        "conditions": [dict(condition) for condition in step.conditions],
        "inputs": [_input(fact) for fact in step.facts],
        "used": [fact.entry.versioned for fact in used(step)],
        "outputs": [
            {
                "reference": one.reference,
                "shorthand": one.shorthand,
                "title": one.activity.title,
                "side": None if step.instance == PERSON else step.instance,
            }
            for one in step.raised
        ],
        "parameters": {"profile": profile, "changed": {k: _plain(v) for k, v in changed.items()}},
        "pathway": pathway.canonical,
        "engine": engine,
        "elm": pathway.elm_hash,
        "timeZones": zones,
        "due": due.isoformat() if due else None,
    }


def sources(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sources of a condition and of all it rests on."""
    yield from node.get("sources", ())
    for part in node.get("because", ()):
        yield from sources(part)


def _input(fact: Fact) -> Json:
    return {
        "reference": fact.entry.versioned,
        "input": fact.title,
        "value": fact.words,
        "date": fact.at.isoformat(),
        "side": " and ".join(sorted(fact.sides)) or None,
        "by": fact.by,
        "status": fact.entry.body.get("status"),
    }


def _decision(step: Step) -> Json | None:
    if step.decision is None:
        return None
    return {
        "reference": step.decision.entry.versioned,
        "code": step.decision.code,
        "practitioner": step.decision.practitioner,
        "reason": step.decision.reason,
        "at": step.decision.at,
        "focus": step.decision.focus,
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, str)) else str(value)
