"""The hazard log is read, held against a run, and fails it when a control has lost its test."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import hazard_log
import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent

LOG = """
[hazard.H-01]
family = "lost referral"
what = "It is lost."
controls = ["It is kept."]
properties = ["SP-01", "SP-02"]
[property.SP-01]
says = "It is kept."
tests = ["tests/test_it.py::test_it_is_kept"]
[property.SP-02]
says = "It is found."
not_yet = "Finding is not built."
"""

PASSING = """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_it_is_kept(n): pass
def test_another(): pass
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on a project of its own with this hazard log and this test file."""

    def run(log: str, tests: str, *arguments: str) -> tuple[int, str]:
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / "test_it.py").write_text(textwrap.dedent(tests))
        (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
        (tmp_path / "log.toml").write_text(log)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "hazard_log", "-p", "no:cacheprovider"),
                *("--hazard-log", "log.toml", *arguments),
            ],
            cwd=tmp_path,
            # Without the plugins of this machine: they are nothing to it, and take seconds to load.
            env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_log_of_this_release_can_be_relied_on():
    properties = hazard_log.read(hazard_log.LOG)

    assert [one.id for one in properties] == [f"SP-{number:02}" for number in range(1, 41)]


def test_every_test_it_names_is_there():
    missing = []
    for one in hazard_log.read(hazard_log.LOG):
        for test in one.tests:
            path, name = test.split("::")
            file = ROOT / path
            if not file.is_file() or f"\ndef {name}(" not in file.read_text(encoding="utf-8"):
                missing.append((one.id, test))

    assert missing == []


def test_a_whole_run_says_what_is_held_and_what_is_open(run):
    code, said = run(LOG, PASSING)

    assert code == 0
    assert "SP-01 held" in said
    assert "SP-02 open" in said
    assert "not yet: Finding is not built." in said


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        pytest.param("def test_another(): pass", "does not exist", id="missing"),
        pytest.param(
            PASSING + "test_it_is_kept = pytest.mark.skip(test_it_is_kept)", "was skipped", id="skipped"
        ),
        pytest.param(PASSING.replace("(n): pass", "(n): assert n == 1"), "failed", id="one case failed"),
        pytest.param(
            PASSING.replace("(n): pass", "(n, gone): pass"), "failed", id="its fixture does not exist"
        ),
        pytest.param(
            PASSING.replace("(n): pass", "(n): pytest.xfail('known')"), "was skipped", id="expected to fail"
        ),
    ],
)
def test_a_whole_run_fails_when_a_control_has_lost_its_test(run, tests, why):
    code, said = run(LOG, tests)

    assert code == 1
    assert f"SP-01: tests/test_it.py::test_it_is_kept {why}" in said
    assert "SP-01 LOST" in said


@pytest.mark.parametrize("arguments", [("-k", "another"), ("tests/test_it.py::test_another",)])
def test_a_run_of_some_tests_says_only_what_it_has_seen(run, arguments):
    code, said = run(LOG, PASSING, *arguments)

    assert code == 0
    assert "safety properties" not in said


def test_a_run_of_some_tests_names_the_property_it_has_seen(run):
    code, said = run(LOG, PASSING, "-k", "kept")

    assert code == 0
    assert "SP-01 seen" in said
    assert "SP-02" not in said


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        pytest.param(LOG.replace('"SP-01", "SP-02"', '"SP-01"'), "SP-02: no hazard needs it", id="unneeded"),
        pytest.param(LOG.replace('"SP-02"]', '"SP-02", "SP-03"]'), "SP-03: a hazard needs it", id="absent"),
        pytest.param(LOG.replace("not_yet", "notes"), "SP-02: a property has no notes", id="unknown field"),
        pytest.param(
            LOG.replace('not_yet = "Finding is not built."', ""), "SP-02: neither", id="says nothing"
        ),
        pytest.param(LOG.replace('is_kept"', 'is_kept[1]"'), "SP-01: tests/test_it.py", id="one case"),
        pytest.param(LOG.replace('what = "It is lost."', ""), "H-01: a hazard says what", id="no harm"),
    ],
)
def test_a_log_that_cannot_be_relied_on_starts_no_run(run, log, reason):
    code, said = run(log, PASSING)

    assert code == pytest.ExitCode.USAGE_ERROR
    assert reason in said
