"""A second pathway on the same code: one input, three stages, no sides, in a folder of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fhir_visits
import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import canonical, gate
from service.stories import scratch, story
from service.stories.play import play
from service.stories.remote import Remote

from .conftest import ROOT

Json = dict[str, Any]

FOLDER = ROOT / "tests" / "pathways" / "fast_pulse"
PLAN = "https://w3id.org/hipway/PlanDefinition/fast-pulse"
BEGUN = datetime(2026, 3, 2, 9, tzinfo=UTC)
WRITTEN = ("CarePlan", "Condition", "ServiceRequest", "Task", "AuditEvent", "Provenance")


@pytest.fixture(scope="module")
def both() -> Iterator[Remote]:
    """A running service with both pathways."""
    with scratch.running(settings={"HIPWAY_PATHWAYS": str(FOLDER)}) as url, Remote(url) as service:
        yield service


@pytest.fixture
def patient(both: Remote) -> str:
    """A patient without any reading."""
    both.clear()
    both.set_clock(BEGUN.isoformat())
    both.post(fhir_visits.bundle(fhir_visits.put(fhir_visits.patient("pulse", mrn="P-1"))))
    return "pulse"


def read(service: Remote, patient: str, day: int, amount: int, **more: Any) -> None:
    """Send the reading of a day, and have it evaluated on that day."""
    at = BEGUN + timedelta(days=day)
    service.set_clock((at + timedelta(hours=1)).isoformat())
    reading = fhir_visits.observation(
        f"pulse-{day}",
        f"Patient/{patient}",
        **{
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "effectiveDateTime": at.isoformat(),
            "valueQuantity": {
                "value": amount,
                "unit": "/min",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            },
            **more,
        },
    )
    service.post(fhir_visits.bundle(fhir_visits.put(reading)))
    service.evaluate(f"Patient/{patient}")


def found(service: Remote, type_: str) -> list[Json]:
    return service.search(type_, {"patient": "Patient/pulse"})


def plan(service: Remote) -> Json:
    (only,) = found(service, "CarePlan")
    return only


def stage(service: Remote) -> str:
    (code,) = (e["valueCoding"]["code"] for e in plan(service)["extension"] if e["url"] == canonical.STAGE)
    return str(code)


def test_the_pathway_goes_from_stage_to_stage(both: Remote, patient: str) -> None:
    read(both, patient, 0, 120)
    assert stage(both) == "watching"
    assert found(both, "ServiceRequest") == []

    read(both, patient, 1, 130)
    assert stage(both) == "tracing"
    (proposal,) = found(both, "ServiceRequest")
    assert (proposal["status"], proposal["intent"]) == ("draft", "proposal")
    assert "read-ecg" in [t["code"]["coding"][0]["code"] for t in found(both, "Task")]

    read(both, patient, 2, 80)
    assert stage(both) == "settled"
    assert plan(both)["status"] == "completed"

    read(both, patient, 3, 110)
    assert stage(both) == "tracing"


def test_nothing_that_is_written_names_a_side(both: Remote, patient: str) -> None:
    read(both, patient, 0, 120)
    read(both, patient, 1, 130)

    written = [resource for type_ in WRITTEN for resource in found(both, type_)]
    assert {"CarePlan", "Condition", "ServiceRequest", "Task"} <= {r["resourceType"] for r in written}
    for resource in written:
        assert gate.check(resource) == ()
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert canonical.SIDE not in [e["url"] for e in resource.get("extension", ())]
        assert "bodySite" not in resource
        assert "hip" not in str(resource.get("text", {}).get("div", "")).replace("hipway", "")
    assert plan(both)["title"] == "Fast pulse pathway"
    assert plan(both)["instantiatesCanonical"] == [f"{PLAN}|1.0.0"]


def test_a_correction_takes_the_transition_back(both: Remote, patient: str) -> None:
    read(both, patient, 0, 120)
    read(both, patient, 1, 130)
    assert stage(both) == "tracing"

    read(both, patient, 1, 130, status="entered-in-error")

    assert stage(both) == "watching"
    assert [r["status"] for r in found(both, "ServiceRequest")] == ["revoked"]


def test_what_cannot_be_used_is_asked_about(both: Remote, patient: str) -> None:
    read(both, patient, 0, 120)
    read(both, patient, 1, 900)

    assert stage(both) == "watching"
    (issue,) = found(both, "DetectedIssue")
    assert issue["code"]["coding"][0]["code"] == "out-of-range"


def test_the_pages_and_why_speak_of_the_person(both: Remote, patient: str) -> None:
    read(both, patient, 0, 120)
    read(both, patient, 1, 130)
    id_ = plan(both)["id"]

    worklist = httpx.get(f"{both.url}/")
    page = httpx.get(f"{both.url}/careplans/{id_}")
    why = httpx.get(f"{both.url}/fhir/CarePlan/{id_}/$why")

    assert (worklist.status_code, page.status_code, why.status_code) == (200, 200, 200)
    assert "Electrocardiogram" in page.text
    assert "settle-traced" in why.text


def test_the_first_pathway_beside_it_is_as_ever(both: Remote, stories) -> None:
    for step in play(story.read(stories / "V02.json"), both):
        assert step.differences == ()


def test_one_patient_may_be_on_both(both: Remote, stories) -> None:
    for _ in play(story.read(stories / "V02.json"), both):
        pass
    for day, amount in ((400, 120), (401, 130)):
        read(both, "gmt-v02", day, amount)

    plans = both.search("CarePlan", {"patient": "Patient/gmt-v02"})

    assert len({p["instantiatesCanonical"][0] for p in plans}) == len(plans) == 2
