"""A plan that cannot be run is refused, with every reason at once (safety SP-28, SP-29, SP-30)."""

import json
import shutil
from pathlib import Path

import pytest

from pathways.load import InvalidPathway, load
from pathways.parameters import InvalidParameters, resolve

FOLDER = Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear"
BASE = "https://w3id.org/hipway/StructureDefinition/"


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "pathway"
    shutil.copytree(FOLDER, copy)
    return copy


def change(folder, name, edit):
    file = folder / name
    value = json.loads(file.read_text())
    edit(value)
    file.write_text(json.dumps(value))


def actions(plan):
    return {rule["id"]: rule for stage in plan["action"] for rule in stage.get("action", ())}


def refused(folder):
    with pytest.raises(InvalidPathway) as refusal:
        load(folder)
    return refusal.value.reasons


def test_the_pathway_of_this_release_loads():
    pathway = load(FOLDER)

    assert len(pathway.stages) == 7
    assert pathway.canonical.endswith("|" + pathway.version)


def test_rules_that_differ_from_their_translation_are_refused(folder):
    with (folder / "rules.cql").open("a") as file:
        file.write("\n// changed after the translation\n")

    assert refused(folder) == ("rules.elm.json is not the translation of rules.cql",)


def test_every_file_that_is_missing_is_named(folder):
    (folder / "rules.cql").unlink()
    (folder / "texts.de.json").unlink()

    assert refused(folder) == ("the file rules.cql is missing", "the file texts.de.json is missing")


def test_an_unknown_condition_is_named(folder):
    def edit(plan):
        actions(plan)["T03"]["condition"][0]["expression"]["expression"] = "Nobody wrote this"

    change(folder, "plan_definition.json", edit)

    assert any("'Nobody wrote this'" in reason for reason in refused(folder))


def test_a_missing_definition_is_named(folder):
    change(folder, "activity_definitions.json", lambda all_: all_.pop(0))

    assert any("is missing" in reason for reason in refused(folder))


def test_a_transition_to_nowhere_is_named(folder):
    def edit(plan):
        actions(plan)["T03"]["relatedAction"][0]["actionId"] = "elsewhere"

    change(folder, "plan_definition.json", edit)

    assert any("'elsewhere'" in reason for reason in refused(folder))


def leave(rule, *stages):
    kept = [e for e in rule["extension"] if not e["url"].endswith("action-leaves")]
    rule["extension"] = [*kept, *({"url": BASE + "action-leaves", "valueCode": stage} for stage in stages)]


def test_a_stage_that_no_way_of_the_plan_leads_to_or_from_is_named(folder):
    change(
        folder,
        "plan_definition.json",
        lambda plan: plan["action"].append(dict(plan["action"][0], id="island", action=[])),
    )
    change(folder, "texts.en.json", lambda texts: texts.update({"stage.island": "Island"}))
    change(folder, "texts.de.json", lambda texts: texts.update({"stage.island": "Insel"}))

    # A clinician may place an instance in any stage, and death and withdrawal name theirs: no way for a plan.
    assert refused(folder) == ("the stage island cannot be reached", "the stage island is a dead end")


def test_stages_that_lead_to_one_another_alone_cannot_be_reached(folder):
    def edit(plan):
        for code, target in (("east", "west"), ("west", "east")):
            way = dict(
                actions(plan)["T03"],
                id=f"to-{target}",
                relatedAction=[dict(actions(plan)["T03"]["relatedAction"][0], actionId=target)],
            )
            plan["action"].append(dict(plan["action"][0], id=code, action=[way]))

    change(folder, "plan_definition.json", edit)
    reasons = refused(folder)

    assert "the stage east cannot be reached" in reasons
    assert "the stage west cannot be reached" in reasons
    assert not any("dead end" in reason for reason in reasons)


def test_a_stage_that_only_a_computed_target_names_is_reached(folder):
    def edit(plan):
        rules = actions(plan)
        for id in ("T10", "T15-patient", "T15-declined", "T15-surgeon", "T18-soon", "T03"):
            rules[id]["relatedAction"][0]["actionId"] = "assessment"

    change(folder, "plan_definition.json", edit)

    # "Stage to return to" still names it.
    assert not any("cannot be reached" in reason for reason in refused_or_none(folder))


def refused_or_none(folder):
    try:
        load(folder)
    except InvalidPathway as refusal:
        return refusal.reasons
    return ()


def test_a_plan_that_opens_nothing_is_refused(folder):
    change(folder, "plan_definition.json", lambda plan: actions(plan)["open-hip"].pop("relatedAction"))

    assert "no rule opens an instance" in refused(folder)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("T03", "needs Boolean, and the CQL definition 'Weeks of therapy' is Integer"),
        (
            "hold-contradictory",
            "needs List<String>, and the CQL definition 'Weeks of therapy' is Integer",
        ),
    ],
)
def test_a_condition_of_another_type_is_named(folder, rule, why):
    def edit(plan):
        actions(plan)[rule]["condition"][0]["expression"]["expression"] = "Weeks of therapy"

    change(folder, "plan_definition.json", edit)

    assert f"{rule} {why}" in refused(folder)


def test_every_reason_is_listed_at_once(folder):
    def edit(plan):
        actions(plan)["T03"]["condition"][0]["expression"]["expression"] = "Nobody wrote this"
        actions(plan)["T05"].pop("documentation")

    change(folder, "plan_definition.json", edit)
    reasons = refused(folder)

    assert len(reasons) >= 2
    assert "T05 cites no source" in reasons


def test_a_parameter_without_a_source_or_a_range_is_named(folder):
    def edit(table):
        table["parameters"][0]["basis"] = ""
        table["parameters"][1].pop("low")

    change(folder, "parameters.json", edit)
    reasons = refused(folder)

    assert any("has no source" in reason for reason in reasons)
    assert any("has no range" in reason for reason in reasons)


def test_evidence_for_a_stage_or_from_a_source_that_does_not_exist_is_named(folder):
    def edit(evidence):
        evidence["topics"][0] |= {"stages": ["nowhere"], "sources": [999]}

    change(folder, "evidence.json", edit)
    reasons = refused(folder)

    topic = "Weakness with pain on loading leads to MRI"
    assert f"the evidence {topic!r} names the stage 'nowhere', which does not exist" in reasons
    assert f"the evidence {topic!r} names the source 999, which does not exist" in reasons


def test_every_element_and_extension_that_is_missing_is_named_at_once(folder):
    def extensions(element, without):
        return [e for e in element["extension"] if e["url"] != BASE + without]

    def edit(plan):
        plan.pop("title")
        plan["extension"] = extensions(plan, "plan-condition")
        rules = actions(plan)
        rules["T03"]["extension"] = extensions(rules["T03"], "action-order")
        rules["T05"].pop("title")
        rules["T05"]["action"][0].pop("definitionCanonical")
        effect = next(e for e in rules["T03"]["extension"] if e["url"] == BASE + "action-effect")
        effect["extension"] = [part for part in effect["extension"] if part["url"] != "kind"]
        stage = next(stage for stage in plan["action"] if stage["id"] == "imaging")
        stage["extension"] = extensions(stage, "stage-plan-status")

    def edit_definition(definitions):
        definitions[0]["extension"] = extensions(definitions[0], "output-shorthand")

    change(folder, "plan_definition.json", edit)
    change(folder, "activity_definitions.json", edit_definition)
    change(folder, "parameters.json", lambda table: table["parameters"][0].pop("unit"))
    first = json.loads((FOLDER / "activity_definitions.json").read_text())[0]["id"]
    parameter = json.loads((FOLDER / "parameters.json").read_text())["parameters"][0]["name"]

    assert set(refused(folder)) == {
        "the plan has no title",
        "the plan lacks the extension plan-condition",
        "the rule T03 lacks the extension action-order",
        "the extension action-effect of the rule T03 lacks its part kind",
        "the rule T05 has no title",
        "an output of the rule T05 has no definitionCanonical",
        "the stage imaging lacks the extension stage-plan-status",
        f"the definition {first} lacks the extension output-shorthand",
        f"the parameter {parameter} has no unit",
    }


def test_a_reason_to_set_data_aside_that_has_no_issue_or_no_task_is_named(folder):
    def edit(definitions):
        by_code = {d["code"]["coding"][0]["code"]: d for d in definitions if "coding" in d.get("code", {})}
        definitions.remove(by_code["unit-mismatch"])
        issue = by_code["side-mismatch"]
        issue["extension"] = [e for e in issue["extension"] if e["url"] != BASE + "issue-task"]

    change(folder, "activity_definitions.json", edit)

    found = refused(folder)
    assert "no DetectedIssue says unit-mismatch" in found
    assert "the DetectedIssue side-mismatch has no Task" in found


def test_a_missing_text_is_named_with_its_language(folder):
    change(folder, "texts.de.json", lambda texts: texts.pop("stage.imaging"))

    assert refused(folder) == ("the text stage.imaging is missing in de",)


@pytest.mark.parametrize(
    "key", ["condition.Pain persists", "input.pain.nrs", "source.choice", "pathway.title"]
)
def test_what_the_definition_says_in_its_own_language_is_needed_in_every_other(folder, key):
    change(folder, "texts.de.json", lambda texts: texts.pop(key))

    assert refused(folder) == (f"the text {key} is missing in de",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("therapy.failWeeks", 7, id="below its range"),
        pytest.param("therapy.failWeeks", 27, id="above its range"),
        pytest.param("therapy.failWeeks", 8.5, id="not whole"),
        pytest.param("therapy.failWeeks", True, id="a truth value is no number"),
        pytest.param("imaging.softTissueFirst", "ct", id="not a choice"),
        pytest.param("site.timeZone", "Europe/Atlantis", id="not a zone"),
        pytest.param("profile", "bold", id="not a profile"),
        pytest.param("unknown.name", 1, id="not a parameter"),
    ],
)
def test_a_value_a_site_may_not_set_changes_nothing(name, value):
    with pytest.raises(InvalidParameters):
        resolve(load(FOLDER), {name: value})


def test_a_profile_changes_its_values_and_the_site_may_change_them_again():
    pathway = load(FOLDER)

    assert resolve(pathway, {"profile": "literal"})["weakPain.minTherapyWeeks"] == 0
    chosen = {"profile": "literal", "weakPain.minTherapyWeeks": 3}
    assert resolve(pathway, chosen)["weakPain.minTherapyWeeks"] == 3
