"""Every resource that is written has the shape of its example in the specification (see tests/shapes).

All stories are played; the first version of each resource is compared with the example of its kind: the same
elements, and the same values wherever the value is no matter of the patient, the moment or the reason.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playing import Play, lived, read

ROOT = Path(__file__).parents[1]
SPECIFIED = json.loads((ROOT / "shapes" / "outputs.json").read_text())
EXAMPLES = {output["shorthand"]: output["example"] for output in SPECIFIED["outputs"]} | SPECIFIED["shapes"]

#: elements whose values are the patient's, the moment's or the text's
FREE = frozenset(
    {
        *(
            "id",
            "reference",
            "display",
            "div",
            "text",
            "title",
            "description",
            "contentString",
            "outcomeDesc",
        ),
        *("authoredOn", "lastModified", "recorded", "recordedDate", "occurredDateTime", "identifiedDateTime"),
        *(
            "created",
            "sent",
            "start",
            "end",
            "startDate",
            "dueDate",
            "valueDate",
            "valueDateTime",
            "valueString",
        ),
        *("detail", "value", "versionId"),
    }
)
#: by kind, elements that an example has and a written resource may lack
ABSENT = {
    # A question to the surgeon stands only where there is one.
    "SR:SURG": {"orderDetail"},
    # Therapy and holds come later; the stage is in force from the start.
    "CarePlan": {"extension.valueDate", "extension.extension", "goal"},
    # A grade is aimed at as it is; an amount of pain at most.
    "Goal": {"target.detailQuantity.comparator"},
    # The example is an image; physiotherapy and a referral have no category.
    "ServiceRequest signed": {"category"},
}
#: what is about the person names no side and belongs to no plan
OF_PERSON = {"extension", "basedOn", "about"}
#: by kind, elements whose value follows the reason: any that the specification gives elsewhere
BY_REASON = defaultdict(set) | {
    "Provenance": {"activity.coding.code"},
    "Goal": {"description.coding.code", "target.measure.coding"},
    "ServiceRequest signed": {"code", "priority", "category"},
    "CarePlan": {"status"},
    "AU:clinician-decision": {"subtype.code"},
    "AU:decision-rejected": {"subtype.code"},
    "TK:divert": {"priority", "reasonCode"},
    "CM:team-alert": {"priority"},
    "CM:patient-instructions": {"priority"},
    "TK:divert-unacknowledged": {"reasonCode"},
    "TK:activation-blocked": {"reasonCode"},
    "TK:basis-withdrawn-review": {"reasonCode"},
    "TK:shared-decision": {"reasonCode"},
    "TK:signature-overdue": {"reasonCode"},
    "SR:XR": {"priority"},
    "SR:MRI": {"priority"},
    "SR:US": {"priority"},
    "SR:SURG": {"priority"},
    "TK:sign-imaging": {"priority"},
    "TK:sign-referral": {"priority"},
    "TK:mri-safety-screen": {"priority"},
}

Json = dict[str, Any]


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, path)
    else:
        yield path, node


def below(path: str, roots: set[str]) -> bool:
    return any(path == root or path.startswith(f"{root}.") for root in roots)


def kind(body: Json, shorthands: dict[str, str]) -> str:
    type_ = body["resourceType"]
    if shorthand := shorthands.get(f"{type_}/{body['id']}"):
        return shorthand
    if type_ == "AuditEvent":
        return f"AU:{body['type']['code']}"
    if type_ == "Provenance":
        shorthand = f"PV:{body['activity']['coding'][0]['code']}"
        return shorthand if shorthand in EXAMPLES else type_
    return "ServiceRequest signed" if body.get("intent") == "order" else type_


@cache
def written() -> dict[str, list[Json]]:
    """Return the first version of everything the stories write, by kind."""
    found = defaultdict(list)
    for path in sorted((ROOT / "stories").glob("V*.json")):
        seen = set()
        for _, outcome, bodies in lived(read(path), Play()):
            shorthands = {
                one.reference: one.shorthand.partition("(")[0]
                for each in outcome.steps
                for one in each.raised
            }
            for body in bodies:
                if (body["resourceType"], body["id"]) not in seen:
                    seen.add((body["resourceType"], body["id"]))
                    found[kind(body, shorthands)].append(body)
    return found


def test_the_stories_write_every_output_of_the_specification_and_nothing_else():
    assert written().keys() == EXAMPLES.keys()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_it_has_the_elements_of_its_example(kind):
    specified = {path for path, _ in leaves(EXAMPLES[kind])}
    for body in written()[kind]:
        elements = {path for path, _ in leaves(body)}
        optional = ABSENT.get(kind, set()) | (set() if "extension" in body else OF_PERSON)

        assert {path for path in specified - elements if not below(path, optional)} == set()
        assert {path for path in elements - specified if not below(path, {"text"})} == set()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_its_codes_are_those_of_its_example(kind):
    specified = values(EXAMPLES[kind])
    compared = 0
    for body in written()[kind]:
        if "hip-left" in json.dumps(body):
            continue
        compared += 1
        given = values(body)
        for path in specified.keys() & given.keys():
            if not below(path, BY_REASON[kind]):
                # An example names one of several inputs, codes or recipients.
                assert specified[path] & given[path], f"{path}: {given[path]} instead of {specified[path]}"
    assert compared


def values(body: Json) -> dict[str, set[Any]]:
    found = defaultdict(set)
    for path, value in leaves(body):
        if path.rpartition(".")[2] not in FREE:
            found[path].add(value)
    return found


@pytest.mark.parametrize("kind", sorted({"CarePlan", *(k for k in EXAMPLES if k[:2] in ("SR", "TK"))}))
def test_it_can_be_read_by_a_person_with_its_side_in_words(kind):
    for body in written()[kind]:
        told = body["text"]["div"].lower()
        sides = {"left": "hip-left", "right": "hip-right"}
        own = {side for side, code in sides.items() if code in json.dumps(body.get("extension", []))}

        assert body["text"]["status"] == "generated"
        assert {side for side in sides if f"{side} hip" in told} == own
