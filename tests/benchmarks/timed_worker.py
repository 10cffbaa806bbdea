"""`hipway worker` that writes down when each evaluation began and ended, and what it spent its time on.

    BENCH_TIMES=FILE python timed_worker.py

The file appears when the worker starts. The worker is the real one; a few functions are called through a
clock. A line of JSON per evaluation: patient, begin and end (`time.time()`), and seconds by stage.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from service.store.database import Database
from worker import __main__, advance, app
from worker.advance import Who

#: where a function is looked up when it is called, its name there, and what it is part of
STAGES = (
    (advance, "decide", "decide"),
    (advance, "render", "render"),
    (advance.outputs, "check", "check"),
)

Evaluates = Callable[[Database, Iterable[Who]], set[Who]]

_spent: Counter[str] = Counter()
_depth = 0


def main() -> None:
    """Run the worker until it is asked to stop."""
    for holder, name, stage in STAGES:
        setattr(holder, name, _clocked(getattr(holder, name), stage))
    times = Path(os.environ["BENCH_TIMES"])
    app.advance_all = _noted(app.advance_all, times)
    # Whoever waits for the worker sees that it has begun.
    times.touch()
    __main__.main("worker")


def _clocked(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
    def clocked(*args: Any, **kwargs: Any) -> Any:
        global _depth
        begun = time.perf_counter()
        _depth += 1
        try:
            return function(*args, **kwargs)
        finally:
            _depth -= 1
            # One within another counts for the outer one.
            if not _depth:
                _spent[stage] += time.perf_counter() - begun

    return clocked


def _noted(function: Evaluates, path: Path) -> Evaluates:
    def noted(database: Database, patients: Iterable[Who]) -> set[Who]:
        _spent.clear()
        begun = time.time()
        done = function(database, patients)
        ended = time.time()
        spent = {stage: seconds / len(done) for stage, seconds in _spent.items()} if done else {}
        with path.open("ab", buffering=0) as file:
            for _, patient in done:
                line = {"patient": patient, "begun": begun, "ended": ended, "spent": spent}
                # Shorter than a page and appended in one write: the processes do not mix their lines.
                file.write(json.dumps(line).encode() + b"\n")
        return done

    return noted


if __name__ == "__main__":
    main()
