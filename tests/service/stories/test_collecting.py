"""Checks which resources are an answer: what did not exist after the step before."""

from collections.abc import Mapping
from typing import Any

from service.stories import collecting, orders
from service.stories.answer import Answer

BASE = "https://w3id.org/hipway"


def test_only_what_is_new_is_an_answer_and_every_plan_has_its_stage() -> None:
    first = [_plan("left", "assessment"), _task("t1", "review-6w")]
    second = [*first, _plan("right", "imaging"), _task("t2", "sign-imaging"), _moved("p1", "T05")]

    before = collecting.record(_service(first), "x")
    now = collecting.record(_service(second), "x")

    assert collecting.answer(now, before.identities, orders.names()) == Answer(
        stages={"left": "assessment", "right": "imaging"},
        transitions=("R:T05",),
        outputs=("R:TK:sign-imaging",),
    )


def test_a_provenance_about_two_plans_counts_once() -> None:
    both = _moved("p1", "T20") | {"target": [{"reference": "CarePlan/left"}, {"reference": "CarePlan/right"}]}
    service = _service([_plan("left", "discharged"), _plan("right", "discharged"), both])

    now = collecting.record(service, "x")

    assert collecting.answer(now, (), orders.names()).transitions == ("R:T20",)


def test_searches_are_those_of_the_specification() -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def search(type_: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        asked.append((type_, dict(parameters)))
        return [_plan("right", "imaging")] if type_ == "CarePlan" else []

    collecting.record(search, "gmt-v02")

    assert ("CarePlan", {"patient": "gmt-v02"}) in asked
    assert ("ServiceRequest", {"patient": "gmt-v02", "intent": "proposal"}) in asked
    assert ("Provenance", {"target": "CarePlan/right"}) in asked
    assert len(asked) == 8


def _service(resources: list[dict[str, Any]]) -> collecting.Search:
    def search(type_: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        of_type = [each for each in resources if each["resourceType"] == type_]
        if "target" in parameters:
            return [
                each
                for each in of_type
                if parameters["target"] in [target["reference"] for target in each["target"]]
            ]
        return of_type

    return search


def _plan(side: str, stage: str) -> dict[str, Any]:
    extension = {"url": f"{BASE}/StructureDefinition/pathway-stage", "valueCoding": {"code": stage}}
    return {"resourceType": "CarePlan", "id": side, "extension": [extension, _side(side)]}


def _task(id_: str, code: str) -> dict[str, Any]:
    coding = {"system": f"{BASE}/CodeSystem/pathway-task", "code": code}
    return {
        "resourceType": "Task",
        "id": id_,
        "code": {"coding": [coding]},
        "extension": [_side("right")],
    }


def _moved(id_: str, rule: str) -> dict[str, Any]:
    coding = {"system": f"{BASE}/CodeSystem/pathway-rule", "code": rule}
    return {
        "resourceType": "Provenance",
        "id": id_,
        "activity": {"coding": [coding]},
        "target": [{"reference": "CarePlan/right"}],
        "extension": [_side("right")],
    }


def _side(word: str) -> dict[str, Any]:
    return {"url": f"{BASE}/StructureDefinition/pathway-side", "valueCoding": {"code": f"hip-{word}"}}
