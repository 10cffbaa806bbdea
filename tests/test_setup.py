"""Which Python `make` sets up with, where there are several."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: answers as a Python would to what `.ci/python` asks: its version, ensurepip, and how long it computes
PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit {too_old} ;;
  *ensurepip*) exit {no_environment} ;;
  *speed.py) echo "{took_us}" ;;
esac
"""

#: microseconds no Python of this machine computes in
NEVER = 1_000_000_000


@pytest.fixture
def place(tmp_path):
    def put(name: str, took_us: object, *, too_old: bool = False, no_environment: bool = False) -> None:
        program = tmp_path / name
        program.write_text(
            PYTHON.format(took_us=took_us, too_old=int(too_old), no_environment=int(no_environment))
        )
        program.chmod(0o755)

    return put


@pytest.fixture
def chosen(tmp_path):
    def choose(**variables: str) -> str:
        done = subprocess.run(
            [ROOT / ".ci" / "python"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", **variables},
            text=True,
            capture_output=True,
            check=True,
        )
        return done.stdout.strip()

    return choose


def test_the_first_python_is_taken_when_none_is_clearly_quicker(place, chosen):
    place("python3", 100)
    place("python3.13", 91)
    assert chosen() == "python3"


def test_a_python_that_is_clearly_quicker_is_taken(place, chosen):
    place("python3", 100)
    place("python3.13", 80)
    place("python3.12", 60)
    assert chosen() == "python3.12"


def test_a_python_that_cannot_make_an_environment_does_not_replace_another(place, chosen):
    place("python3", 100)
    place("python3.13", 60, no_environment=True)
    assert chosen() == "python3"


def test_a_python_that_is_too_old_is_passed_over(place, chosen):
    place("python3", 1, too_old=True)
    place("python3.13", 2)
    assert chosen() == "python3.13"


def test_a_python_that_does_not_say_how_long_it_takes_is_passed_over(place, chosen):
    place("python3", "a word of its own\n100")
    place("python3.13", "")
    place("python3.12", NEVER)
    place("python3.11", NEVER)
    assert chosen() in ("python3.12", "/usr/bin/python3")


def test_the_python_that_was_named_is_taken_whatever_its_speed(place, chosen, tmp_path):
    place("python3", 1)
    place("mine", NEVER)
    assert chosen(PYTHON=str(tmp_path / "mine")) == str(tmp_path / "mine")


def test_the_speed_of_a_python_is_a_whole_number_of_microseconds():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "speed.py"], text=True, capture_output=True, check=True
    )
    assert int(done.stdout) > 0
