"""What the files of a pathway must hold before they can be read at all: elements and extensions, by place.

The shapes are those of AUTHORING.md. Whether names, stages and conditions fit together is asked later, by
`checks`, of what was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_profiles import canonical
from pathways.definition import EVERY_STAGE

BASE = canonical.structure("")
Json = dict[str, Any]

#: of elements with parts: the parts that each must have
PARTS: Mapping[str, tuple[str, ...]] = {
    "plan-side": ("side",),
    "kept-value": ("name", "extension"),
    "action-effect": ("kind",),
    "code-by-side": ("side", "code"),
    "due-by-priority": ("priority", "within"),
}
PLAN = ("id", "version", "url", "title", "status", "action")
PLAN_EXTENSIONS = ("plan-category", "plan-condition")
STAGE = ("id", "title")
STAGE_EXTENSIONS = ("stage-plan-status",)
RULE = ("id", "title", "code")
RULE_EXTENSIONS = ("action-kind", "action-order")
OUTPUT = ("definitionCanonical",)
ACTIVITY = ("id", "url", "version", "title")
PARAMETER = ("name", "type", "default", "unit")


def faults(plan: Json, activities: Sequence[Json], parameters: Sequence[Json]) -> tuple[str, ...]:
    """Return what is missing, a sentence each."""
    return (
        *_lacks("the plan", plan, PLAN, PLAN_EXTENSIONS),
        *(fault for action in plan.get("action", ()) for fault in _stage(action)),
        *(fault for activity in activities for fault in _activity(activity)),
        *(fault for one in parameters for fault in _lacks(_called("parameter", one, "name"), one, PARAMETER)),
    )


def _stage(action: Json) -> Iterator[str]:
    # The action that holds the rules of all stages is no stage.
    extensions = () if action.get("id") == EVERY_STAGE else STAGE_EXTENSIONS
    yield from _lacks(_called("stage", action, "id"), action, STAGE, extensions)
    for rule in action.get("action", ()):
        place = _called("rule", rule, "id")
        yield from _lacks(place, rule, RULE, RULE_EXTENSIONS)
        for output in rule.get("action", ()):
            yield from _lacks(f"an output of {place}", output, OUTPUT)


def _activity(activity: Json) -> Iterator[str]:
    extensions = ("output-shorthand", *(() if activity.get("kind") else ("output-resource",)))
    yield from _lacks(_called("definition", activity, "id"), activity, ACTIVITY, extensions)


def _lacks(place: str, element: Json, names: Sequence[str], extensions: Sequence[str] = ()) -> Iterator[str]:
    """Yield each element and extension that is missing, and each missing part of the extensions there are."""
    for name in names:
        # An empty text is no text; a value may be 0 or false.
        if element.get(name) in (None, "", [], {}):
            yield f"{place} has no {name}"
    present = list(element.get("extension", ()))
    urls = {extension.get("url") for extension in present}
    for name in extensions:
        if BASE + name not in urls:
            yield f"{place} lacks the extension {name}"
    for extension in present:
        name = str(extension.get("url")).removeprefix(BASE)
        parts = {part.get("url") for part in extension.get("extension", ())}
        for part in PARTS.get(name, ()):
            if part not in parts:
                yield f"the extension {name} of {place} lacks its part {part}"


def _called(kind: str, element: Json, name: str) -> str:
    return f"the {kind} {element.get(name) or 'without a name'}"
