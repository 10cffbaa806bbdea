"""What is asked before an image, and what a refusal keeps from being proposed again (SP-25 and 27)."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from branching import LOCAL, STORIES, Point, points
from histories import task
from playing import Play, read, told

from pathways import basis, parameters
from pathways.memory import Order
from pathways.steps import PERSON, Step

FOLDER = Path(__file__).parents[1] / "stories"
SAFETY, PREGNANCY = "mri-safety-status", "82810-3"
IMAGING = ("T04", "T05", "T06", "T07")

Json = dict[str, Any]


def images(*, safety: Json | None, pregnancy: Json | None) -> set[str]:
    """Return what the first visit of V09 orders and asks, with these findings changed; None: without one.

    V09 is a woman of childbearing age; her radiograph is recent.
    """
    step = read(FOLDER / "V09.json")["steps"][0]
    changes = {SAFETY: safety, PREGNANCY: pregnancy}
    bundle = deepcopy(step["bundle"])
    entries = []
    for entry in bundle["entry"]:
        code = entry["resource"].get("code", {}).get("coding", [{}])[0].get("code")
        if code in changes:
            if changes[code] is None:
                continue
            entry["resource"] |= changes[code]
        entries.append(entry)
    game = Play()
    game.receive(bundle | {"entry": entries}, datetime.fromisoformat(step["at"]))
    outcome, _ = game.evaluate(datetime.fromisoformat(step["advanceTo"]))
    asked = ("SR:MRI", "SR:US", "SR:XR", "TK:mri-safety", "TK:mr-safety", "TK:pregnancy")
    return {
        output.removeprefix("R:") for output in told(outcome) if output.removeprefix("R:").startswith(asked)
    }


def answer(code: str, **elements: Any) -> Json:
    return {"valueCodeableConcept": {"coding": [{"system": LOCAL, "code": code}]}, **elements}


MRI, SCREEN = "SR:MRI(routine)", "TK:mri-safety-screen"


@pytest.mark.parametrize(
    ("safety", "expected"),
    [
        pytest.param(answer("mri-safety-cleared"), {MRI}, id="cleared"),
        pytest.param(answer("mri-safety-conditional"), {MRI, "TK:mr-safety-officer"}, id="conditional"),
        pytest.param(answer("mri-safety-contraindicated"), {"SR:US(routine)"}, id="contraindicated"),
        pytest.param(answer("mri-safety-unknown"), {MRI, SCREEN}, id="unknown"),
        pytest.param(None, {MRI, SCREEN}, id="never asked"),
        pytest.param(answer("mri-safety-cleared", status="preliminary"), {MRI, SCREEN}, id="not final"),
        pytest.param(answer("mri-safety-cleared", status="entered-in-error"), {MRI, SCREEN}, id="withdrawn"),
        pytest.param(answer("no such answer"), {MRI, SCREEN}, id="not readable"),
        pytest.param(
            answer("mri-safety-cleared", effectiveDateTime="2025-10-07T08:00:00Z"), {MRI}, id="90 days ago"
        ),
        pytest.param(
            answer("mri-safety-cleared", effectiveDateTime="2025-10-06T08:00:00Z"),
            {MRI, SCREEN},
            id="91 days ago",
        ),
    ],
)
def test_whether_an_mri_is_safe_is_asked_and_never_assumed(safety: Json | None, expected: set[str]) -> None:
    assert images(safety=safety, pregnancy={}) == expected


@pytest.mark.parametrize("code", ["pregnancy-yes", "pregnancy-possible"])
@pytest.mark.parametrize("safety", [None, {}, answer("mri-safety-contraindicated")])
def test_in_pregnancy_a_person_decides_and_nothing_but_ultrasound_is_proposed(
    code: str, safety: Json | None
) -> None:
    expected = {"TK:pregnancy-imaging-decision", "SR:US(routine)"}

    assert images(safety=safety, pregnancy=answer(code)) == expected


def _proposed(point: Point) -> Iterator[tuple[Step, Order]]:
    for step in point.outcome.steps:
        if step.action in IMAGING and step.instance != PERSON and step.moved:
            before = {order.id for order in step.before.orders}
            new = [
                o for o in step.after.orders if o.id not in before and o.state == "draft" and o.kind != "XR"
            ]
            yield from ((step, order) for order in new[:1])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_same_evidence_does_not_ask_again_and_a_worse_finding_may(path: Path) -> None:
    for point in points(path):
        for step, order in _proposed(point):
            _decline(point, step, order)


def _decline(point: Point, step: Step, order: Order) -> None:
    side = step.instance
    game, refused = point.after.branch(), point.evaluated + timedelta(hours=1)
    game.receive(refusal(game, order.id, refused), refused)
    outcome, _ = game.evaluate(refused)
    assert f"{side[0].upper()}:AU:clinician-decision" in told(outcome)
    # A step may be due at once that no image depends on; an image is not.
    assert not _images(told(outcome), side)
    quiet = int(parameters.resolve(game.pathway, game.chosen)["decline.clinicianDays"])

    for days in (1, 7, quiet - 1):
        assert not _asked_again(game, step, refused + timedelta(days=days)), days
    grade = _grade(game, side, refused)
    # An injury is no longer acute a week later, whatever the grade.
    if grade and step.action != "T04" and any(fact.input == "abd.mrc" for fact in basis.used(step)):
        later = refused + timedelta(days=7)
        weaker = {"valueInteger": int(grade) - 1, "valueString": ..., "valueQuantity": ...}
        assert _asked_again(game, step, later, **weaker)


def _asked_again(game: Play, step: Step, at: datetime, **grade: Any) -> list[str]:
    """Return the images that are proposed when what the first proposal rested on is found again.

    Args:
        step: the step that made the first proposal.
        grade: elements of the strength grade that are other than they were.
    """
    again = game.branch()
    found = []
    # What a patient wants is no evidence.
    evidence = [fact for fact in basis.used(step) if not fact.input.startswith("consent")]
    for place, fact in enumerate(evidence):
        body = deepcopy(fact.entry.body) | {"id": f"again-{place}", "effectiveDateTime": at.isoformat()}
        if any(coding["code"] == GRADE for coding in body["code"]["coding"]):
            body |= {"valueCodeableConcept": ..., **grade} if grade else {}
        found.append({key: value for key, value in body.items() if value is not ...})
    again.receive({"entry": [{"resource": body} for body in found if "effectivePeriod" not in body]}, at)
    outcome, _ = again.evaluate(at)
    return _images(told(outcome), step.instance)


def _grade(game: Play, side: str, at: datetime) -> Any:
    """Return the latest strength grade, None where there is none."""
    inputs = game.pathway.gate.read(game.case(at).record, at.tzinfo).of(side, until=at)
    grades = [fact for fact in inputs if fact.input == "abd.mrc"]
    latest = max(grades, key=lambda fact: fact.at, default=None)
    return latest and latest.canonical["valueQuantity"]["value"]


GRADE = "hip-abduction-strength-mmt"


def _images(outputs: Any, side: str) -> list[str]:
    kinds = tuple(f"{side[0].upper()}:SR:{kind}" for kind in ("MRI", "US", "XR"))
    return [output for output in outputs if output.startswith(kinds)]


def refusal(game: Play, order: str, at: datetime) -> Json:
    clinician = next(entry.reference for entry in game.entries.values() if entry.type == "Practitioner")
    decision = task(
        "refused", "decline", f"ServiceRequest/{order}", at=at, patient=game.patient.reference, by=clinician
    )
    return {"entry": [{"resource": decision}]}
