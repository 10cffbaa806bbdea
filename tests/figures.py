"""Figures that a test measured, told at the end of the run: a passed test says nothing otherwise."""

from collections.abc import Callable

import pytest

_told: list[str] = []


@pytest.fixture
def tell() -> Callable[[str], None]:
    """Keep a line for the end of the run."""
    return _told.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _told:
        terminalreporter.section("figures")
        for line in _told:
            terminalreporter.line(line)
