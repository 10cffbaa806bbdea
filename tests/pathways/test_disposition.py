"""In every story, everything that was received has ended somewhere, and decisions where the story says."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import playing
import pytest

from pathways import catalogue, parameters
from pathways.basis import basis
from pathways.disposition import Kind, Past, Reason, dispositions
from pathways.record import Record

STORIES = sorted((Path(__file__).parents[1] / "stories").glob("V*.json"))
PATHWAY = next(iter(catalogue.pathways()))


class Kept(playing.Play):
    """A play that keeps the versions that were replaced."""

    def __init__(self, **more):
        super().__init__(**more)
        self.superseded = []

    def receive(self, bundle, at):
        before = dict(self.entries)
        super().receive(bundle, at)
        self.superseded += [old for ref, old in before.items() if self.entries[ref] is not old]


def ended(game: Kept, unread_since: datetime | None = None):
    site = parameters.resolve(PATHWAY, game.chosen)
    record = Record(
        patient=next(e for e in game.entries.values() if e.type == "Patient"),
        received=tuple(game.entries.values()),
        own=dict(game.own),
        people=game._people(),
    )
    past = Past(
        memories=game.memories,
        bases=[
            basis(PATHWAY, step, engine="test", zones="test", profile="", changed={}) for step in game.steps
        ],
        superseded=game.superseded,
        unread_since=unread_since,
    )
    return dispositions(PATHWAY, record, past, zone=ZoneInfo(str(site["site.timeZone"])))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_everything_a_story_sends_ends_somewhere(path):
    story = playing.read(path)
    game = Kept(chosen=dict(story.get("parameters") or {}))
    told = Counter()
    for step in story["steps"]:
        if step["bundle"]:
            game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
        outcome, _ = game.evaluate(datetime.fromisoformat(step["advanceTo"]))
        told += playing.told(outcome)

    found = ended(game)

    assert Counter(one.reference for one in found) == Counter(
        e.versioned for e in (*game.entries.values(), *game.superseded)
    )
    assert [one for one in found if one.kind is Kind.WAITING] == []
    # The story itself says how many decisions were applied, and how many were not.
    rejected = sum(count for name, count in told.items() if name.endswith("AU:decision-rejected"))
    assert sum(one.kind is Kind.REJECTED for one in found) == rejected


def test_what_came_after_the_last_evaluation_is_unread():
    story = playing.read(STORIES[0])
    game = Kept()
    first = story["steps"][0]
    game.receive(first["bundle"], at := datetime.fromisoformat(first["at"]))

    found = ended(game, unread_since=at)

    unread = [one.reference for one in found if one.reason is Reason.UNREAD]
    assert unread
    assert all(reference.startswith(("Observation/", "Procedure/", "Task/")) for reference in unread)
