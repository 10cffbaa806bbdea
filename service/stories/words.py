"""An answer in words, for people at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.stories import shorthand
from service.stories.collecting import Record
from service.stories.shorthand import Orders

Json = Mapping[str, Any]

#: wide enough for `L:TK:basis-withdrawn-review(left-standing)`
COLUMN = 46


def of_entries(posted: Json, answer: Json) -> Iterator[str]:
    """Return one line per entry, and what was wrong with it, without repeating what was sent."""
    sent = posted.get("entry", [])
    for number, answered in enumerate(answer.get("entry", [])):
        response = answered.get("response", {})
        status = str(response.get("status", "")).partition(" ")
        asked = sent[number].get("request", {}) if number < len(sent) else {}
        place = str(asked.get("url", "")).partition("?")[0]
        yield f"  {status[0]:4} {response.get('location') or place}"
        for issue in response.get("outcome", {}).get("issue", ()):
            yield f"       {issue.get('diagnostics', '')}"


def of_answer(new: Sequence[Json], now: Record, orders: Orders) -> Iterator[str]:
    """Return what happened: the transitions, what was made, and where each instance stands."""
    for resource in new:
        short = shorthand.transition(resource) if resource["resourceType"] == "Provenance" else None
        if short:
            yield _line("→", short, _display(resource))
    made = sorted((short, _display(each)) for each in new if (short := shorthand.output(each, orders)))
    for short, display in made:
        yield _line("+", short, display)
    if not new:
        yield "  nothing new"
    for plan in now.plans:
        holds = shorthand.holds(plan)
        held = f"  holds: {', '.join(holds)}" if holds else ""
        yield f"  {shorthand.side(plan) or 'person'}: {shorthand.stage(plan)}{held}  (CarePlan/{plan['id']})"


def _line(sign: str, short: str, display: str) -> str:
    return f"  {sign} {short:{COLUMN}} {display}".rstrip()


def _display(resource: Json) -> str:
    """Return the text that the resource itself has for its code."""
    for element in ("code", "category", "activity", "type"):
        concepts = resource.get(element)
        for concept in concepts if isinstance(concepts, list) else [concepts or {}]:
            if "text" in concept:
                return str(concept["text"])
            for coding in concept.get("coding", [concept]):
                if "display" in coding:
                    return str(coding["display"])
    return ""
