"""A pathway as a document: its stages with who is in them, each step with its conditions and sources."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pathways import parameters
from pathways.definition import Activity, Parameter, Pathway, Rule, RuleKind
from service.web import elements, evidence, offers, stage_map
from service.web.evidence import Source, Topic
from service.web.stage_map import Numbers, StageMap
from service.web.values import Change
from service.web.words import Words

#: the steps that lead out of a stage, and everything else a pathway does by itself
STEPS: tuple[RuleKind, ...] = ("opening", "transition", "decision")
STANDING: tuple[RuleKind, ...] = ("hold", "check", "early", "quiet", "standing", "blocked")

_DEFINE = re.compile(r'^define (?:function )?"(?P<name>[^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a step, in words and as it is asked."""

    text: str
    cql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule, as a clinician reads it."""

    id: str
    code: str
    title: str
    leads_to: str
    by_person: bool
    conditions: tuple[Condition, ...]
    raises: tuple[str, ...]
    #: what it rests on: numbers of `Document.sources`, and what has no number in words
    numbers: tuple[str, ...]
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage, how many are in it, and the steps that apply there, in the order in which they are asked."""

    code: str
    title: str
    numbers: Numbers
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value that a site may change. `changed`: it is another one here."""

    name: str
    text: str
    here: str
    default: str
    range: str
    unit: str
    source: str
    changed: bool
    #: a mistake could harm: two people change it
    two_people: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something the pathway asks of somebody, or tells somebody."""

    title: str
    type: str
    role: str
    due: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The page."""

    title: str
    version: str
    status: str
    approved: bool
    canonical: str
    digest: str
    profile: str
    stages: tuple[Stage, ...]
    map: StageMap
    #: the filter of lists: empty where there is one pathway
    only: str
    everywhere: tuple[Step, ...]
    standing: tuple[Step, ...]
    values: tuple[Value, ...]
    #: how the values came to be what they are, newest first
    changes: tuple[Change, ...]
    work: tuple[Work, ...]
    topics: tuple[Topic, ...]
    sources: tuple[Source, ...]


def build(
    pathway: Pathway,
    chosen: Mapping[str, Any],
    numbers: Mapping[str, Numbers],
    words: Words,
    *,
    changes: Sequence[Change] = (),
    only: str = "",
) -> Document:
    """Return the document.

    Args:
        pathway: with its titles in the language of the page.
        chosen: what the site has set, of this and of other pathways.
        numbers: the plans of each stage, by its code.
        changes: of its values, newest first.
        only: the name of the pathway where there are several.
    """
    said = snippets(pathway.cql_text)
    sources = evidence.sources(pathway)
    known = frozenset(source.number for source in sources)
    ours = parameters.concerning(pathway, chosen)
    steps = [(rule, _step(rule, pathway, said, known, words)) for rule in pathway.of_kind(*STEPS)]
    return Document(
        title=pathway.title,
        version=pathway.version,
        status=words.code("status", pathway.status),
        approved=pathway.status == "active",
        canonical=pathway.canonical,
        digest=pathway.elm_hash,
        profile=str(ours.get(parameters.PROFILE, pathway.default_profile)),
        stages=tuple(
            Stage(
                code=stage.code,
                title=pathway.text(words.language, f"stage.{stage.code}"),
                numbers=numbers[stage.code],
                steps=tuple(step for rule, step in steps if stage.code in rule.stages),
            )
            for stage in pathway.stages.values()
        ),
        map=stage_map.draw(pathway, offers.stages(pathway), numbers, words),
        only=only,
        everywhere=tuple(step for rule, step in steps if not rule.stages),
        standing=tuple(_step(rule, pathway, said, known, words) for rule in pathway.of_kind(*STANDING)),
        values=values(pathway, ours, words),
        changes=tuple(changes),
        work=tuple(_work(activity, pathway, words) for activity in pathway.activities.values()),
        topics=evidence.topics(pathway),
        sources=sources,
    )


def snippets(cql_text: str) -> dict[str, str]:
    """Return each definition of a library as it is written, by name."""
    found = list(_DEFINE.finditer(cql_text))
    ends = [*(match.start() for match in found[1:]), len(cql_text)]
    return {
        match["name"]: _without_what_follows(cql_text[match.start() : end])
        for match, end in zip(found, ends, strict=True)
    }


def _without_what_follows(text: str) -> str:
    """Return a definition without the comments that belong to the next one."""
    lines = text.rstrip().split("\n")
    while lines and (not lines[-1].strip() or lines[-1].startswith(("//", "/*", "*", " *"))):
        lines.pop()
    return "\n".join(lines)


def _step(
    rule: Rule, pathway: Pathway, said: Mapping[str, str], known: Collection[str], words: Words
) -> Step:
    language = words.language
    target = rule.target if rule.target in pathway.stages else None
    texts = pathway.texts[language]
    return Step(
        id=rule.id,
        code=rule.code,
        title=texts.get(f"rule.{rule.id}", rule.title),
        leads_to=pathway.text(language, f"stage.{target}") if target else "",
        by_person=rule.kind == "decision",
        conditions=tuple(
            Condition(
                text=elements.capital(pathway.text(language, f"condition.{name}")), cql=said.get(name, "")
            )
            for name in rule.conditions
        ),
        raises=tuple(dict.fromkeys(pathway.text(language, f"output.{o.activity.id}") for o in rule.outputs)),
        numbers=tuple(cited for cited in rule.citations if cited in known),
        sections=tuple(cited for cited in rule.citations if cited not in known),
    )


def values(pathway: Pathway, chosen: Mapping[str, Any], words: Words) -> tuple[Value, ...]:
    """Return the values of the site, in the order of the definition.

    Args:
        chosen: what the site has set of this pathway.
    """
    here = parameters.resolve(pathway, chosen)
    return tuple(value(pathway, name, here[name], words) for name in pathway.parameters)


def value(pathway: Pathway, name: str, here: object, words: Words) -> Value:
    """Return one value of the site.

    Args:
        here: what it is at this site.
    """
    parameter = pathway.parameters[name]
    return Value(
        name=name,
        text=elements.capital(pathway.text(words.language, f"parameter.{name}")),
        here=say(here, words),
        default=say(parameter.default, words),
        range=_range(parameter, words),
        unit=words.code("unit", parameter.unit) if parameter.low is not None else "",
        source=parameter.source,
        changed=name in parameters.changed(pathway, {name: here}),
        two_people=parameter.two_people,
    )


def _range(parameter: Parameter, words: Words) -> str:
    if parameter.low is not None and parameter.high is not None:
        low, high = (words.number(float(bound)) for bound in (parameter.low, parameter.high))
        return words("inbox.needs.out-of-range", low=low, high=high)
    if parameter.type == "boolean":
        return f"{words('yes')}, {words('no')}"
    return ", ".join(parameter.allowed) or words("doc.any_zone")


def say(value: object, words: Words) -> str:
    """Return a value in words."""
    if isinstance(value, bool):
        return words("yes" if value else "no")
    return words.number(float(value)) if isinstance(value, (int, float, Decimal)) else str(value)


def _work(activity: Activity, pathway: Pathway, words: Words) -> Work:
    return Work(
        title=pathway.text(words.language, f"output.{activity.id}"),
        type=activity.resource,
        role=str((activity.role or {}).get("display", "")),
        due=_due(activity, words),
    )


def _due(activity: Activity, words: Words) -> str:
    """Return after how long it is due, by its priority where that counts."""
    whole = [activity.due] if activity.due else []
    by_priority = [
        f"{_duration(due, words)} ({words.code('urgency', priority)})"
        for priority, due in activity.due_by_priority.items()
    ]
    return ", ".join([*(_duration(due, words) for due in whole), *by_priority])


def _duration(due: Mapping[str, Any], words: Words) -> str:
    unit = str(due.get("unit") or due.get("code", ""))
    return f"{due.get('value')} {words.code('unit', unit)}".strip()
