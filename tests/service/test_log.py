"""Logs: ids and places only, and never the reason why something fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import logging
from service import log
log.configure("web")
for number in range(1000):
    log.get().info("bundle accepted", patient="p1", entries=number)
    logging.getLogger("library").error("something")
print("went on")
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_log_that_cannot_be_written_stops_nothing():
    """A line tells of what is done; losing it is better than answering that it was not."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device, not a file
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stderr=full,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )

    assert (done.returncode, done.stdout) == (0, "went on\n")
