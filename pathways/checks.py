"""What a plan must hold before it may run: every name is known, every stage can be reached and left."""

import hashlib
from collections.abc import Iterator

from pathways.definition import Pathway, Rule
from pathways.effects import EFFECTS


def digest(text: str) -> str:
    """Return the SHA-256 of a definition, as the log records it."""
    return hashlib.sha256(text.encode()).hexdigest()


def reasons(pathway: Pathway) -> tuple[str, ...]:
    """Return why the plan cannot be run, a sentence each; empty when it can."""
    return tuple(
        reason
        for check in (_names, _qualifiers, _effects, _targets, _graph, _parameters, _citations, _texts)
        for reason in check(pathway)
    )


def expressions(rule: Rule) -> Iterator[str]:
    """Yield every CQL definition the rule names."""
    yield from rule.conditions
    yield from (e.value for e in rule.effects if e.value)
    yield from (n for n in (rule.target_expression, rule.once, rule.next_instant) if n)
    for output in rule.outputs:
        named = (output.when, output.priority, output.qualifiers, output.details, output.due, output.once)
        yield from (name for name in named if name)


def _names(pathway: Pathway) -> Iterator[str]:
    known = set(pathway.library.definitions)
    for rule in pathway.rules:
        for name in expressions(rule):
            if name not in known:
                yield f"{rule.id} names the CQL definition {name!r}, which does not exist"
    if pathway.precondition is not None and pathway.precondition not in known:
        yield f"the precondition {pathway.precondition!r} does not exist"


def _qualifiers(pathway: Pathway) -> Iterator[str]:
    known = {code for _, code in pathway.displays}
    for rule in pathway.rules:
        for output in rule.outputs:
            for code in output.reasons:
                if code not in known:
                    yield f"{rule.id} qualifies {output.activity.id} by {code!r}, which no code system has"


def _effects(pathway: Pathway) -> Iterator[str]:
    for rule in pathway.rules:
        for effect in rule.effects:
            if effect.kind not in EFFECTS:
                yield f"{rule.id} has the effect {effect.kind!r}, which does not exist"
            elif effect.kind == "set" and effect.name not in pathway.library.parameters:
                yield f"{rule.id} sets {effect.name!r}, which is no parameter of the rules"


def _targets(pathway: Pathway) -> Iterator[str]:
    for rule in pathway.rules:
        for stage in (*rule.stages, *((rule.target,) if rule.target else ())):
            if stage not in pathway.stages:
                yield f"{rule.id} names the stage {stage!r}, which does not exist"
        if rule.kind == "transition" and rule.target is None and rule.target_expression is None:
            yield f"{rule.id} leads nowhere"


def _graph(pathway: Pathway) -> Iterator[str]:
    moving = [r for r in pathway.rules if r.target or r.target_expression]
    for code in pathway.stages:
        if not any(r.target == code or r.target_expression for r in moving):
            yield f"the stage {code} cannot be reached"
        if not any((not r.stages or code in r.stages) and r.target != code for r in moving):
            yield f"the stage {code} is a dead end"


def _parameters(pathway: Pathway) -> Iterator[str]:
    for parameter in pathway.parameters.values():
        ranged = parameter.low is not None or parameter.allowed or parameter.type in {"boolean", "zone"}
        if not ranged:
            yield f"the parameter {parameter.name} has no range"
        if not parameter.source:
            yield f"the parameter {parameter.name} has no source"
    for profile, values in pathway.profiles.items():
        for name in values:
            if name not in pathway.parameters:
                yield f"the profile {profile} changes {name}, which does not exist"


def _citations(pathway: Pathway) -> Iterator[str]:
    for rule in pathway.rules:
        if not rule.citations:
            yield f"{rule.id} cites no source"


def text_keys(pathway: Pathway) -> set[str]:
    """Return the keys every language must have: stages, sides, rules, outputs, and the rules' conditions."""
    keys = {f"stage.{code}" for code in pathway.stages} | {
        f"side.{name}" for name in (*pathway.sides, "person")
    }
    keys |= {f"rule.{rule.id}" for rule in pathway.rules}
    for activity in pathway.activities.values():
        keys.add(f"output.{activity.id}")
        if activity.resource == "CommunicationRequest":
            keys.add(f"message.{activity.id}")
    keys |= {f"parameter.{name}" for name in pathway.parameters}
    keys |= {f"condition.{name}" for rule in pathway.rules for name in rule.conditions}
    return keys


def _texts(pathway: Pathway) -> Iterator[str]:
    for language, texts in pathway.texts.items():
        for key in sorted(text_keys(pathway) - set(texts)):
            yield f"the text {key} is missing in {language}"
