"""Checks what `Type/vignette.R.SR.MRI` stands for: the newest matching resource of the patient."""

from typing import Any

import pytest

from service.stories import orders, placeholders
from service.stories.collecting import Record

BASE = "https://w3id.org/hipway"


def test_the_newest_matching_resource_is_meant_and_of_the_side_that_is_named() -> None:
    record = Record(
        others=(
            _proposal("old", "right", "2026-01-05T09:15:00Z"),
            _proposal("new", "right", "2026-02-05T10:15:00+01:00"),
            _proposal("other", "left", "2026-03-05T09:15:00Z", code="36488-5"),
        )
    )

    assert _meaning("ServiceRequest/vignette.R.SR.MRI", record) == "ServiceRequest/new"
    assert _meaning("ServiceRequest/vignette.L.SR.MRI", record) == "ServiceRequest/other"


def test_among_equally_new_ones_the_draft_is_meant() -> None:
    made = "2026-01-05T09:15:00Z"
    record = Record(
        others=(
            _proposal("revoked", "right", made) | {"status": "revoked"},
            _proposal("draft", "right", made),
            _proposal("completed", "right", made) | {"status": "completed"},
        )
    )

    assert _meaning("ServiceRequest/vignette.R.SR.MRI", record) == "ServiceRequest/draft"


def test_a_name_without_a_side_is_about_the_person() -> None:
    code = {"coding": [{"system": f"{BASE}/CodeSystem/pathway-task", "code": "divert"}]}
    task = {"resourceType": "Task", "code": code, "authoredOn": "2026-01-05T09:15:00Z"}
    record = Record(others=(task | {"id": "sided"} | _side("right"), task | {"id": "person"}))

    assert _meaning("Task/vignette.TK.divert", record) == "Task/person"
    assert _meaning("Task/vignette.R.TK.divert", record) == "Task/sided"


def test_a_plan_is_found_by_its_side() -> None:
    plan = {"resourceType": "CarePlan", "created": "2026-01-05T09:15:00Z"}
    record = Record(plans=(plan | {"id": "l"} | _side("left"), plan | {"id": "r"} | _side("right")))

    assert _meaning("CarePlan/vignette.R.CarePlan", record) == "CarePlan/r"


def test_a_placeholder_that_means_nothing_is_named() -> None:
    with pytest.raises(placeholders.NothingMatches, match=r"vignette\.R\.SR\.US"):
        _meaning("ServiceRequest/vignette.R.SR.US", Record())


def test_every_placeholder_of_a_bundle_is_replaced_and_nothing_else() -> None:
    bundle = {
        "entry": [{"resource": {"focus": {"reference": "ServiceRequest/vignette.R.SR.MRI"}}}],
        "note": "see ServiceRequest/vignette.R.SR.MRI",
    }
    meaning = {"ServiceRequest/vignette.R.SR.MRI": "ServiceRequest/a"}

    assert placeholders.wanted(bundle) == set(meaning)
    assert placeholders.replaced(bundle, meaning) == {
        "entry": [{"resource": {"focus": {"reference": "ServiceRequest/a"}}}],
        "note": "see ServiceRequest/vignette.R.SR.MRI",
    }


def _meaning(placeholder: str, record: Record) -> str:
    return placeholders.meanings([placeholder], record, orders.names())[placeholder]


def _proposal(id_: str, side: str, made: str, code: str = "36490-1") -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": id_,
        "intent": "proposal",
        "status": "draft",
        "priority": "routine",
        "authoredOn": made,
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        **_side(side),
    }


def _side(word: str) -> dict[str, Any]:
    url = f"{BASE}/StructureDefinition/pathway-side"
    return {"extension": [{"url": url, "valueCoding": {"code": f"hip-{word}"}}]}
