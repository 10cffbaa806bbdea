"""One evaluation of one side: deciding and rendering, by the number of observations in the record.

CPU time of one process, the median of several evaluations that each have new data to look at. The record is
a patient in therapy; its observations are repeated under new ids until there are enough of them.
"""

import statistics
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import playing

SIZES = (20, 100, 500)
ROUNDS = 15
STORY = Path(__file__).parents[1] / "stories" / "V10.json"
STEPS = 7


def main() -> None:
    """Print a table; the last column compares with the first row."""
    game, moment = in_therapy()
    print(f"{'observations':>12} {'ms CPU':>8} {'ratio':>7}")
    first = None
    for size in SIZES:
        grow(game, size)
        taken = statistics.median(_milliseconds(game, moment) for _ in range(ROUNDS))
        first = first or taken
        print(f"{size:>12} {taken:>8.1f} {taken / first:>6.1f}x")


def in_therapy() -> tuple[playing.Play, datetime]:
    """Return a patient in therapy, and the day after the last evaluation."""
    story = playing.read(STORY)
    game = playing.Play()
    for step in story["steps"][:STEPS]:
        if step["bundle"]:
            game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
        game.evaluate(datetime.fromisoformat(step["advanceTo"]))
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
        game.entries[f"Observation/{id}"] = replace(
            source, id=id, seq=game.seq, body={**source.body, "id": id}
        )


def _milliseconds(game: playing.Play, moment: datetime) -> float:
    start = time.process_time()
    game.evaluate(moment)
    return (time.process_time() - start) * 1000


if __name__ == "__main__":
    main()
