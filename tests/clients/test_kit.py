"""A day with fhir-kit-client in Node; what is done and expected stands in `kit/day.test.mjs`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pathways.cql.translate import install

FOLDER = Path(__file__).parent / "kit"
DAY = FOLDER / "day.test.mjs"

DAY_S = 120


@pytest.mark.requires("node")
def test_a_day_with_fhir_kit_client(base: str, plan_id: str) -> None:
    install(FOLDER, "fhir-kit-client")

    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", DAY.name],
        cwd=FOLDER,
        env={**os.environ, "HIPWAY_BASE": base, "HIPWAY_PLAN": plan_id},
        capture_output=True,
        text=True,
        timeout=DAY_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) == DAY.read_text().count("\ntest(")
