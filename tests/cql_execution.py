"""The same ELM on another engine, cql-execution: what it answers, in a form to compare.

It runs in Node, from a folder of its own with its lock file; nothing of it is needed to run hipway.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from playing import Play, read

from pathways import catalogue, cql
from pathways.cql.translate import install, translated
from pathways.cql.values import Labelled, Vocabulary
from pathways.turn import Turn

FOLDER = Path(__file__).parent / "pathways" / "cql" / "second_opinion"
STORIES = Path(__file__).parent / "stories"
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One run of a library: what is asked of both engines."""

    name: str
    library: str
    run: cql.Run


def questions(paths: Iterable[Path]) -> Iterator[Question]:
    """Yield what the pathway's rules are asked of each story: before each evaluation, of each known side."""
    pathway = catalogue.pathways()[0]
    for path in paths:
        story = read(path)
        game = Play(chosen=dict(story.get("parameters") or {}))
        for number, step in enumerate(story["steps"], 1):
            if step["bundle"]:
                game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
            moment = datetime.fromisoformat(step["advanceTo"])
            case = game.case(moment)
            inputs = pathway.gate.read(case.record, moment.tzinfo)
            turn = Turn(pathway=pathway, case=case, now=moment, inputs=inputs)
            for side in pathway.sides:
                yield Question(name=f"{path.stem} {number} {side}", library="pathway", run=turn.ask(side))
            game.evaluate(moment)


def answers(libraries: Mapping[str, Mapping[str, Any]], asked: Sequence[Question]) -> list[dict[str, Any]]:
    """Return of each question `{"ms": ..., "values": {definition: {"value": ...} or {"error": ...}}}`.

    Two processes share the questions: a question takes the other engine long.
    """
    install(FOLDER, "cql-execution")
    helpers = translated(FOLDER / "helpers.cql")
    with ThreadPoolExecutor(2) as processes:
        halves = processes.map(lambda half: _answers(libraries, helpers, half), (asked[::2], asked[1::2]))
        even, odd = halves
    found = [answer for pair in zip(even, odd, strict=False) for answer in pair]
    return found + even[len(odd) :]


def _answers(
    libraries: Mapping[str, Mapping[str, Any]], helpers: Mapping[str, Any], asked: Sequence[Question]
) -> list[dict[str, Any]]:
    given = {
        "libraries": libraries,
        "helpers": helpers,
        "cases": [
            {
                "library": each.library,
                "moment": str(each.run.moment),
                "resources": each.run.records.all,
                "parameters": {name: _given(value) for name, value in each.run.parameters.items()},
            }
            for each in asked
        ],
    }
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        subprocess.run(
            ["node", "evaluate.mjs", output.name],
            cwd=FOLDER,
            input=json.dumps(given, default=_number),
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
        found: list[dict[str, Any]] = json.loads(Path(output.name).read_text())
    return found


def told(value: Any) -> Any:
    """Return one of our values in the form of the other engine's answers."""
    match value:
        case None | bool() | str():
            return value
        case int() | float() | Decimal():
            return {"number": float(value)}
        case list():
            return [told(item) for item in value]
        case Labelled():
            return told(value.json)
        case Mapping():
            return _told_parts(value)
        case _:
            return _told_system(value)


def _told_parts(value: Mapping[str, Any]) -> Any:
    if isinstance(value, cql.Tuple):
        return {"tuple": {name: told(part) for name, part in value.items()}}
    # A part of a record is compared by what is read of it, not by its shape in each engine.
    return {"element": value.get("id")}


def _told_system(value: Any) -> Any:
    match value:
        case cql.DateTime() | cql.Date():
            return {"date": str(value)}
        case cql.Quantity():
            return {"quantity": float(value.value or 0), "unit": value.unit}
        case cql.Code():
            return {"code": value.code, "system": value.system}
        case cql.Concept():
            return {"concept": [told(code) for code in value.codes]}
        case cql.Interval():
            closed = [value.low_closed, value.high_closed]
            return {"low": told(value.low), "high": told(value.high), "closed": closed}
        case cql.Uncertainty():
            return {"from": told(value.low), "to": told(value.high)}
        case Vocabulary():
            return value.id
        case _:
            raise TypeError(f"{type(value).__name__} has no form to compare")


def alike(ours: Any, theirs: Any) -> bool:
    """Return whether two answers are the same value, whatever each engine calls it."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if "date" in ours and "date" in theirs:
            return _moment(ours["date"]) == _moment(theirs["date"])
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        # Its numbers are binary; ours keep eight decimals.
        return abs(ours - theirs) <= 1e-8 * max(1.0, abs(ours))
    return bool(ours == theirs)


def _moment(text: str) -> Any:
    """Return a date or moment as one that compares across spellings and offsets."""
    if len(text) < len("2026-01-01T00"):
        return text.rstrip("T")
    return datetime.fromisoformat(text)


def _given(value: Any) -> dict[str, Any]:
    match value:
        case cql.DateTime() | cql.Date():
            return {"type": type(value).__name__, "value": str(value).rstrip("T")}
        case cql.Quantity():
            return {"type": "Quantity", "value": {"value": str(value.value), "unit": value.unit}}
        case cql.Code():
            parts = ("code", "system", "version", "display")
            return {"type": "Code", "value": {name: getattr(value, name) for name in parts}}
        case Decimal():
            return {"type": "Decimal", "value": str(value)}
        case list():
            return {"type": "List", "value": [_given(item) for item in value]}
        case _:
            return {"type": "plain", "value": value}


def _number(value: Any) -> float:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    return float(value)
