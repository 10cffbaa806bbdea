"""The CarePlan of a side, its Goals and its Condition (fhir-contract 7)."""

from datetime import datetime, timedelta

from fhir_profiles import canonical
from pathways import narrative
from pathways.memory import Hold, Memory
from pathways.raising import UNITS
from pathways.record import Json
from pathways.sheet import DEVICE, Sheet, instant, present, side_extension
from pathways.steps import Outcome, Step

CONDITION = "http://terminology.hl7.org/CodeSystem/condition-"


def write(sheet: Sheet, instance: str, outcome: Outcome) -> None:
    """Write the CarePlan as it is after the evaluation; at the opening also the Condition."""
    memory = outcome.memories[instance]
    if memory.stage is None:
        return
    reference = f"CarePlan/{sheet.derive(instance, 'CarePlan')}"
    before = sheet.stored.get(reference)
    if before is None:
        sheet.put(_condition(sheet, instance, outcome))
    sheet.put(_plan(sheet, instance, memory, outcome.at, before))


def goals(sheet: Sheet, step: Step, at: datetime) -> list[Json]:
    """Return the Goals that a step proposes."""
    return [_goal(sheet, step, goal, at) for goal in step.goals]


def _plan(sheet: Sheet, instance: str, memory: Memory, at: datetime, before: Json | None) -> Json:
    pathway = sheet.pathway
    stage = pathway.stages[memory.stage or ""]
    side = pathway.sides.get(instance)
    words = narrative.side(pathway, instance)
    title = f"{pathway.title}, {narrative.lowered(words)}" if side else pathway.title
    status = "revoked" if memory.closed else stage.plan_status
    own_goals = [
        r
        for r, body in sheet.written.items()
        if r.startswith("Goal/") and (side is None or _about(body, side.coding))
    ]
    kept = (before or {}).get("goal", [])
    # Where the site has moved to another zone since, it may be the day before.
    last_day = max(memory.opened or "", memory.stage_since or "")
    ended = {"end": last_day} if status in {"completed", "revoked"} else {}
    return present(
        {
            "resourceType": "CarePlan",
            "id": sheet.derive(instance, "CarePlan"),
            "text": narrative.text(
                title,
                f"{words}: {stage.title} since {memory.stage_since}.",
            ),
            "extension": [
                {
                    "url": canonical.STAGE,
                    "valueCoding": {"system": canonical.STAGES, "code": stage.code, "display": stage.title},
                },
                *side_extension(pathway, instance),
                *(
                    {"url": url, "valueDate": memory.values[name]}
                    for name, url in pathway.kept.items()
                    if name in memory.values
                ),
                *(_hold(sheet, hold) for hold in memory.holds),
            ],
            "identifier": [
                {
                    "system": canonical.CARE_PLAN_IDS,
                    "value": f"{sheet.patient}.{pathway.name}.{instance}",
                }
            ],
            "instantiatesCanonical": [pathway.canonical],
            "status": status,
            "intent": "plan",
            "category": [pathway.category],
            "title": title,
            "subject": {"reference": f"Patient/{sheet.patient}"},
            # of a record that was joined with this one
            "replaces": (before or {}).get("replaces", []),
            "period": {"start": memory.opened, **ended},
            "created": before["created"] if before else instant(at),
            "author": DEVICE,
            "addresses": [{"reference": f"Condition/{sheet.derive(instance, 'Condition')}"}],
            "goal": [*kept, *({"reference": r} for r in own_goals if {"reference": r} not in kept)],
            "activity": [
                {"reference": {"reference": reference}}
                for reference in (
                    *(f"ServiceRequest/{order.id}" for order in memory.orders),
                    *(f"ServiceRequest/{order.order}" for order in memory.orders if order.order),
                    *(f"Task/{task.id}" for task in memory.tasks),
                )
            ],
        }
    )


def _about(body: Json, coding: Json) -> bool:
    return any(e.get("valueCoding") == coding for e in body.get("extension", ()))


def _hold(sheet: Sheet, hold: Hold) -> Json:
    # A hold that is of no pathway is said by our own code system.
    coding = sheet.pathway.holds.get(hold.code) or {
        "system": canonical.HOLDS,
        "code": hold.code,
        "display": sheet.pathway.display(canonical.HOLDS, hold.code),
    }
    parts: list[Json] = [{"url": "type", "valueCoding": coding}]
    if hold.input is not None:
        system = next(s for s, code in sheet.pathway.displays if code == hold.input)
        display = sheet.pathway.displays[system, hold.input]
        parts.append(
            {"url": "input", "valueCoding": {"system": system, "code": hold.input, "display": display}}
        )
    parts.append({"url": "since", "valueDateTime": instant(datetime.fromisoformat(hold.since))})
    return {"url": canonical.HOLD, "extension": parts}


def _goal(sheet: Sheet, step: Step, name: str, at: datetime) -> Json:
    goal = sheet.pathway.goals[name]
    targets = []
    for target in goal["target"]:
        due = target["due"]
        days = timedelta(**{UNITS[due["code"]]: int(due["value"])})
        targets.append(
            {**{k: v for k, v in target.items() if k != "due"}, "dueDate": (at.date() + days).isoformat()}
        )
    return {
        "resourceType": "Goal",
        "id": sheet.derive(step.instance, "Goal", name, step.number),
        "extension": side_extension(sheet.pathway, step.instance),
        "lifecycleStatus": "proposed",
        "priority": goal["priority"],
        "category": [goal["category"]],
        "description": goal["description"],
        "subject": {"reference": f"Patient/{sheet.patient}"},
        "startDate": at.date().isoformat(),
        "target": targets,
        "addresses": [{"reference": f"Condition/{sheet.derive(step.instance, 'Condition')}"}],
    }


def _condition(sheet: Sheet, instance: str, outcome: Outcome) -> Json:
    concept = sheet.pathway.condition
    side = sheet.pathway.sides.get(instance)
    opened = next(step for step in outcome.steps if step.instance == instance)
    about = (f for f in opened.facts if sheet.pathway.concerns(instance, f.sides))
    evidence = list(dict.fromkeys(f.entry.reference for f in about))
    return present(
        {
            "resourceType": "Condition",
            "id": sheet.derive(instance, "Condition"),
            "extension": side_extension(sheet.pathway, instance),
            "clinicalStatus": _status("clinical", "active", "Active"),
            "verificationStatus": _status("ver-status", "provisional", "Provisional"),
            "category": [_status("category", "problem-list-item", "Problem List Item")],
            "code": {"coding": concept["coding"], "text": narrative.named(concept["text"], side)},
            "bodySite": [{"coding": list(side.codings)}] if side else [],
            "subject": {"reference": f"Patient/{sheet.patient}"},
            "recordedDate": instant(outcome.at),
            "evidence": [{"detail": [{"reference": reference} for reference in evidence]}]
            if evidence
            else [],
        }
    )


def _status(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": CONDITION + system, "code": code, "display": display}]}
