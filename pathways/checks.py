"""What a plan must hold before it may run: every name is known, every stage can be reached and left."""

import hashlib
from collections.abc import Iterator, Mapping, Set
from typing import Any, get_args

from pathways import wording
from pathways.definition import Pathway, Rule
from pathways.effects import EFFECTS
from pathways.values import OF_SIDES, Issue


def digest(text: str) -> str:
    """Return the SHA-256 of a definition, as the log records it."""
    return hashlib.sha256(text.encode()).hexdigest()


def reasons(pathway: Pathway) -> tuple[str, ...]:
    """Return why the plan cannot be run, a sentence each; empty when it can."""
    return tuple(reason for check in CHECKS for reason in check(pathway))


def expressions(rule: Rule) -> Iterator[tuple[str, str | None]]:
    """Yield every CQL definition the rule names, and the type its value must have; None: any."""
    for name in rule.conditions:
        # A hold is set for each of the codes that its condition lists.
        yield name, "List<String>" if rule.kind == "hold" else "Boolean"
    yield from ((effect.value, None) for effect in rule.effects if effect.value)
    yield from _named(
        (rule.target_expression, "String"), (rule.once, "String"), (rule.next_instant, "DateTime")
    )
    for output in rule.outputs:
        yield from _named(
            (output.when, "Boolean"),
            (output.priority, "String"),
            (output.qualifiers, "List<String>"),
            (output.details, "List<String>"),
            (output.due, "Date"),
            (output.once, "String"),
        )


def _named(*places: tuple[str | None, str]) -> Iterator[tuple[str, str | None]]:
    return ((name, type_) for name, type_ in places if name)


def _definitions(pathway: Pathway) -> Iterator[str]:
    wanted = [(rule.id, name, type_) for rule in pathway.rules for name, type_ in expressions(rule)]
    if pathway.precondition is not None:
        wanted.append(("the precondition of a signature", pathway.precondition, "List<String>"))
    for place, name, type_ in wanted:
        if name not in pathway.library.definitions:
            yield f"{place} names the CQL definition {name!r}, which does not exist"
        elif type_ and (found := pathway.library.result_type(name)) != type_:
            yield f"{place} needs {type_}, and the CQL definition {name!r} is {found or 'of no stated type'}"


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
    """What a rule may do wherever an instance is, as a clinician's re-entry, makes no way of the plan."""
    ways = {code: set[str]() for code in pathway.stages}
    for rule in pathway.rules:
        for stage in rule.stages:
            ways.setdefault(stage, set()).update(_leads_to(pathway, rule) - {stage})
    reached = {rule.target for rule in pathway.of_kind("opening") if rule.target}
    if not reached:
        yield "no rule opens an instance"
    waiting = list(reached)
    while waiting:
        found = ways.get(waiting.pop(), set()) - reached
        reached |= found
        waiting += found
    for code in pathway.stages:
        if code not in reached:
            yield f"the stage {code} cannot be reached"
        if not ways[code]:
            yield f"the stage {code} is a dead end"


def _leads_to(pathway: Pathway, rule: Rule) -> set[str]:
    """Return the stages a rule may lead to; of a computed target, those that its definition names."""
    named = {rule.target or ""}
    if rule.target_expression in pathway.library.definitions:
        named = set(_texts_in(pathway, pathway.library.nodes[rule.target_expression]))
    return named & pathway.stages.keys()


def _texts_in(pathway: Pathway, node: object) -> Iterator[str]:
    """Yield the texts a definition writes out, itself or through the definitions it names."""
    if isinstance(node, list):
        for part in node:
            yield from _texts_in(pathway, part)
    elif isinstance(node, dict):
        if node.get("type") == "Literal" and str(node.get("valueType")).endswith("}String"):
            yield str(node["value"])
        elif node.get("type") == "ExpressionRef":
            yield from _texts_in(pathway, pathway.library.nodes[pathway.library.full_name(node)])
        for part in node.values():
            yield from _texts_in(pathway, part)


def _issues(pathway: Pathway) -> Iterator[str]:
    """What cannot be used is told: each reason for it needs its issue, and the Task that asks a person."""
    issues = {a.code: a for a in pathway.activities.values() if a.resource == "DetectedIssue"}
    tasks = {a.code for a in pathway.activities.values() if a.resource == "Task"}
    for code in get_args(Issue):
        if code in OF_SIDES and not pathway.sides:
            continue
        if code not in issues:
            yield f"no DetectedIssue says {code}"
        elif issues[code].task not in tasks:
            yield f"the DetectedIssue {code} has no Task"


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
    # What stands in the definition in its own language is needed in every other one.
    own = set(wording.own_texts(pathway))
    for language, texts in pathway.texts.items():
        wanted = text_keys(pathway) | (set() if language == wording.OWN else own)
        for key in sorted(wanted - set(texts)):
            yield f"the text {key} is missing in {language}"


def _evidence(pathway: Pathway) -> Iterator[str]:
    known = {source["number"] for source in pathway.evidence["sources"]}
    for topic in pathway.evidence.get("topics", ()):
        for stage in topic.get("stages", ()):
            if stage not in pathway.stages:
                yield f"the evidence {topic['topic']!r} names the stage {stage!r}, which does not exist"
        for number in topic["sources"]:
            if number not in known:
                yield f"the evidence {topic['topic']!r} names the source {number}, which does not exist"


def _charts(pathway: Pathway) -> Iterator[str]:
    """Yield what a chart cannot draw: an input without a scale, a limit that nothing gives a value."""
    charts = pathway.inputs.get("charts", {})
    ranges = {i["id"]: i["value"].get("range") for i in pathway.inputs["inputs"]}
    start = charts.get("weeksFrom")
    if start is not None and start not in pathway.library.parameters:
        yield f"the charts begin at {start!r}, which nothing remembers"
    for chart in charts.get("inputs", ()):
        if not isinstance(ranges.get(chart["input"]), list):
            yield f"the chart of {chart['input']!r} has no scale: it is no input with a range"
        for name in chart.get("limits", ()):
            if name not in pathway.parameters and name not in pathway.library.phrases:
                yield f"the chart of {chart['input']!r} names the limit {name!r}, which nothing gives a value"
    if "course" in charts:
        yield from _course(pathway, charts["course"], set(ranges))


def _course(pathway: Pathway, course: Mapping[str, Any], inputs: Set[str]) -> Iterator[str]:
    """Yield what the course of a programme names and nothing has."""
    counted = course["counted"]
    if counted["input"] not in inputs:
        yield f"the course of the charts counts {counted['input']!r}, which is no input"
    for name in (course["weeks"], counted["value"]):
        if name not in pathway.library.public:
            yield f"the course of the charts asks for {name!r}, which no rule defines"
    for name in (course["marks"]["every"], counted["enough"]):
        if name not in pathway.parameters:
            yield f"the course of the charts names the limit {name!r}, which is no parameter"
    if course["attested"]["remembered"] not in pathway.library.parameters:
        yield f"the course of the charts reads {course['attested']['remembered']!r}, which nothing remembers"


CHECKS = (
    _definitions,
    _qualifiers,
    _effects,
    _targets,
    _graph,
    _issues,
    _parameters,
    _citations,
    _evidence,
    _charts,
    _texts,
)
