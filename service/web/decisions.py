"""A decision made on a page: the same Task, on the same write path, as a hospital's.

fhir-contract 5. The form's token is the decision's identifier, and it is created only
if nothing carries that identifier yet: pressing twice, in one tab or two, decides once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.store import content
from service.web.elements import CODES
from service.web.people import Colleague

IDENTIFIER = "https://w3id.org/hipway/sid/decision"
REASONS_SYSTEM = CODES + "decision-reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why, as the person chose and wrote it."""

    code: str
    display: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision of one person."""

    key: str
    decision: str
    display: str
    focus: str
    patient: str
    by: Colleague
    at: datetime
    reason: Reason | None
    #: code and display of the stage to enter
    target: tuple[str, str] | None


def bundle(decision: Decision, *, stage_system: str) -> dict[str, Any]:
    """Return the transaction that stores the decision once."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": task(decision, stage_system=stage_system),
                "request": {
                    "method": "POST",
                    "url": "Task",
                    "ifNoneExist": f"identifier={IDENTIFIER}|{decision.key}",
                },
            }
        ],
    }


def task(decision: Decision, *, stage_system: str) -> dict[str, Any]:
    """Return the completed Task that says what was decided."""
    person = {"reference": decision.by.reference, "display": decision.by.name}
    at = content.instant(decision.at)
    written: dict[str, Any] = {
        "resourceType": "Task",
        "identifier": [{"system": IDENTIFIER, "value": decision.key}],
        "status": "completed",
        "intent": "order",
        "code": _coded(CODES + "clinician-decision", decision.decision, decision.display),
        "focus": {"reference": decision.focus},
        "for": {"reference": f"Patient/{decision.patient}"},
        "authoredOn": at,
        "lastModified": at,
        "requester": person,
        "owner": person,
    }
    if decision.reason is not None:
        written["reasonCode"] = _reason(decision.reason)
    if decision.target is not None:
        kind = _coded(CODES + "pathway-task-input", "target-stage", "Stage to enter")
        written["input"] = [{"type": kind, "valueCodeableConcept": _coded(stage_system, *decision.target)}]
    return written


def _reason(reason: Reason) -> Mapping[str, Any]:
    said = ": ".join(part for part in (reason.display, reason.text) if part)
    concept: dict[str, Any] = {"text": said}
    if reason.code:
        concept = _coded(REASONS_SYSTEM, reason.code, reason.display) | concept
    return concept


def _coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}
