"""A patient in therapy, in memory, whose observations are repeated until there are enough of them."""

from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import playing
from msgspec import structs

STORY = Path(__file__).parents[1] / "stories" / "V10.json"
STEPS = 7


def in_therapy() -> tuple[playing.Play, datetime]:
    """Return a patient in therapy, and the day after the last evaluation."""
    story = playing.read(STORY)
    game = playing.Play()
    for _ in islice(playing.lived(story, game), STEPS):
        pass
    moment = datetime.fromisoformat(story["steps"][STEPS - 1]["advanceTo"]) + timedelta(days=1)
    return game, moment


def grow(game: playing.Play, size: int) -> None:
    """Repeat the patient's observations until there are this many."""
    originals = [
        e for e in game.entries.values() if e.type == "Observation" and not e.id.startswith("again-")
    ]
    have = sum(e.type == "Observation" for e in game.entries.values())
    for number in range(have, size):
        source = originals[number % len(originals)]
        game.seq += 1
        id = f"again-{number}"
        game.entries[f"Observation/{id}"] = structs.replace(
            source, id=id, seq=game.seq, body={**source.body, "id": id}
        )
