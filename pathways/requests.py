"""How each kind of output looks as a resource: orders, Tasks, messages, issues, flags (fhir-contract 6)."""

from datetime import datetime, timedelta

from fhir_profiles import canonical
from pathways import narrative
from pathways.basis import used
from pathways.definition import Activity
from pathways.memory import Order
from pathways.raising import UNITS
from pathways.record import Json
from pathways.sheet import DEVICE, Sheet, instant, present, side_extension
from pathways.steps import PERSON, Decision, Raised, Step


def write(sheet: Sheet, step: Step, one: Raised, *, at: datetime, provenance: str) -> Json:
    """Return the resource of one output."""
    resource: Json = {
        "resourceType": one.activity.resource,
        "id": one.id,
        "extension": side_extension(sheet.pathway, step.instance),
    }
    match one.activity.resource:
        case "ServiceRequest":
            resource |= _proposal(sheet, step, one, at, provenance)
        case "Task":
            resource |= _task(sheet, step, one, at)
        case "CommunicationRequest":
            resource |= _message(sheet, step, one, at)
        case "DetectedIssue":
            resource |= _issue(sheet, step, one, at)
        case _:
            resource |= _flag(sheet, one, at)
    return present(resource)


def signed(proposal: Json, order: Order, decision: Decision, *, at: datetime, provenance: str) -> Json:
    """Return the order that a signature makes of a proposal: the same request, with a person's authority."""
    requester = present({"reference": decision.practitioner, "display": decision.name})
    return {
        **proposal,
        "id": order.order,
        "basedOn": [*proposal["basedOn"], {"reference": f"ServiceRequest/{order.id}"}],
        "status": "active",
        "intent": "order",
        "authoredOn": instant(at),
        "requester": requester,
        "relevantHistory": [*proposal["relevantHistory"], {"reference": f"Provenance/{provenance}"}],
    }


def hasten(sheet: Sheet, order: Order, at: datetime) -> None:
    """Make the signing Task of an order as urgent as the order has become."""
    task = sheet.get(f"Task/{order.task}")
    activity = next(a for a in sheet.pathway.activities.values() if a.name == order.kind)
    signing = next(a for a in sheet.pathway.activities.values() if a.code == activity.signing_task)
    within = signing.due_by_priority.get(order.priority)
    if task is not None and within is not None:
        end = at + timedelta(**{UNITS[within["code"]]: int(within["value"])})
        task["priority"] = order.priority
        task["restriction"] = {"period": {"end": instant(end)}}
        task["lastModified"] = instant(at)


def _codings(activity: Activity, instance: str) -> list[Json]:
    return list(activity.codings_by_side.get(instance, activity.codings))


def _plan(sheet: Sheet, step: Step) -> list[Json]:
    if step.instance == PERSON:
        return []
    return [{"reference": f"CarePlan/{sheet.derive(step.instance, 'CarePlan')}"}]


def _proposal(sheet: Sheet, step: Step, one: Raised, at: datetime, provenance: str) -> Json:
    side = sheet.pathway.sides.get(step.instance)
    facts = used(step)
    references = dict.fromkeys(r for f in facts for r in (f.entry.reference, *f.reports))
    note = narrative.note(sheet, step, facts)
    title = narrative.named(one.activity.title, side)
    return {
        "text": narrative.text(f"{narrative.side(sheet.pathway, step.instance)}: {one.activity.title}", note),
        "instantiatesCanonical": [sheet.pathway.canonical],
        "basedOn": _plan(sheet, step),
        "status": "draft",
        "intent": "proposal",
        "category": [{"coding": [category]} for category in one.activity.categories],
        "priority": one.priority,
        "code": {"coding": _codings(one.activity, step.instance), "text": title},
        "orderDetail": [{"coding": [sheet.pathway.qualifier(detail)]} for detail in one.details],
        "subject": {"reference": f"Patient/{sheet.patient}"},
        "authoredOn": instant(at),
        "requester": DEVICE,
        "reasonReference": [{"reference": f"Condition/{sheet.derive(step.instance, 'Condition')}"}],
        "supportingInfo": [{"reference": reference} for reference in references],
        "bodySite": [{"coding": list(side.codings)}] if side else [],
        "note": [{"text": note}],
        "relevantHistory": [{"reference": f"Provenance/{provenance}"}],
    }


def _task(sheet: Sheet, step: Step, one: Raised, at: datetime) -> Json:
    description = narrative.task(sheet, step, one)
    return {
        "text": narrative.text(one.activity.title, description),
        "instantiatesCanonical": sheet.pathway.canonical,
        "basedOn": _plan(sheet, step),
        "status": "requested",
        "intent": "plan",
        "priority": one.priority,
        "code": {"coding": _codings(one.activity, step.instance)},
        "description": description,
        "focus": {"reference": one.focus or f"Patient/{sheet.patient}"},
        "for": {"reference": f"Patient/{sheet.patient}"},
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": DEVICE,
        "performerType": [{"coding": [one.activity.role]}] if one.activity.role else [],
        "reasonCode": {"coding": [sheet.pathway.qualifier(q) for q in one.qualifiers]}
        if one.qualifiers
        else {},
        "restriction": {"period": {"end": instant(one.due)}} if one.due else {},
        "input": [
            {
                "type": {
                    "coding": [
                        {"system": canonical.TASK_INPUTS, "code": "order", "display": "Proposal to sign"}
                    ]
                },
                "valueReference": {"reference": reference},
            }
            for reference in one.orders
        ],
    }


def _message(sheet: Sheet, step: Step, one: Raised, at: datetime) -> Json:
    role = one.activity.role
    language = narrative.LANGUAGE if role else sheet.language
    to: Json = {"display": role["display"]} if role else {"reference": f"Patient/{sheet.patient}"}
    return {
        # What is in the language of definitions says nothing of it, as every other resource.
        "language": None if language == narrative.LANGUAGE else language,
        "basedOn": _plan(sheet, step),
        "status": "active",
        "category": [{"coding": _codings(one.activity, step.instance)}],
        "priority": one.priority,
        "subject": {"reference": f"Patient/{sheet.patient}"},
        "about": _plan(sheet, step),
        "payload": [{"contentString": narrative.message(sheet.pathway, step, one, language)}],
        "authoredOn": instant(at),
        "requester": DEVICE,
        "recipient": [to],
    }


def _issue(sheet: Sheet, step: Step, one: Raised, at: datetime) -> Json:
    return {
        "status": "final",
        "code": {"coding": _codings(one.activity, step.instance)},
        "severity": one.activity.severity,
        "patient": {"reference": f"Patient/{sheet.patient}"},
        "identifiedDateTime": instant(at),
        "author": DEVICE,
        "implicated": [{"reference": v.partition("/_history")[0]} for v in one.implicated],
        "detail": narrative.issue(sheet.pathway, step),
    }


def _flag(sheet: Sheet, one: Raised, at: datetime) -> Json:
    causes = [sheet.pathway.qualifier(qualifier) for qualifier in one.qualifiers[1:]]
    return {
        "status": "active",
        "category": [{"coding": [category]} for category in one.activity.categories],
        "code": {"coding": [*one.activity.codings, *causes]},
        "subject": {"reference": f"Patient/{sheet.patient}"},
        "period": {"start": instant(at)},
        "author": DEVICE,
    }
