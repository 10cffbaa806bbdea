"""`CarePlan/$why` of a running service: every way out of the stage, in an answer that a program can read."""

from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import gate
from service.stories import story
from service.stories.play import play
from service.stories.remote import Remote

Json = dict[str, Any]


def ask(service: Remote, plan: str) -> httpx.Response:
    return httpx.get(f"{service.url}/fhir/CarePlan/{plan}/$why", timeout=30)


def plan_of(service: Remote, patient: str) -> str:
    (plan,) = service.search("CarePlan", {"patient": f"Patient/{patient}"})
    return str(plan["id"])


def parts(parameter: Json, name: str) -> list[Json]:
    return [part for part in parameter["part"] if part["name"] == name]


def only(parameter: Json, name: str) -> Any:
    (part,) = parts(parameter, name)
    return next(value for key, value in part.items() if key.startswith("value"))


@pytest.fixture
def answer(service: Remote, stories) -> Json:
    """What is said of V02 at its end: imaging is proposed, on the right."""
    for _ in play(story.read(stories / "V02.json"), service):
        pass
    response = ask(service, plan_of(service, "gmt-v02"))
    assert response.status_code == 200
    return dict(response.json())


def test_every_way_out_of_the_stage_has_its_answer_and_says_why(answer: Json) -> None:
    assert gate.check(answer) == ()
    get_fhir_model_class("Parameters").model_validate(answer)
    ways = [parameter for parameter in answer["parameter"] if parameter["name"] == "way"]
    told = {only(way, "action"): only(way, "answer") for way in ways}

    assert [p["valueCode"] for p in answer["parameter"] if p["name"] in ("side", "stage")] == [
        "right",
        "imaging",
    ]
    assert told["T08"] == told["T19"] == "decision"
    assert told["T21-patient"] == "not-met"
    assert {"met", "failed"}.isdisjoint(told.values())
    for way in ways:
        sentence = only(way, "sentence")
        assert sentence.startswith(only(way, "title"))
        assert sentence.endswith(".")
        assert ("because" in sentence) is (only(way, "answer") != "decision")


def test_what_was_used_is_named_with_its_version_and_date(service: Remote, answer: Json) -> None:
    inputs = [part for p in answer["parameter"] if p["name"] == "way" for part in parts(p, "input")]

    assert inputs
    for used in inputs:
        reference = only(used, "reference")["reference"]
        read = service.read(reference)
        assert reference.endswith(f"/_history/{read['meta']['versionId']}")
        assert only(used, "date")[:10] == str(read.get("effectiveDateTime"))[:10]
        assert only(used, "title")
        assert only(used, "value")


def test_asking_stores_nothing_and_is_answered_the_same_again(service: Remote, answer: Json) -> None:
    plan = plan_of(service, "gmt-v02")
    before = service.read(f"CarePlan/{plan}")["meta"]

    assert ask(service, plan).json()["parameter"][1:] == answer["parameter"][1:]
    assert service.read(f"CarePlan/{plan}")["meta"] == before


@pytest.mark.parametrize("plan", ["nobody", "00000000-0000-0000-0000-000000000000"])
def test_a_plan_that_is_not_there_is_not_found(service: Remote, plan: str) -> None:
    response = ask(service, plan)

    assert (response.status_code, response.json()["resourceType"]) == (404, "OperationOutcome")


def test_a_plan_of_somebody_else_has_no_ways(service: Remote, answer: Json) -> None:
    theirs = {
        "resourceType": "CarePlan",
        "id": "of-another-service",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/gmt-v02"},
    }
    put = httpx.put(f"{service.url}/fhir/CarePlan/{theirs['id']}", json=theirs)

    response = ask(service, theirs["id"])

    assert put.is_success, put.text
    assert response.status_code == 404
    assert "not of a pathway" in response.json()["issue"][0]["diagnostics"]


def test_the_operation_is_in_the_capabilities(service: Remote) -> None:
    statement = httpx.get(f"{service.url}/fhir/metadata").json()
    operations = {
        resource["type"]: resource["operation"]
        for resource in statement["rest"][0]["resource"]
        if "operation" in resource
    }

    assert {"CarePlan": [each for each in operations["CarePlan"] if each["name"] == "why"]} == {
        "CarePlan": [
            {"name": "why", "definition": "https://w3id.org/hipway/OperationDefinition/CarePlan-why"}
        ]
    }
