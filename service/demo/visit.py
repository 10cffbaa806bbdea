"""Turn one step of a demo story into the Bundle a hospital would post."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

Json = Mapping[str, Any]

DEMO = "https://demo.example.org/fhir"

#: elements of a finding that are ours; all others are FHIR and stay as they are
_OURS = ("is", "side", "answer", "parts")


def at(step: Json, *, now: datetime) -> datetime:
    """Return when the step happens: so many days before today, and never in the future."""
    day: date = now.astimezone(UTC).date() + timedelta(days=step["day"])
    return min(datetime.combine(day, time.fromisoformat(step["time"]), UTC), now)


def bundle(story: Json, number: int, moment: datetime, terms: Json) -> dict[str, Any] | None:
    """Return the transaction of the step; None: only time passes.

    Args:
        number: of the step, 1 for the first, which brings the patient along.
        moment: when it happens.
        terms: name -> codings, as in `terms.json`.
    """
    step = story["steps"][number - 1]
    resources = [_patient(story)] if number == 1 else []
    for position, finding in enumerate(step.get("findings", ()), start=1):
        made = _finding(finding, step, moment, story, terms)
        resources.append({**made, "id": f"{patient_id(story)}-{number}-{position}"})
    for position, decision in enumerate(step.get("decisions", ()), start=1):
        made = _decision(decision, step, moment, story, terms)
        resources.append({**made, "id": f"{patient_id(story)}-{number}-d{position}"})
    if not resources:
        return None
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "timestamp": _instant(moment),
        "entry": [_put(resource) for resource in resources],
    }


def patient_id(story: Json) -> str:
    """Return the id of the story's patient. It is in every URL, so it says nothing."""
    return f"demo-{story['number']}"


def _patient(story: Json) -> dict[str, Any]:
    number = {"system": f"{DEMO}/sid/mrn", "value": f"D-{story['number']}"}
    return {
        "resourceType": "Patient",
        "id": patient_id(story),
        "identifier": [number],
        "active": True,
        **story["patient"],
    }


def _finding(finding: Json, step: Json, moment: datetime, story: Json, terms: Json) -> dict[str, Any]:
    term = terms[finding["is"]]
    made: dict[str, Any] = {
        "resourceType": term["type"],
        "status": "completed" if term["type"] == "Procedure" else "final",
        "code": {"coding": term["coding"]},
        "subject": {"reference": f"Patient/{patient_id(story)}"},
    }
    by = {"reference": f"Practitioner/demo-{step['by']}"}
    if term["type"] == "Procedure":
        made |= {"performedDateTime": _instant(moment), "performer": [{"actor": by}]}
    else:
        made |= {"category": [{"coding": [term["category"]]}], "effectiveDateTime": _instant(moment)}
        made |= {"performer": [by], **_answered(finding, terms)}
    if "side" in finding:
        site = terms[finding["side"]]
        made["bodySite"] = [site] if term["type"] == "Procedure" else site
    if "parts" in finding:
        made["component"] = [
            {"code": {"coding": terms[part["is"]]["coding"]}, **_answered(part, terms)}
            for part in finding["parts"]
        ]
    return made


def _answered(finding: Json, terms: Json) -> dict[str, Any]:
    """Return the value: an answer by name, or FHIR as it stands."""
    value = {name: part for name, part in finding.items() if name not in _OURS}
    if "answer" in finding:
        value["valueCodeableConcept"] = {"coding": terms[finding["answer"]]["coding"]}
    return value


def _decision(decision: Json, step: Json, moment: datetime, story: Json, terms: Json) -> dict[str, Any]:
    by = {"reference": f"Practitioner/demo-{step['by']}"}
    made: dict[str, Any] = {
        "resourceType": "Task",
        "status": "completed",
        "intent": "order",
        "code": {"coding": terms[decision["is"]]["coding"]},
        "focus": {"reference": decision["focus"]},
        "for": {"reference": f"Patient/{patient_id(story)}"},
        "authoredOn": _instant(moment),
        "lastModified": _instant(moment),
        "requester": by,
        "owner": by,
    }
    if "reason" in decision:
        made["reasonCode"] = {"text": decision["reason"]}
    return made


def _put(resource: Json) -> dict[str, Any]:
    place = f"{resource['resourceType']}/{resource['id']}"
    return {
        "fullUrl": f"{DEMO}/{place}",
        "resource": resource,
        "request": {"method": "PUT", "url": place},
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
