"""The hazard log against the tests that ran: a control whose tests did not pass is no control.

`safety/hazard-log.toml` names the tests of each property. A run of everything prints which properties
are held, and fails when a test that is named there is missing, was left out or did not pass. A run of
some tests (by path, `-k` and the like) only says what it has seen.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

LOG = Path(__file__).parents[1] / "safety" / "hazard-log.toml"

#: what a hazard and a property must say, and what they may
HAZARD = ({"family", "what", "controls", "properties"}, set[str]())
PROPERTY = ({"says"}, {"tests", "not_yet", "seen_to_fail"})

#: options with which a run leaves tests out
NARROWING = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "last_failed", "stepwise")


class InvalidLog(Exception):
    """The hazard log cannot be relied on. Every reason is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """What must always be true, and the proof of it."""

    id: str
    says: str
    #: ids as pytest writes them, without parameters
    tests: tuple[str, ...]
    #: what no test shows yet; empty: nothing
    not_yet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of the tests of a run."""

    #: by test id without parameters: "passed", "failed", "skipped", of all its cases
    outcomes: Mapping[str, frozenset[str]]
    #: the ids that were found, whether they ran or not
    found: frozenset[str]
    #: nothing was left out on purpose
    everything: bool


def read(path: Path) -> tuple[Property, ...]:
    """Return the properties of a hazard log, in its order.

    Raises:
        InvalidLog: with every reason.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    hazards, properties = content.get("hazard", {}), content.get("property", {})
    reasons = [*_fields("hazard", hazards, *HAZARD), *_fields("property", properties, *PROPERTY)]
    named = {name for hazard in hazards.values() for name in hazard.get("properties", ())}
    reasons += [f"{name}: no hazard needs it" for name in properties.keys() - named]
    reasons += [f"{name}: a hazard needs it, and it is not here" for name in named - properties.keys()]
    for name, given in properties.items():
        if not given.get("tests") and not given.get("not_yet"):
            reasons.append(f"{name}: neither tests nor a word on what is missing")
        for test in given.get("tests", ()):
            if test.count("::") != 1 or "[" in test or given["tests"].count(test) > 1:
                reasons.append(f"{name}: {test} is not one test, named once, without parameters")
    if reasons:
        raise InvalidLog("\n".join((str(path), *sorted(reasons))))
    return tuple(
        Property(
            id=name, says=given["says"], tests=tuple(given.get("tests", ())), not_yet=given.get("not_yet", "")
        )
        for name, given in properties.items()
    )


def _fields(
    kind: str, entries: Mapping[str, Mapping[str, object]], needed: set[str], allowed: set[str]
) -> Iterator[str]:
    for name, given in entries.items():
        for field in needed - {key for key, value in given.items() if value}:
            yield f"{name}: a {kind} says {field}"
        for field in given.keys() - needed - allowed:
            yield f"{name}: a {kind} has no {field}"


def troubles(properties: tuple[Property, ...], ran: Ran) -> list[str]:
    """Return a sentence for each test of a property on which the property cannot rest in this run."""
    return [
        f"{one.id}: {test} {trouble}"
        for one in properties
        for test in one.tests
        if (trouble := _trouble(test, ran))
    ]


def _trouble(test: str, ran: Ran) -> str:
    outcomes = ran.outcomes.get(test, frozenset())
    if "failed" in outcomes:
        return "failed"
    if "skipped" in outcomes:
        return "was skipped"
    if not ran.everything or "passed" in outcomes:
        return ""
    return "did not run" if test in ran.found else "does not exist"


def lines(properties: tuple[Property, ...], ran: Ran) -> Iterator[str]:
    """Yield what to print: of a whole run every property, else those of which it has seen a test."""
    for one in properties:
        passed = [t for t in one.tests if ran.outcomes.get(t) == {"passed"}]
        lost = any(_trouble(test, ran) for test in one.tests)
        if lost:
            state = "LOST"
        elif not one.tests:
            state = "open"
        elif ran.everything:
            state = "in part" if one.not_yet else "held"
        else:
            state = "seen"
        if ran.everything or any(test in ran.outcomes for test in one.tests):
            count = f"{len(passed)} of {len(one.tests)} tests" if one.tests else "no test"
            yield f"{one.id} {state:8}{count:16}{one.says}"
            if one.not_yet and ran.everything:
                yield f"{'':30} not yet: {one.not_yet}"


class HazardLog:
    """One run of pytest, watched."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the log; a run with one that cannot be relied on does not start."""
        self._properties = read(Path(config.getoption("hazard_log")))
        narrowed = any(config.getoption(option, None) for option in NARROWING)
        self._everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not narrowed
        self._only_collects = bool(config.getoption("collectonly"))
        self._outcomes: dict[str, set[str]] = defaultdict(set)
        self._found: frozenset[str] = frozenset()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._found = frozenset(_plain(item.nodeid) for item in session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test has passed when its call has; anything else in any of its phases counts against it.
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[_plain(report.nodeid)].add(report.outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if troubles(self._properties, self._ran()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ran = self._ran()
        printed = [*lines(self._properties, ran), *troubles(self._properties, ran)]
        if printed and not self._only_collects:
            terminalreporter.section("safety properties")
            for line in printed:
                terminalreporter.line(line)

    def _ran(self) -> Ran:
        outcomes = {test: frozenset(found) for test, found in self._outcomes.items()}
        everything = self._everything and not self._only_collects
        return Ran(outcomes=outcomes, found=self._found, everything=everything)


def _plain(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hazard-log", default=str(LOG), help="another hazard log", metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.pluginmanager.register(HazardLog(config), "watched-hazard-log")
    except InvalidLog as error:
        raise pytest.UsageError(str(error)) from None
