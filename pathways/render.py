"""Writing an outcome as FHIR: every resource that is new, and every resource that changed.

Resources are dicts of our own; ids are derived, so rendering the same outcome again writes the same.
Shapes: fhir-contract, sections 6 and 7.
"""

from datetime import datetime

from fhir_profiles import canonical
from pathways import plans, requests
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.record import Json
from pathways.sheet import DEVICE, Sheet, instant, present, side_extension
from pathways.steps import PERSON, Outcome, Step

PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

#: state of an order -> status of its proposal, and of the signed order
PROPOSAL = {
    "draft": "draft",
    "on-hold": "on-hold",
    "active": "completed",
    "completed": "completed",
    "revoked": "revoked",
}
SIGNED = {"active": "active", "completed": "completed"}
TASK = {"completed": "completed", "cancelled": "cancelled"}
OPEN_AGAIN = "requested"


def render(sheet: Sheet, outcome: Outcome) -> list[Json]:
    """Return the resources to save, in the order in which they came to be."""
    if outcome.steps:
        sheet.put(_device(sheet))
    for step in outcome.steps:
        _step(sheet, step, outcome.at)
    for instance in {step.instance for step in outcome.steps} - {PERSON}:
        plans.write(sheet, instance, outcome)
    return list(sheet.written.values())


def _device(sheet: Sheet) -> Json:
    return {
        "resourceType": "Device",
        "id": "hipway-engine",
        "status": "active",
        "deviceName": [{"name": "hipway pathway engine", "type": "user-friendly-name"}],
        "version": [{"value": sheet.engine}],
    }


def _step(sheet: Sheet, step: Step, at: datetime) -> None:
    provenance = sheet.derive(step.instance, "Provenance", step.number)
    targets = [
        sheet.put(requests.write(sheet, step, one, at=at, provenance=provenance)) for one in step.raised
    ]
    targets += [sheet.put(goal) for goal in plans.goals(sheet, step, at)]
    targets += _changed_orders(sheet, step, at, provenance)
    targets += _changed_tasks(sheet, step, at)
    targets += _lowered_flags(sheet, step, at)
    if step.event is not None:
        sheet.put(_audit_event(sheet, step, at))
    if not step.silent:
        sheet.put(_provenance(sheet, step, at, provenance, step.rule, targets))
    revoked = [
        f"ServiceRequest/{order.id}"
        for order in step.after.orders
        if order.state == "revoked" and _was_unsigned(step.before, order.id)
    ]
    if revoked:
        extra = sheet.derive(step.instance, "Provenance", step.number, "revoke-drafts")
        sheet.put(_provenance(sheet, step, at, extra, "revoke-drafts", revoked))


def _was_unsigned(before: Memory, id: str) -> bool:
    order = before.order(id)
    return order is not None and order.unsigned


def _changed_orders(sheet: Sheet, step: Step, at: datetime, provenance: str) -> list[str]:
    """Carry the state of orders to their resources; a new signature makes the order itself."""
    touched = []
    for order in step.after.orders:
        before = step.before.order(order.id)
        if before is None or (before.state, before.priority) == (order.state, order.priority):
            continue
        proposal = sheet.get(f"ServiceRequest/{order.id}")
        assert proposal is not None
        proposal["status"] = PROPOSAL[order.state]
        proposal["priority"] = order.priority
        touched.append(f"ServiceRequest/{order.id}")
        if before.order is None and order.order is not None and step.decision is not None:
            signed = requests.signed(proposal, order, step.decision, at=at, provenance=provenance)
            touched.append(sheet.put(signed))
        elif order.order is not None and order.state in SIGNED:
            made = sheet.get(f"ServiceRequest/{order.order}")
            assert made is not None
            made["status"] = SIGNED[order.state]
            touched.append(f"ServiceRequest/{order.order}")
        if order.task is not None and order.priority != before.priority:
            requests.hasten(sheet, order, at)
    return touched


def _lowered_flags(sheet: Sheet, step: Step, at: datetime) -> list[str]:
    """End the flags of a side, and of the person, that a clinician has seen by placing the side anew."""
    if step.action is None or not sheet.pathway.rule(step.action).does("mark-handled"):
        return []
    lowered = []
    own = side_extension(sheet.pathway, step.instance)
    for reference, body in list(sheet.stored.items()):
        if not reference.startswith("Flag/") or body["status"] != "active":
            continue
        if body.get("extension", []) in ([], own) and (flag := sheet.get(reference)) is not None:
            flag["status"] = "inactive"
            flag["period"] = {**flag["period"], "end": instant(at)}
            lowered.append(reference)
    return lowered


def _changed_tasks(sheet: Sheet, step: Step, at: datetime) -> list[str]:
    touched = []
    for task in step.after.tasks:
        before = step.before.task(task.id)
        if before is None or before.state == task.state:
            continue
        resource = sheet.get(f"Task/{task.id}")
        if resource is None or (resource["status"] in TASK.values()) == (task.state in TASK):
            continue
        # Open again is what ended only because two records were joined.
        resource["status"] = TASK.get(task.state, OPEN_AGAIN)
        resource["lastModified"] = instant(at)
        touched.append(f"Task/{task.id}")
    return touched


def _audit_event(sheet: Sheet, step: Step, at: datetime) -> Json:
    decision = step.decision
    rejected = step.event == "decision-rejected"
    entities = [f"Patient/{sheet.patient}"]
    if step.instance != PERSON:
        entities.append(f"CarePlan/{sheet.derive(step.instance, 'CarePlan')}")
    who: Json = DEVICE
    if decision is not None:
        entities.append(decision.entry.reference)
        who = {"reference": decision.practitioner} if decision.practitioner else {"display": "not stated"}
    event: Json = {
        "resourceType": "AuditEvent",
        "id": sheet.derive(step.instance, "AuditEvent", step.number),
        "extension": side_extension(sheet.pathway, step.instance),
        "type": _coding(sheet.pathway, canonical.EVENTS, step.event or ""),
        "subtype": [_coding(sheet.pathway, canonical.DECISIONS, decision.code)] if decision else [],
        "action": "E",
        "recorded": instant(at),
        "outcome": "4" if rejected else "0",
        "outcomeDesc": step.title if rejected else None,
        "agent": [{"who": who, "requestor": True}],
        "source": {"observer": DEVICE},
        "entity": [{"what": {"reference": reference}} for reference in entities],
    }
    return present(event)


def _provenance(sheet: Sheet, step: Step, at: datetime, id: str, rule: str, made: list[str]) -> Json:
    about = f"Patient/{sheet.patient}"
    if step.instance != PERSON:
        about = f"CarePlan/{sheet.derive(step.instance, 'CarePlan')}"
    targets = list(dict.fromkeys([about, *made]))
    sources = [fact.entry.versioned for fact in step.facts]
    if step.decision is not None:
        sources.append(step.decision.entry.versioned)
    sources += [version for one in step.raised for version in one.implicated]
    return present(
        {
            "resourceType": "Provenance",
            "id": id,
            "extension": side_extension(sheet.pathway, step.instance),
            "target": [{"reference": reference} for reference in targets],
            "occurredDateTime": instant(at),
            "recorded": instant(at),
            "policy": [sheet.pathway.canonical],
            "activity": {"coding": [_coding(sheet.pathway, canonical.RULES, rule)]},
            "agent": [
                {
                    "type": {
                        "coding": [{"system": PARTICIPANT, "code": "assembler", "display": "Assembler"}]
                    },
                    "who": DEVICE,
                }
            ],
            "entity": [{"role": "source", "what": {"reference": r}} for r in dict.fromkeys(sources)],
        }
    )


def _coding(pathway: Pathway, system: str, code: str) -> Json:
    # What a sender invented has no display of ours.
    return present({"system": system, "code": code, "display": pathway.displays.get((system, code))})
