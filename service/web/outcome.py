"""What became of a decision made on a page: applied, not applicable, or not confirmed yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.web import elements
from service.web.elements import Json
from service.web.moments import Moments
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The receipt of a decision. `state`: applied, refused or checking."""

    state: str
    id: str
    title: str
    focus: str
    at: str
    who: str
    reason: str
    why: str


def read(
    resources: Mapping[str, Sequence[Json]],
    names: Mapping[str, str],
    decision: str,
    when: Moments,
    words: Words,
) -> Outcome | None:
    """Return what became of the decision with this id; None if this patient has no such decision.

    Args:
        resources: of the patient, as `queries.of_patient` returns them.
        names: of those who decided, by reference.
    """
    task = next((d for d in resources.get("decision", ()) if d["id"] == decision), None)
    if task is None:
        return None
    audit = _audit(resources, f"Task/{decision}")
    state = "checking" if audit is None else "applied" if audit.get("outcome", "0") == "0" else "refused"
    owner = elements.reference(task.get("owner"))
    return Outcome(
        state=state,
        id=decision,
        title=elements.say(words.reworded(task.get("code"))),
        focus=_named(resources, elements.reference(task.get("focus")), words),
        at=when.said(task.get("lastModified")),
        who=str(task.get("owner", {}).get("display") or names.get(owner) or owner),
        reason=elements.say(words.reworded(task.get("reasonCode"))),
        why=_lacking(resources, task, words) or words.said(str((audit or {}).get("outcomeDesc") or "")),
    )


def _lacking(resources: Mapping[str, Sequence[Json]], decision: Json, words: Words) -> str:
    """Return what was missing: the qualifiers of the Task that a blocked signature raised."""
    focus = elements.reference(decision.get("focus"))
    found = [
        word.text
        for task in resources.get("Task", ())
        if elements.reference(task.get("focus")) == focus and not elements.orders_to_sign(task)
        for word in elements.words(words.reworded(task.get("reasonCode")))
    ]
    return ", ".join(dict.fromkeys(found))


def _audit(resources: Mapping[str, Sequence[Json]], task: str) -> Json | None:
    for audit in resources.get("AuditEvent", ()):
        if any(elements.reference(entity.get("what")) == task for entity in audit.get("entity", ())):
            return audit
    return None


def _named(resources: Mapping[str, Sequence[Json]], focus: str, words: Words) -> str:
    kind, _, id_ = focus.partition("/")
    for resource in resources.get(kind, ()):
        if resource["id"] == id_:
            side = elements.side({"extension": words.reworded(resource.get("extension", []))})
            title = elements.say(words.reworded(resource.get("code"))) or words.said(
                str(resource.get("title", ""))
            )
            return elements.named(title, side, words)
    return focus
