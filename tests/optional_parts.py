"""Parts of a machine that some tests need and not every machine has.

    @pytest.mark.requires("browser")

A test whose part is missing is skipped, and the end of the run says what was left out and
what it needs. HIPWAY_REQUIRE (a comma list, or `all`) makes that a failure; with `all` a
skip for any other reason is one too.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def chromium() -> str | None:
    """Return the path of the machine's Chromium."""
    names = (os.environ.get("HIPWAY_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def reference() -> Path | None:
    """Return the folder of reference data: specification examples and conformance tests."""
    folder = Path(os.environ.get("HIPWAY_REFERENCE") or ROOT.parent / "shared" / "reference")
    return folder if folder.is_dir() else None


def _browser_is_here() -> bool:
    return chromium() is not None and importlib.util.find_spec("playwright") is not None


def _servers_are_here() -> bool:
    """Return whether `.ci/servers` runs already, or can without installing anything."""
    programs = all(shutil.which(name) for name in ("redis-server", "redis-cli", "openssl", "setpriv"))
    debian = any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return bool(os.environ.get("HIPWAY_TEST_OWNER_URL")) or (programs and debian)


def _packages_are_here() -> bool:
    """Return whether packages can be installed: asked for one small one, which is not installed."""
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory() as nowhere:
        asked = subprocess.run(
            [uv, "pip", "install", "--quiet", "--dry-run", "--no-deps", "--target", nowhere, "vine"],
            capture_output=True,
            check=False,
        )
    return asked.returncode == 0


def _hapi_is_here() -> bool:
    """Return whether HAPI FHIR can be built and run: a JDK that is new enough, and Maven."""
    if not all(shutil.which(name) for name in ("java", "javac", "mvn")):
        return False
    said = subprocess.run(["javac", "-version"], capture_output=True, text=True, check=False)
    # "javac 17.0.15"; before Java 9 it was "javac 1.8.0_402".
    found = re.match(r"javac (\d+)", said.stdout or said.stderr)
    return found is not None and int(found[1]) >= 17


def _may_mount() -> bool:
    """Return whether this user may mount a small file system: a container's root may not always."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return mounted.returncode == 0


PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "browser": (_browser_is_here, "Chromium (Debian: apt-get install chromium), or HIPWAY_CHROMIUM"),
    "hapi": (_hapi_is_here, "a JDK 17 or newer and Maven (apt-get install default-jdk-headless maven)"),
    "node": (lambda: shutil.which("node") is not None, "Node.js 18 or newer on the PATH"),
    "packages": (_packages_are_here, "an index of Python packages that can be reached"),
    "servers": (
        _servers_are_here,
        "Debian's PostgreSQL and Redis (apt-get install postgresql redis-server openssl)",
    ),
    "mount": (_may_mount, "root who may mount a file system in memory"),
    "reference": (lambda: reference() is not None, "HIPWAY_REFERENCE, the folder of the reference data"),
}

_left_out: dict[str, list[str]] = {}


def required() -> set[str]:
    """Return the parts that this run must have."""
    named = {part.strip() for part in os.environ.get("HIPWAY_REQUIRE", "").split(",") if part.strip()}
    return set(PARTS) if "all" in named else named


def need(part: str, test: str) -> None:
    """Skip or fail the test when the machine does not have the part."""
    is_here, what = PARTS[part]
    if is_here():
        return
    if part in required():
        pytest.fail(f"HIPWAY_REQUIRE asks for {part}; it needs {what}", pytrace=False)
    _left_out.setdefault(part, []).append(test)
    pytest.skip(f"{part} is not here; it needs {what}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        for part in marker.args:
            need(part, item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("HIPWAY_REQUIRE") == "all":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"HIPWAY_REQUIRE=all allows no skip: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("left out")
    for part, tests in sorted(_left_out.items()):
        terminalreporter.line(f"{part}: {len(tests)} tests; needs {PARTS[part][1]}")
    if not _left_out:
        terminalreporter.line("nothing: every optional part that a test asked for is here")


@pytest.fixture(scope="session", name="chromium")
def chromium_path() -> str:
    need("browser", "chromium")
    path = chromium()
    assert path
    return path


@pytest.fixture(scope="session", name="reference")
def reference_folder() -> Path:
    need("reference", "reference")
    folder = reference()
    assert folder
    return folder
