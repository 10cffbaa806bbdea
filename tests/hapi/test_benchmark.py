"""`make bench ONLY=hapi` where there is no HAPI."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_without_a_jdk_it_says_so_in_a_sentence_and_ends_with_two(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, TESTS / "benchmarks" / "bench_hapi.py"],
        env={**os.environ, "PATH": str(tmp_path), "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (2, "")
    (said,) = done.stdout.splitlines()
    assert "JDK 17" in said
    assert "Maven" in said
