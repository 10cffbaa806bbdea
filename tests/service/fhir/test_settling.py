"""When an evaluation follows a Bundle: the pathway's rules, section 2.3."""

from datetime import UTC, datetime, timedelta

import pytest
from fhir_visits import decision, encounter, observation, patient, practitioner

from service.clock import Clock
from service.fhir import settling
from service.fhir.knowledge import DECISION_SYSTEM
from service.fhir.settling import Due

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
REAL = Clock(now=NOW, is_set=False, held=False)
FINDING = observation("o", "Patient/p")
FOCUS = decision("Patient/p", "ServiceRequest/1")


def due(*visit, clock=REAL, window=WINDOW, urgent=False):
    return settling.due(
        visit, clock=clock, window=window, decision_system=DECISION_SYSTEM, urgent=lambda _: urgent
    )


@pytest.mark.parametrize(
    "visit",
    [
        pytest.param([patient("p"), FINDING], id="findings"),
        pytest.param([FINDING, encounter("Patient/p", status="in-progress")], id="an open encounter"),
        pytest.param([patient("p"), practitioner()], id="people alone"),
        pytest.param([FOCUS, FINDING], id="a decision beside findings"),
        pytest.param([{**FOCUS, "status": "draft"}], id="a decision not yet made"),
        pytest.param([{**FOCUS, "code": {"text": "sign"}}], id="another task"),
    ],
)
def test_a_visit_settles(visit):
    assert due(*visit) == Due(at=NOW + WINDOW, settles=True)


@pytest.mark.parametrize(
    "visit",
    [
        pytest.param([FINDING, encounter("Patient/p")], id="a finished encounter"),
        pytest.param([FOCUS], id="a decision"),
        pytest.param([practitioner(), patient("p"), FOCUS], id="a decision and its people"),
    ],
)
def test_what_ends_a_visit_or_decides_does_not_wait(visit):
    assert due(*visit) == Due(at=NOW, settles=False)


def test_what_is_urgent_does_not_wait():
    assert due(FINDING, urgent=True) == Due(at=NOW, settles=False)


def test_with_the_clock_standing_the_window_counts_as_elapsed():
    assert due(FINDING, clock=Clock(now=NOW, is_set=True, held=False)) == Due(at=NOW, settles=False)


def test_with_evaluation_held_the_window_stays():
    assert due(FINDING, clock=Clock(now=NOW, is_set=True, held=True)).settles


def test_without_a_window_nothing_waits():
    assert due(FINDING, window=timedelta()) == Due(at=NOW, settles=False)
