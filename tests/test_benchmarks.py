"""The benchmarks can be started: nothing else imports them."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BENCHMARKS = sorted((TESTS / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_finds_all_it_imports(path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import {path.stem}"],
        env={"PYTHONPATH": f"{path.parent}:{TESTS}:{TESTS.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.returncode, found.stderr) == (0, "")
