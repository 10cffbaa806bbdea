"""The worker of the benchmarks: what it puts a clock on is there."""

import importlib.util
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "benchmarks" / "timed_worker.py"


def test_what_is_timed_is_there():
    spec = importlib.util.spec_from_file_location("timed_worker", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    timed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(timed)

    assert [name for holder, name, _ in timed.STAGES if not callable(getattr(holder, name, None))] == []
