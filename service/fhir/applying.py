"""What applying a pathway to a patient gives, as a CarePlan that holds everything it refers to.

    CarePlan ─ activity ─> RequestGroup of a side ─ action ─> the proposals, Tasks and messages

It is the outcome of an evaluation, whatever of it is stored: what is open, and what this evaluation adds.

http://hl7.org/fhir/R4/plandefinition-operation-apply.html
"""

from collections.abc import Iterator, Mapping, Sequence

from pathways import narrative
from pathways.memory import Memory
from pathways.reconstruction import Standing
from pathways.record import Json
from pathways.sheet import DEVICE, instant, present, side_extension
from pathways.steps import PERSON
from service.fhir import references

#: what points to resources of this service, which are not there where nothing is stored
OURS = ("basedOn", "reasonReference", "relevantHistory", "about")


def care_plan(
    standing: Standing, patient: str, *, known: bool, encounter: str | None, practitioner: str | None
) -> Json:
    """Return the CarePlan.

    Args:
        patient: the id alone.
        known: whether the plans of the patient are stored here, so that references to them can be followed.
        encounter: a reference, in which it is applied.
        practitioner: a reference, who applies it.
    """
    pathway = standing.pathway
    groups: list[Json] = []
    requests: dict[str, Json] = {}
    for instance in (*pathway.instances, PERSON):
        memory = standing.memories.get(instance, Memory())
        found = [standing.own[reference] for reference in _open(standing, instance, memory)]
        requests |= {f"{r['resourceType']}/{r['id']}": r for r in found}
        if found or memory.stage is not None:
            groups.append(_group(standing, instance, memory, found, patient, encounter, practitioner))
    shown = [_contained(resource, requests, known=known) for resource in requests.values()]
    return present(
        {
            "resourceType": "CarePlan",
            "contained": [*groups, *shown],
            "instantiatesCanonical": [pathway.canonical],
            "status": "draft",
            "intent": "proposal",
            "category": [pathway.category],
            "title": pathway.title,
            "description": " ".join(_stages(standing)),
            "subject": {"reference": f"Patient/{patient}"},
            "encounter": {"reference": encounter} if encounter else None,
            "created": instant(standing.moment),
            "author": _author(practitioner),
            "activity": [{"reference": {"reference": f"#{group['id']}"}} for group in groups],
        }
    )


def _open(standing: Standing, instance: str, memory: Memory) -> Iterator[str]:
    """Yield what nobody has settled yet, and what this evaluation says."""
    yield from (f"ServiceRequest/{order.id}" for order in memory.orders if order.unsigned)
    yield from (f"Task/{task.id}" for task in memory.tasks if task.state == "open")
    for step in standing.outcome.steps:
        if step.instance == instance:
            yield from (
                one.reference for one in step.raised if one.activity.resource == "CommunicationRequest"
            )


def _group(
    standing: Standing,
    instance: str,
    memory: Memory,
    requests: Sequence[Json],
    patient: str,
    encounter: str | None,
    practitioner: str | None,
) -> Json:
    return present(
        {
            "resourceType": "RequestGroup",
            "id": f"requests-{instance or 'person'}",
            "extension": side_extension(standing.pathway, instance),
            "instantiatesCanonical": [standing.pathway.canonical],
            "status": "draft",
            "intent": "proposal",
            "subject": {"reference": f"Patient/{patient}"},
            "encounter": {"reference": encounter} if encounter else None,
            "authoredOn": instant(standing.moment),
            "author": _author(practitioner),
            "note": [{"text": _stage(standing, instance, memory)}] if memory.stage else [],
            "action": [_action(resource) for resource in requests],
        }
    )


def _action(resource: Json) -> Json:
    concept = resource.get("code") or (resource.get("category") or [{}])[0]
    coding = (concept.get("coding") or [{}])[0]
    why = resource.get("description") or (resource.get("note") or [{}])[0].get("text")
    return present(
        {
            "title": concept.get("text") or coding.get("display"),
            "description": why,
            "priority": resource.get("priority"),
            "code": [concept],
            "resource": {"reference": f"#{resource['id']}"},
        }
    )


def _contained(resource: Json, requests: Mapping[str, Json], *, known: bool) -> Json:
    """Return a request as it stands inside: it refers to the others beside it."""
    kept = {n: v for n, v in resource.items() if n not in ("text", "meta") and (known or n not in OURS)}
    found = references.literal(kept)
    targets = {f.target: f"#{requests[f.target]['id']}" for f in found if f.target in requests}
    inside = references.replaced(kept, found, targets)
    if not known:
        # Who made it is here and nowhere else; that it is a plan's that is not stored, nobody can look up.
        inside |= {n: DEVICE | {"reference": None} for n in ("requester",) if n in inside}
        inside = {n: present(v) if n == "requester" else v for n, v in inside.items()}
        focus = inside.get("focus", {}).get("reference", "")
        if not focus.startswith("#") and not focus.startswith("Patient/"):
            inside.pop("focus", None)
    return inside


def _author(practitioner: str | None) -> Json:
    return {"reference": practitioner} if practitioner else {"display": DEVICE["display"]}


def _stages(standing: Standing) -> Iterator[str]:
    for instance in standing.pathway.instances:
        memory = standing.memories.get(instance, Memory())
        if memory.stage is not None:
            yield _stage(standing, instance, memory)
    if not any(standing.memories.get(i, Memory()).stage for i in standing.pathway.instances):
        yield "Nothing in the record opens this pathway."


def _stage(standing: Standing, instance: str, memory: Memory) -> str:
    words = narrative.side(standing.pathway, instance)
    title = standing.pathway.stages[memory.stage or ""].title
    return f"{words}: {title} since {memory.stage_since}."
