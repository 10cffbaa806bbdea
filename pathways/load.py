"""Reading a pathway from its folder. A plan that cannot be run is refused, with every reason at once.

plan_definition.json  activity_definitions.json  order_sets.json  rules.cql + rules.elm.json
inputs.json  parameters.json  evidence.json  texts.en.json  texts.de.json
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from fhir_profiles import canonical, definitions
from pathways import checks, cql, structure
from pathways.definition import (
    EVERY_STAGE,
    Activity,
    Effect,
    Output,
    Parameter,
    Pathway,
    Rule,
    RuleKind,
    Side,
    Stage,
)
from pathways.inputs import Gate
from pathways.record import Json

BASE = canonical.structure("")
LANGUAGES = ("en", "de")
FILES = (
    "plan_definition.json",
    "activity_definitions.json",
    "order_sets.json",
    "rules.cql",
    "rules.elm.json",
    "inputs.json",
    "parameters.json",
    "evidence.json",
    *(f"texts.{language}.json" for language in LANGUAGES),
)


class InvalidPathway(Exception):
    """A plan that cannot be run. `reasons` are sentences for its author."""

    def __init__(self, folder: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{folder}: " + "; ".join(reasons))
        self.reasons = reasons


def load(folder: Path) -> Pathway:
    """Return the pathway in this folder.

    Raises:
        InvalidPathway: with all reasons.
        cql.Refused: the library cannot be evaluated.
    """
    missing = tuple(f"the file {name} is missing" for name in FILES if not (folder / name).is_file())
    if missing:
        raise InvalidPathway(folder.name, missing)
    elm_text = (folder / "rules.elm.json").read_text(encoding="utf-8")
    cql_text = (folder / "rules.cql").read_text(encoding="utf-8")
    elm = cql.read(elm_text)
    if not cql.matches(elm, cql_text):
        raise InvalidPathway(folder.name, ("rules.elm.json is not the translation of rules.cql",))
    plan = _json(folder / "plan_definition.json")
    given = _json(folder / "activity_definitions.json")
    table = _json(folder / "parameters.json")
    if faults := structure.faults(plan, given, table["parameters"]):
        raise InvalidPathway(folder.name, faults)
    activities = {a["url"]: _activity(a) for a in given}
    order_sets = {p["url"]: p for p in _json(folder / "order_sets.json")}
    inputs = _json(folder / "inputs.json")
    reader = _Reader(activities, order_sets)
    pathway = Pathway(
        name=plan["id"],
        version=plan["version"],
        url=plan["url"],
        title=plan["title"],
        status=plan["status"],
        stages={a["id"]: _stage(a) for a in plan["action"] if a["id"] != EVERY_STAGE},
        rules=tuple(sorted(reader.rules(plan), key=lambda rule: rule.order)),
        activities={a.id: a for a in activities.values()},
        goals={g["id"]: g for g in plan.get("goal", ())},
        sides={s.name: s for s in _sides(plan)},
        category=_one(plan, "plan-category")["valueCodeableConcept"],
        condition=_one(plan, "plan-condition")["valueCodeableConcept"],
        holds={e["valueCoding"]["code"]: e["valueCoding"] for e in _all(plan, "hold-code")},
        kept={
            _part(e, "name")["valueString"]: _part(e, "extension")["valueUri"]
            for e in _all(plan, "kept-value")
        },
        precondition=_expression(plan, "signature-precondition"),
        inputs=inputs,
        gate=Gate(inputs),
        parameters={p["name"]: _parameter(p) for p in table["parameters"]},
        profiles=table["profiles"],
        default_profile=table["defaultProfile"],
        library=cql.load(elm),
        elm_hash=checks.digest(elm_text),
        cql_text=cql_text,
        texts={language: _json(folder / f"texts.{language}.json") for language in LANGUAGES},
        evidence=_json(folder / "evidence.json"),
        displays=definitions.displays(),
    )
    reasons = (*reader.reasons, *checks.reasons(pathway))
    if reasons:
        raise InvalidPathway(folder.name, reasons)
    return pathway


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


class _Reader:
    """Reads actions, following canonicals to activities and order sets; collects what is missing."""

    def __init__(self, activities: Mapping[str, Activity], order_sets: Mapping[str, Json]) -> None:
        self._activities = activities
        self._order_sets = order_sets
        self.reasons: list[str] = []

    def rules(self, plan: Json) -> Iterator[Rule]:
        """Yield the rules of all stages."""
        for stage in plan["action"]:
            for action in stage.get("action", ()):
                yield self._rule(action, stage["id"])

    def _rule(self, action: Json, stage: str) -> Rule:
        leaves = tuple(e["valueCode"] for e in _all(action, "action-leaves"))
        expression = _expression(action, "action-target")
        kind = cast("RuleKind", _one(action, "action-kind")["valueCode"])
        related = action.get("relatedAction", [{}])[0].get("actionId")
        return Rule(
            id=action["id"],
            code=action["code"][0]["coding"][0]["code"],
            title=action["title"],
            kind=kind,
            order=_one(action, "action-order")["valueInteger"],
            stages=leaves or (() if stage == EVERY_STAGE else (stage,)),
            conditions=tuple(c["expression"]["expression"] for c in action.get("condition", ())),
            target=related,
            target_expression=expression,
            outputs=tuple(o for a in action.get("action", ()) for o in self._outputs(a, None)),
            effects=tuple(_effect(e) for e in _all(action, "action-effect")),
            goals=tuple(action.get("goalId", ())),
            once=_expression(action, "action-once"),
            for_each=(_first(action, "action-for-each") or {}).get("valueCode"),
            next_instant=_expression(action, "action-next-instant"),
            despite_holds=(_first(action, "action-despite-holds") or {}).get("valueBoolean", False),
            trigger=action.get("trigger", [{}])[0].get("name"),
            focus=(_first(action, "decision-focus") or {}).get("valueCode"),
            reason_required=(_first(action, "decision-reason") or {}).get("valueBoolean", False),
            orders=tuple(e["valueCode"] for e in _all(action, "decision-orders")),
            order_states=tuple(e["valueCode"] for e in _all(action, "decision-order-state")),
            takes_stage=(_first(action, "decision-takes-stage") or {}).get("valueBoolean", False),
            event=(_first(action, "decision-event") or {}).get("valueCode", "clinician-decision"),
            of_person=(_first(action, "action-of-person") or {}).get("valueBoolean", False),
            correction=(_first(action, "action-correction") or {}).get(
                "valueCode", "stands" if kind == "decision" else "test"
            ),
            citations=tuple(d["citation"] for d in action.get("documentation", ())),
        )

    def _outputs(self, action: Json, priority: str | None) -> Iterator[Output]:
        canonical = action["definitionCanonical"].partition("|")[0]
        priority = _expression(action, "output-priority") or priority
        if canonical in self._order_sets:
            for part in self._order_sets[canonical]["action"]:
                yield from self._outputs(part, priority)
        elif canonical in self._activities:
            yield Output(
                activity=self._activities[canonical],
                when=next((c["expression"]["expression"] for c in action.get("condition", ())), None),
                priority=priority,
                qualifiers=_expression(action, "output-qualifiers"),
                details=_expression(action, "output-details"),
                due=_expression(action, "output-due"),
                once=_expression(action, "output-once"),
                reasons=tuple(c["code"] for r in action.get("reason", ()) for c in r["coding"]),
            )
        else:
            self.reasons.append(f"the definition {canonical} is missing")


def _stage(action: Json) -> Stage:
    return Stage(
        code=action["id"],
        title=action["title"],
        open=(_first(action, "stage-open") or {}).get("valueBoolean", False),
        plan_status=_one(action, "stage-plan-status")["valueCode"],
    )


def _effect(extension: Json) -> Effect:
    return Effect(
        kind=_part(extension, "kind")["valueCode"],
        name=(_maybe(extension, "name") or {}).get("valueString"),
        value=((_maybe(extension, "value") or {}).get("valueExpression") or {}).get("expression"),
        codes=tuple(e["valueCode"] for e in extension["extension"] if e["url"] == "code"),
    )


def _activity(a: Json) -> Activity:
    participant = a.get("participant", [{}])[0]
    sides = {
        _part(e, "side")["valueCode"]: tuple(_part(e, "code")["valueCodeableConcept"]["coding"])
        for e in _all(a, "code-by-side")
    }
    return Activity(
        id=a["id"],
        canonical=f"{a['url']}|{a['version']}",
        shorthand=_one(a, "output-shorthand")["valueCode"],
        resource=a.get("kind") or _one(a, "output-resource")["valueCode"],
        title=a["title"],
        codings=tuple(a.get("code", {}).get("coding", ())),
        codings_by_side=sides,
        categories=tuple(e["valueCoding"] for e in _all(a, "output-category")),
        priority=a.get("priority"),
        role=participant["role"]["coding"][0] if "role" in participant else None,
        due=a.get("timingDuration"),
        due_by_priority={
            _part(e, "priority")["valueCode"]: _part(e, "within")["valueDuration"]
            for e in _all(a, "due-by-priority")
        },
        focus=(_first(a, "task-focus") or {}).get("valueCode"),
        signing_task=(_first(a, "signing-task") or {}).get("valueCode"),
        severity=(_first(a, "issue-severity") or {}).get("valueCode"),
        task=(_first(a, "issue-task") or {}).get("valueCode"),
    )


def _parameter(p: Json) -> Parameter:
    return Parameter(
        name=p["name"],
        type=p["type"],
        default=Decimal(p["default"]) if p["type"] == "decimal" else p["default"],
        low=Decimal(p["low"]) if "low" in p else None,
        high=Decimal(p["high"]) if "high" in p else None,
        allowed=tuple(p.get("allowed", ())),
        unit=p["unit"],
        source=p.get("basis", ""),
        two_people=p.get("twoPeople", False),
    )


def _sides(plan: Json) -> Iterator[Side]:
    for extension in _all(plan, "plan-side"):
        codings = tuple(e["valueCoding"] for e in extension["extension"] if e["url"] == "coding")
        yield Side(name=_part(extension, "side")["valueCode"], codings=codings)


def _all(element: Json, name: str) -> Iterator[Json]:
    return (e for e in element.get("extension", ()) if e["url"] == BASE + name)


def _first(element: Json, name: str) -> Json | None:
    return next(_all(element, name), None)


def _one(element: Json, name: str) -> Json:
    return next(_all(element, name))


def _maybe(extension: Json, url: str) -> Json | None:
    return next((e for e in extension["extension"] if e["url"] == url), None)


def _part(extension: Json, url: str) -> Json:
    return next(e for e in extension["extension"] if e["url"] == url)


def _expression(element: Json, name: str) -> str | None:
    found = _first(element, name)
    return found["valueExpression"]["expression"] if found else None
