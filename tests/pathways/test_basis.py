"""A step is decided again from what its row in the log says alone (SP-33).

Nothing of the record is used: findings are read back from the words that a clinician reads.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from branching import STORIES, Point, points
from playing import Play

from pathways import basis, catalogue, parameters
from pathways.inputs import Fact
from pathways.judge import Judge, explained
from pathways.record import Entry
from pathways.steps import PERSON, Step

PATHWAY = catalogue.pathways()[0]
TABLE = json.loads(
    (Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear" / "inputs.json").read_text(),
    parse_float=Decimal,
)
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
OF_HUNDRED = re.compile(r"\d+ % \((?P<upper>[\d.]+) of (?P<lower>[\d.]+) \S+\)")
AMOUNT = re.compile(r"(?P<amount>-?[\d.]+)( \(from .*\))?")

Json = dict[str, Any]


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_step_follows_from_its_explanation_alone(path: Path) -> None:
    for point in points(path):
        for step, other_stage in steps(point):
            row = json.loads(json.dumps(logged(point.after, step), default=str))
            judge = Judge(
                PATHWAY,
                [fact(each) for each in row["inputs"]],
                point.after.patient.body,
                moment=moment(point.after, step),
                site=parameters.recalled(PATHWAY, row["parameters"]["changed"]),
                other_stage=other_stage,
            )
            conditions = PATHWAY.rule(row["action"]).conditions
            found = explained(judge, judge.ask(step.before), conditions)

            assert [(each["name"], each["result"]) for each in found] == [
                (each["name"], each["result"]) for each in row["conditions"]
            ], (point.at, row["rule"])
            # Nothing that the reasons rest on is missing from the list of inputs.
            assert set(row["used"]) <= {each["reference"] for each in row["inputs"]}


def steps(point: Point) -> Iterator[tuple[Step, str | None]]:
    """Yield each transition of the step, with the stage of the other side at that moment."""
    stages = {side: memory.stage for side, memory in point.before.memories.items() if side != PERSON}
    transitions = {rule.id for rule in PATHWAY.of_kind("transition")}
    for step in point.outcome.steps:
        if step.action in transitions and step.conditions and step.instance != PERSON:
            yield step, next((s for side, s in stages.items() if side != step.instance), None)
        if step.instance != PERSON:
            stages[step.instance] = step.after.stage


def logged(game: Play, step: Step) -> Json:
    """Return the reasons of a step as the log keeps them."""
    changed = parameters.changed(PATHWAY, parameters.resolve(PATHWAY, game.chosen))
    return basis.basis(PATHWAY, step, engine="test", zones="test", profile="test", changed=changed)


def moment(game: Play, step: Step) -> datetime:
    zone = ZoneInfo(str(parameters.resolve(PATHWAY, game.chosen)["site.timeZone"]))
    return game.at[step.instance, step.number].astimezone(zone)


def fact(given: Json) -> Fact:
    """Return a finding as its line in the reasons tells it."""
    type_, id_, _, version = given["reference"].split("/")
    definition = next(d for d in TABLE["inputs"] if given["input"] in _names(d))
    sides = frozenset(given["side"].split(" and ") if given["side"] else ())
    at = datetime.fromisoformat(given["date"])
    status = given["status"]
    if definition["id"] == "scan":
        code = next(d for d in TABLE["inputs"] if d["title"] == given["value"])["codes"][0]
    elif type_ == "Procedure":
        status, code = "completed", next(c for c in definition["codes"] if c["display"] == given["value"])
    else:
        status, code = "final", definition["codes"][0]
    site = {"coding": [{"code": side} for side in sorted(sides)]}
    canonical = {
        "resourceType": type_,
        "id": id_,
        "meta": {"versionId": version},
        "status": status,
        "code": {"coding": [code]},
        **value(given["value"], definition["value"]),
        "performedDateTime" if type_ == "Procedure" else "effectiveDateTime": at.isoformat(
            timespec="milliseconds"
        ),
        **({"bodySite": [site] if type_ == "Procedure" else site} if sides else {}),
    }
    entry = Entry(type=type_, id=id_, version=int(version), seq=0, received=RECEIVED, body={})
    return Fact(
        input=definition["id"],
        title=given["input"],
        entry=entry,
        at=at,
        sides=sides,
        canonical=canonical,
        words=given["value"],
        by=given["by"],
    )


def _names(definition: Json) -> tuple[str, ...]:
    """Return by what an input may be called: where several have one title, by its code."""
    return definition["title"], *(code["display"] for code in definition["codes"][:1])


def value(words: str, table: Json) -> Json:
    """Return the canonical value of which these are the words."""
    if table["types"] == ["performed"]:
        return {}
    parts = table.get("components", ())
    if "ratio" in table or not parts:
        return single(words, table)
    # A display may hold a comma, so the parts are found by the names they have.
    names = "|".join(re.escape(part["code"]["display"]) for part in parts)
    first, *rest = re.split(rf"(?:^|, )({names}): ", words)
    found = dict(zip(rest[::2], rest[1::2], strict=True))
    components = [
        {"code": {"coding": [part["code"]]}, **single(found[part["code"]["display"]], part)}
        for part in parts
        if found.get(part["code"]["display"])
    ]
    return {**(single(first, table) if first else {}), "component": components}


def single(words: str, table: Json) -> Json:
    for answer in table.get("answers", ()):
        if not isinstance(answer["value"], bool) and words == answer["codes"][0]["display"]:
            return {"valueCodeableConcept": {"coding": [answer["codes"][0]]}}
    if words in ("yes", "no"):
        return {"valueBoolean": words == "yes"}
    if words in table.get("strings", {}):
        return {"valueQuantity": {"value": Decimal(table["strings"][words])}}
    if ratio := OF_HUNDRED.fullmatch(words):
        return {"valueQuantity": {"value": Decimal(ratio["upper"]) * 100 / Decimal(ratio["lower"])}}
    if amount := AMOUNT.fullmatch(words):
        return {"valueQuantity": {"value": Decimal(amount["amount"])}}
    return {"valueDateTime": words}
