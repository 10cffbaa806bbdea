"""A day with HAPI's own client for Java; what is done and expected stands in `java/`."""

import re
import subprocess
from pathlib import Path

import pytest
from maven import Program

SOURCES = Path(__file__).parent / "java"
PROGRAM = Program("hapi-client", SOURCES)

DAY_S = 180


@pytest.mark.requires("hapi")
def test_a_day_with_the_client_of_hapi(base: str, plan_id: str) -> None:
    done = subprocess.run(
        ["java", "-cp", PROGRAM.class_path(), "org.hipway.client.Day", base, plan_id],
        capture_output=True,
        text=True,
        timeout=DAY_S,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    steps = sum(path.read_text().count("steps.put(") for path in SOURCES.rglob("*.java"))
    assert len(re.findall(r"^ok ", done.stdout, re.MULTILINE)) == steps > 10, said
