"""A FHIR resource in one short word: `R:SR:MRI(routine)`.

    output = [ side ":" ] kind ":" code [ "(" detail ")" ]
    kind   = SR proposal | TK Task | CM message | DI data problem | FL flag | AU event | PV correction

Qualifiers and flags are kept in the order in which the resource has them: that order is part
of what a service promises.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

#: (system, code) -> the short name of an order
Orders = Mapping[tuple[str, str], str]

BASE = "https://w3id.org/hipway"

#: kind, element with the code, code system
_KINDS = {
    "Task": ("TK", "code", "pathway-task"),
    "CommunicationRequest": ("CM", "category", "pathway-message"),
    "DetectedIssue": ("DI", "code", "pathway-issue"),
    "Flag": ("FL", "code", "pathway-reason"),
    "AuditEvent": ("AU", "type", "pathway-event"),
    "Provenance": ("PV", "activity", "pathway-rule"),
}

#: the only Provenances that are outputs of their own; all others explain one
_CORRECTIONS = ("revoke-drafts", "upgrade-urgent")

#: the rule among T01 to T21 that changes no stage
_NO_CHANGE = "T12"


def output(resource: Json, orders: Orders) -> str | None:
    """Return the shorthand of an output; None if the resource is not counted as one."""
    if resource["resourceType"] == "ServiceRequest":
        return _proposal(resource, orders)
    if resource["resourceType"] not in _KINDS:
        return None
    kind, element, system = _KINDS[resource["resourceType"]]
    code = coded(resource.get(element), system)
    if code is None or (kind == "PV" and code not in _CORRECTIONS):
        return None
    detail = ",".join(_codes(resource.get("reasonCode"))) if kind == "TK" else ""
    return _joined(resource, f"{kind}:{code}", detail)


def transition(provenance: Json) -> str | None:
    """Return `R:T06` for the Provenance of a change of stage; None for any other."""
    code = coded(provenance.get("activity"), "pathway-rule")
    if code is None or code == _NO_CHANGE or not (code[0] == "T" and code[1:].isdigit()):
        return None
    return _joined(provenance, code, "")


def stage(plan: Json) -> str | None:
    """Return the stage that a CarePlan shows."""
    found = extension(plan, "pathway-stage")
    return str(found["valueCoding"]["code"]) if found else None


def holds(plan: Json) -> tuple[str, ...]:
    """Return the holds that a CarePlan shows, sorted: `contradictory:code`."""
    found = []
    for hold in plan.get("extension", ()):
        if hold.get("url") == f"{BASE}/StructureDefinition/pathway-hold":
            parts = {part["url"]: part for part in hold["extension"]}
            named = [parts[name]["valueCoding"]["code"] for name in ("type", "input") if name in parts]
            found.append(":".join(named))
    return tuple(sorted(found))


def side(resource: Json) -> str | None:
    """Return the word for the side a resource is about; None: it is about the person or the data."""
    found = extension(resource, "pathway-side")
    return str(found["valueCoding"]["code"]).rpartition("-")[2] if found else None


def coded(concepts: Any, system: str) -> str | None:
    """Return the code that one or several CodeableConcepts, or a Coding, have from one of our systems."""
    for concept in concepts if isinstance(concepts, list) else [concepts or {}]:
        for coding in concept.get("coding", [concept]):
            if coding.get("system") == f"{BASE}/CodeSystem/{system}":
                return str(coding["code"])
    return None


def extension(resource: Json, name: str) -> Json | None:
    """Return the first extension of one of our names."""
    url = f"{BASE}/StructureDefinition/{name}"
    return next((found for found in resource.get("extension", ()) if found.get("url") == url), None)


def _proposal(resource: Json, orders: Orders) -> str | None:
    if resource.get("intent") != "proposal":
        return None
    codings = resource.get("code", {}).get("coding", ())
    keys = [(coding.get("system", ""), coding.get("code", "")) for coding in codings]
    name = next((orders[key] for key in keys if key in orders), None)
    if name is None:
        # Shown, so that an order nobody knows is a difference and not a gap.
        name = f"unknown-{keys[0][1]}" if keys else "without-code"
    flags = "+".join(_codes(resource.get("orderDetail")))
    priority = str(resource.get("priority", "without-priority"))
    return _joined(resource, f"SR:{name}", f"{priority};{flags}" if flags else priority)


def _codes(concepts: Any) -> Iterator[str]:
    for concept in concepts if isinstance(concepts, list) else [concepts or {}]:
        for coding in concept.get("coding", ()):
            # An additional coding of another system says the same again.
            if str(coding.get("system", "")).startswith(f"{BASE}/CodeSystem/"):
                yield str(coding["code"])


def _joined(resource: Json, name: str, detail: str) -> str:
    where = side(resource)
    letter = f"{where[0].upper()}:" if where else ""
    return f"{letter}{name}({detail})" if detail else f"{letter}{name}"
