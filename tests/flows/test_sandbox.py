"""The control interface of a sandbox, as the interfaces are promised."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_profiles import reading
from service.stories.remote import Refused, Remote


def test_the_clock_is_the_machine_s_until_it_is_set(empty: Remote) -> None:
    clock = empty.clock()

    assert clock is not None
    assert clock["clock"] == "real"
    assert clock["evaluation"] == "automatic"
    assert clock["now"].endswith("Z")


def test_a_set_clock_stands_still_and_says_so(empty: Remote) -> None:
    empty.set_clock("2026-02-16T09:00:00Z")

    expected = {"now": "2026-02-16T09:00:00Z", "clock": "set", "evaluation": "held"}
    assert empty.clock() == expected
    assert empty.clock() == expected


def test_evaluation_is_automatic_when_nothing_else_is_said(empty: Remote) -> None:
    answer = httpx.put(f"{empty.url}/sandbox/clock", json={"now": "2026-02-16T10:00:00+01:00"})

    assert answer.json() == {"now": "2026-02-16T09:00:00Z", "clock": "set", "evaluation": "automatic"}


def test_the_clock_does_not_go_back_while_there_is_patient_data(empty: Remote, examples: Path) -> None:
    empty.set_clock("2026-03-02T10:45:00+01:00")
    empty.set_clock("2026-03-01T10:45:00+01:00")
    _post(empty, examples / "01-new-referral-visit.json")

    assert _status(lambda: empty.set_clock("2026-02-28T10:45:00+01:00")) == 409
    empty.set_clock("2026-03-01T10:45:00+01:00")
    empty.clear()
    empty.set_clock("2026-02-28T10:45:00+01:00")


def test_a_clock_in_the_future_is_not_let_go_while_there_is_patient_data(
    empty: Remote, examples: Path
) -> None:
    empty.set_clock("2999-01-01T00:00:00Z")
    _post(empty, examples / "01-new-referral-visit.json")

    assert _status(empty.free_clock) == 409
    empty.clear()
    empty.free_clock()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"{", 400, id="not JSON"),
        pytest.param(b"[]", 400, id="not an object"),
        pytest.param(b"{}", 422, id="no instant"),
        pytest.param(b'{"now": "2026-02-16T09:00:00"}', 422, id="no zone"),
        pytest.param(b'{"now": "tomorrow"}', 422, id="no instant at all"),
        pytest.param(b'{"now": "2026-02-16T09:00:00Z", "evaluation": "later"}', 422, id="another word"),
        pytest.param(b'{"now": "2026-02-16T09:00:00Z", "speed": 2}', 422, id="another member"),
    ],
)
def test_what_the_clock_cannot_be_set_to_changes_nothing(empty: Remote, body: bytes, status: int) -> None:
    empty.set_clock("2026-02-16T09:00:00Z")

    answer = httpx.put(f"{empty.url}/sandbox/clock", content=body)

    assert answer.status_code == status
    assert answer.json()["error"]
    clock = empty.clock()
    assert clock is not None
    assert clock["now"] == "2026-02-16T09:00:00Z"


def test_nothing_is_evaluated_by_itself_while_evaluation_is_held(empty: Remote, examples: Path) -> None:
    empty.set_clock("2026-03-02T10:45:00+01:00")
    _post(empty, examples / "01-new-referral-visit.json")

    assert empty.search("CarePlan", {}) == []

    said = empty.evaluate(_patient(empty))
    assert said["at"] == "2026-03-02T09:45:00Z"
    assert said["transitions"] == ["L:T03"]
    assert said["stages"] == {"left": "conservative-therapy"}
    assert said["holds"] == {}
    assert "L:SR:PT(routine)" in said["outputs"]


def test_setting_the_clock_to_automatic_evaluates_what_is_due_before_it_answers(
    empty: Remote, examples: Path
) -> None:
    empty.set_clock("2026-03-02T10:45:00+01:00")
    _post(empty, examples / "01-new-referral-visit.json")

    empty.set_clock("2026-03-02T11:00:00+01:00", held=False)

    assert len(empty.search("CarePlan", {"status": "active"})) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"patient": "Patient/nobody"}, 404, id="unknown"),
        pytest.param({"patient": "nobody"}, 422, id="no reference"),
        pytest.param({}, 422, id="nobody named"),
    ],
)
def test_only_a_known_patient_is_evaluated(empty: Remote, body: dict[str, Any], status: int) -> None:
    answer = httpx.post(f"{empty.url}/sandbox/evaluate", json=body)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_parameters_are_shown_with_default_range_and_source(empty: Remote) -> None:
    shown = empty.parameters()

    assert shown["profile"] == "evidence-balanced"
    assert {"evidence-balanced", "literal", "conservative-first"} <= set(shown["profiles"])
    zone = shown["parameters"]["site.timeZone"]
    assert (zone["value"], zone["default"]) == ("UTC", "UTC")
    weeks = shown["parameters"]["therapy.failWeeks"]
    assert (weeks["value"], weeks["low"], weeks["high"], weeks["unit"]) == (12, 8, 26, "wk")
    assert all(parameter["source"] for parameter in shown["parameters"].values())


def test_parameters_take_the_profile_and_the_values_named(empty: Remote) -> None:
    empty.set_parameters({"profile": "literal", "site.timeZone": "Europe/Berlin"})

    shown = empty.parameters()
    assert shown["profile"] == "literal"
    assert shown["parameters"]["weakPain.minTherapyWeeks"]["value"] == 0
    assert shown["parameters"]["site.timeZone"]["value"] == "Europe/Berlin"


@pytest.mark.parametrize(
    "values",
    [
        {"no.such": 1},
        {"profile": "bold"},
        {"therapy.failWeeks": 7},
        {"therapy.failWeeks": "12"},
        {"site.timeZone": "Mars/Base"},
        {"site.timeZone": "Europe/Berlin", "therapy.failWeeks": 99},
    ],
    ids=lambda values: ", ".join(values),
)
def test_a_parameter_outside_its_range_changes_nothing(empty: Remote, values: dict[str, object]) -> None:
    before = empty.parameters()

    assert _status(lambda: empty.set_parameters(values)) == 422
    assert empty.parameters() == before


def test_clearing_removes_patients_and_keeps_what_belongs_to_the_site(empty: Remote, examples: Path) -> None:
    empty.set_parameters({"profile": "literal"})
    empty.set_clock("2026-03-02T10:45:00+01:00")
    empty.post(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": reading.read((examples / "08a-conceptmap.json").read_bytes()),
                    "request": {"method": "PUT", "url": "ConceptMap/district-hospital-obx"},
                }
            ],
        }
    )
    _post(empty, examples / "01-new-referral-visit.json")
    empty.evaluate(_patient(empty))

    empty.clear()

    for kind in ("Patient", "Observation", "CarePlan", "ServiceRequest", "Task", "Provenance"):
        assert empty.search(kind, {}) == [], kind
    assert empty.read("ConceptMap/district-hospital-obx")
    assert empty.parameters()["profile"] == "evidence-balanced"


def _post(service: Remote, file: Path) -> None:
    service.post(reading.read(file.read_bytes()))


def _patient(service: Remote) -> str:
    (patient,) = service.search("Patient", {})
    return f"Patient/{patient['id']}"


def _status(work: Any) -> int | None:
    try:
        work()
    except Refused as refused:
        return refused.status
    return None
