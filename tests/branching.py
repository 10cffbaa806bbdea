"""The stories step by step, each a point to branch off from: what if something else had come?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from playing import Play, moves, read

from pathways import parameters
from pathways.outlook import Situation, WayOut
from pathways.steps import PERSON, Outcome

STORIES = sorted((Path(__file__).parent / "stories").glob("V*.json"))
LOCAL = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a story: the patient before it and after it, and what happened in between."""

    before: Play
    after: Play
    bundle: Json | None
    at: datetime
    evaluated: datetime
    outcome: Outcome

    def again(self, bundle: Json | None, before: Play | None = None) -> tuple[Play, Outcome]:
        """Return the patient after the step with another Bundle, and what was decided."""
        game = (before or self.before).branch()
        if bundle:
            game.receive(bundle, self.at)
        outcome, _ = game.evaluate(self.evaluated)
        return game, outcome


def points(path: Path) -> Iterator[Point]:
    """Yield each step of a story."""
    story, game = read(path), Play()
    game.chosen = dict(story.get("parameters") or {})
    for step in story["steps"]:
        before = game.branch()
        at, evaluated = (datetime.fromisoformat(step[name]) for name in ("at", "advanceTo"))
        if step["bundle"]:
            game.receive(step["bundle"], at)
        outcome, _ = game.evaluate(evaluated)
        # What branches off from a story that went another way would show nothing.
        assert moves(outcome) == sorted(step["expect"]["transitions"])
        yield Point(
            before=before,
            after=game.branch(),
            bundle=step["bundle"],
            at=at,
            evaluated=evaluated,
            outcome=outcome,
        )


def finding(game: Play, side: str, code: str, at: datetime, **value: Any) -> Json:
    """Return a finding of our own code system about one hip; without a value it is positive."""
    return {
        "resourceType": "Observation",
        "id": f"what-if-{side}-{code}",
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": code}]},
        "subject": {"reference": game.patient.reference},
        "bodySite": {"coding": [{"system": LOCAL, "code": f"hip-{side}"}]},
        "effectiveDateTime": at.isoformat(),
        **(value or {"valueBoolean": True}),
    }


def ways_out(game: Play, side: str, at: datetime) -> tuple[WayOut, ...]:
    """Return every way out of the stage of a hip, as it stands."""
    others = (memory.stage for name, memory in game.memories.items() if name not in (side, PERSON))
    stands = Situation(
        game.pathway,
        game.case(at).record,
        game.memories[side],
        side,
        site=parameters.resolve(game.pathway, game.chosen),
        other_stage=next(others, None),
    )
    return stands.ways_out(stands.judge(at))
