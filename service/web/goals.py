"""What a plan aims at: its goals, until when, and how they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.web import elements
from service.web.elements import Json
from service.web.moments import Moments
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Something the plan aims at."""

    text: str
    status: str
    due: str


def build(goals: Sequence[Json], when: Moments, words: Words) -> tuple[Goal, ...]:
    """Return the goals in the order of receipt."""
    return tuple(
        Goal(
            text=elements.say(goal.get("description")),
            status=words.code("status", str(goal.get("lifecycleStatus", ""))),
            due=when.said(next((t.get("dueDate") for t in goal.get("target", ())), None)),
        )
        for goal in goals
    )
