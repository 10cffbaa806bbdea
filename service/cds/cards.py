"""Cards: what the pathways propose for a patient, what is urgent, and what speaks against signing an order.

A card is known by an id that is derived from what it is about, so that the same advice, given twice, is the
same card, and feedback on it can be told from feedback on another.

https://cds-hooks.hl7.org/2.0/#card-attributes
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_profiles import definitions
from pathways import identity, narrative
from pathways.definition import Pathway
from pathways.memory import Order
from pathways.reconstruction import Standing
from pathways.signing import Objection, objections
from pathways.steps import PERSON
from service.cds import markdown
from service.cds.markdown import escaped
from service.consulting import Consultation

Json = dict[str, Any]

MOST_CHARACTERS = 139
#: priority of an order or a Flag -> how urgent the card is
INDICATORS = {"routine": "info", "urgent": "warning", "asap": "critical", "stat": "critical"}
REASONS = "https://w3id.org/hipway/CodeSystem/decision-reason"
#: what points to resources that only this service has
OURS = ("basedOn", "reasonReference", "relevantHistory")
ENDED = {
    "revoked": "superseded, the pathway has revoked its proposal",
    "completed": "such an order was carried out already",
}


def of_patient(consultation: Consultation, *, base: str) -> list[Json]:
    """Return what is urgent, then each proposal that nobody has signed.

    Args:
        base: of this service, without a slash at the end.
    """
    flags = [card for standing in consultation.standings for card in _flags(standing, consultation, base)]
    proposals = [
        _proposal(standing, instance, order, consultation, base)
        for standing in consultation.standings
        for instance, memory in sorted(standing.memories.items())
        for order in memory.orders
        if order.unsigned
    ]
    return [*flags, *proposals]


def of_orders(consultation: Consultation, orders: Sequence[Any], *, base: str) -> list[Json]:
    """Return what speaks against signing each of the orders; where nothing is known of one, no card."""
    return [
        _objection(standing, order.id, objection, consultation, base)
        for order in orders
        for standing in consultation.standings
        for objection in objections(standing, order)
    ]


def _proposal(standing: Standing, instance: str, order: Order, consultation: Consultation, base: str) -> Json:
    reference = f"ServiceRequest/{order.id}"
    resource = standing.own[reference]
    title = str(resource["code"]["text"])
    held = order.state == "on-hold"
    basis = standing.why.get((instance, order.step))
    lines = [*(markdown.reasons(basis) if basis else ())]
    holds = _holds(standing, instance) if held else []
    lines += markdown.listed("On hold, nothing is to be signed", [escaped(hold) for hold in holds])
    card = {
        "uuid": order.id,
        "summary": _short(
            f"{title}: proposed, {'on hold' if held else f'{order.priority}, needs a signature'}"
        ),
        "detail": _detail(standing, instance, lines),
        "indicator": "warning" if held else INDICATORS.get(order.priority, "info"),
        "source": _source(standing.pathway, standing.memories[instance].stage),
        "overrideReasons": _reasons(),
    }
    if not held:
        known = consultation.known
        card["suggestions"] = [
            {
                "label": _short(f"Draft: {title}"),
                "uuid": identity.derive("cds-suggestion", order.id),
                "actions": [
                    {
                        "type": "create",
                        "description": f"Create a draft of the order: {title}, {order.priority}",
                        "resource": _portable(resource, f"{base}/fhir/" if known else None),
                    }
                ],
            }
        ]
        card["selectionBehavior"] = "at-most-one"
    return card | _links(standing, instance, consultation, base)


def _flags(standing: Standing, consultation: Consultation, base: str) -> Iterator[Json]:
    for reference, body in sorted(standing.own.items()):
        if not reference.startswith("Flag/") or body["status"] != "active":
            continue
        named = [str(coding.get("display") or coding["code"]) for coding in body["code"]["coding"]]
        instance, basis = _origin(standing, reference)
        lines = [*(markdown.reasons(basis) if basis else ())]
        where = narrative.side(standing.pathway, instance)
        yield {
            "uuid": body["id"],
            "summary": _short(f"{where}: {', '.join(named)}"),
            "detail": _detail(standing, instance, lines),
            "indicator": "critical",
            "source": _source(standing.pathway, _stage(standing, instance)),
            "overrideReasons": _reasons(),
        } | _links(standing, instance, consultation, base)


def _objection(
    standing: Standing, order: str, objection: Objection, consultation: Consultation, base: str
) -> Json:
    side = standing.pathway.sides.get(objection.instance)
    title = narrative.named(objection.activity.title, side)
    named = ", ".join(objection.named)
    known = objection.order
    said = {
        "no-side": "names no side, so the pathway cannot check it",
        "lacking": f"not to be signed yet, missing: {named}",
        "held": f"not to be signed now, the plan is on hold: {named}",
        "signed": "such an order is signed already",
        "superseded": ENDED.get(known.state if known else "", "superseded"),
    }[objection.kind]
    basis = standing.why.get((objection.instance, known.step)) if known else None
    lines = [f"**{escaped(title)}**: {escaped(said)}"]
    if basis is not None:
        lines += ["", "It was proposed because:", "", *markdown.reasons(basis)]
    return {
        "uuid": identity.derive("cds-objection", order, objection.kind, objection.instance),
        "summary": _short(f"{title}: {said}"),
        "detail": _detail(standing, objection.instance, lines),
        "indicator": "warning",
        "source": _source(standing.pathway, _stage(standing, objection.instance)),
        "overrideReasons": _reasons(),
    } | _links(standing, objection.instance, consultation, base)


def _origin(standing: Standing, reference: str) -> tuple[str, Mapping[str, Any] | None]:
    """Return the instance and the basis of the step that wrote a resource, where that is known."""
    for (instance, _), basis in standing.why.items():
        if any(output["reference"] == reference for output in basis["outputs"]):
            return instance, basis
    body = standing.own[reference]
    own = {code for e in body.get("extension", ()) if (code := e.get("valueCoding", {}).get("code"))}
    sides = (name for name, side in standing.pathway.sides.items() if side.coding["code"] in own)
    return next(sides, PERSON), None


def _stage(standing: Standing, instance: str) -> str | None:
    memory = standing.memories.get(instance)
    return memory.stage if memory else None


def _holds(standing: Standing, instance: str) -> list[str]:
    memory = standing.memories[instance]
    return [str(standing.pathway.holds[hold.code]["display"]) for hold in memory.holds]


def _detail(standing: Standing, instance: str, lines: Sequence[str]) -> str:
    pathway = standing.pathway
    topics = _topics(pathway, _stage(standing, instance))
    evidence = [
        f"[{escaped(s['citation'])}](<{s['url']}>)" if s.get("url") else escaped(s["citation"])
        for s in _sources(pathway, topics)
    ]
    closing = [
        "",
        f"{escaped(pathway.title)}, {escaped(pathway.version)}. Not a decision: a clinician decides.",
    ]
    return "\n".join([*lines, *markdown.listed("Evidence", evidence), *closing]).strip()


def _source(pathway: Pathway, stage: str | None) -> Json:
    """Return what the advice rests on: the first source of the stage that can be read, else the pathway."""
    for source in _sources(pathway, _topics(pathway, stage)):
        if source.get("url"):
            return {"label": f"{pathway.title}: {source['citation']}", "url": source["url"]}
    return {"label": pathway.title, "url": pathway.url}


def _topics(pathway: Pathway, stage: str | None) -> list[Json]:
    return [topic for topic in pathway.evidence.get("topics", ()) if stage in topic.get("stages", ())]


def _sources(pathway: Pathway, topics: Sequence[Json]) -> list[Json]:
    numbers = {number for topic in topics for number in topic["sources"]}
    return [source for source in pathway.evidence["sources"] if source["number"] in numbers]


def _links(standing: Standing, instance: str, consultation: Consultation, base: str) -> Json:
    """Return the link to the plan's page, where the plan is stored here."""
    if not consultation.known or instance not in standing.case.memories or instance == PERSON:
        return {}
    plan = identity.derive(
        standing.case.tenant, consultation.patient, standing.pathway.name, instance, "CarePlan"
    )
    return {"links": [{"label": "Open the plan", "url": f"{base}/careplans/{plan}", "type": "absolute"}]}


def _portable(resource: Mapping[str, Any], base: str | None) -> Json:
    """Return a draft as another system can keep it: what it cannot follow is absolute, or left out.

    Args:
        base: of our resources; None where they are not stored.
    """
    draft = {name: value for name, value in resource.items() if name not in (*OURS, "requester")}
    for name in OURS if base else ():
        draft[name] = [{**each, "reference": f"{base}{each['reference']}"} for each in resource.get(name, ())]
    draft["requester"] = {"display": resource["requester"]["display"]}
    return {name: value for name, value in draft.items() if value != []}


def _reasons() -> list[Json]:
    return [
        {"system": system, "code": code, "display": display}
        for (system, code), display in definitions.displays().items()
        if system == REASONS
    ]


def _short(words: str) -> str:
    return words if len(words) <= MOST_CHARACTERS else f"{words[: MOST_CHARACTERS - 1]}…"
