"""`PlanDefinition/$apply` gives what an evaluation of the same record writes, and stores nothing.

http://hl7.org/fhir/R4/plandefinition-operation-apply.html
"""

from datetime import datetime
from pathlib import Path

import playing
import pytest
from cds_calls import at, held, rows
from fhir.resources.R4B import get_fhir_model_class
from fhir_visits import observation, patient
from stored_play import StoredPlay

from fhir_profiles import gate, reading
from pathways import catalogue

STORIES = Path(__file__).parents[2] / "stories"
PLAN = f"/fhir/PlanDefinition/{catalogue.pathways()[0].url.rpartition('/')[2]}/$apply"
FHIR = "application/fhir+json"


def parameters(subject, resources=None, **more):
    given = [{"name": "subject", "valueString": subject}]
    given += [{"name": name, "valueString": value} for name, value in more.items()]
    if resources is not None:
        entries = [{"resource": resource} for resource in resources]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        given.append({"name": "data", "resource": bundle})
    return {"resourceType": "Parameters", "parameter": given}


def apply(client, body, url=PLAN):
    return client.post(url, data=reading.write(body), content_type=FHIR)


def contained(plan, *types):
    return {(r["resourceType"], r["id"]) for r in plan["contained"] if r["resourceType"] in types}


def still_open(game):
    return {
        *(("ServiceRequest", o.id) for m in game.memories.values() for o in m.orders if o.unsigned),
        *(("Task", t.id) for m in game.memories.values() for t in m.tasks if t.state == "open"),
    }


@pytest.mark.parametrize("name", ["V02", "V07", "V09", "V17"])
def test_from_data_it_proposes_what_the_story_does(name, client, database, nothing_stored):
    game = playing.Play()

    for step, _, written in playing.lived(playing.read(STORIES / f"{name}.json"), game):
        if not any(r["resourceType"] == "ServiceRequest" and r["status"] == "draft" for r in written):
            continue
        at(database, datetime.fromisoformat(step["advanceTo"]))
        answer = apply(client, parameters(f"Patient/{game.patient.id}", held(game)))

        assert answer.status_code == 200, answer.get_json()
        plan = answer.get_json()
        assert contained(plan, "ServiceRequest", "Task") == still_open(game)
        assert (plan["intent"], plan["status"]) == ("proposal", "draft")
        assert gate.check(reading.read(answer.get_data())) == ()
        get_fhir_model_class("CarePlan").model_validate(reading.read(answer.get_data()))


def test_everything_it_refers_to_inside_is_inside(client, database):
    game = playing.Play()
    step, _, _ = next(playing.lived(playing.read(STORIES / "V07.json"), game))
    at(database, datetime.fromisoformat(step["advanceTo"]))

    plan = apply(client, parameters(f"Patient/{game.patient.id}", held(game))).get_json()

    inside = {f"#{r['id']}" for r in plan["contained"]}
    groups = [r for r in plan["contained"] if r["resourceType"] == "RequestGroup"]
    named = {a["reference"]["reference"] for a in plan["activity"]}
    actions = {a["resource"]["reference"] for group in groups for a in group.get("action", ())}
    assert named == {f"#{group['id']}" for group in groups}
    assert named | actions == inside
    (task,) = [r for r in plan["contained"] if r["resourceType"] == "Task" and "input" in r][:1]
    assert task["input"][0]["valueReference"]["reference"] in inside


@pytest.mark.parametrize("name", ["V02", "V09"])
def test_from_the_store_it_proposes_what_the_evaluation_then_writes(name, client, database):
    game = StoredPlay(database=database)
    story = playing.read(STORIES / f"{name}.json")
    for step in story["steps"]:
        if step["bundle"]:
            game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
        at(database, datetime.fromisoformat(step["advanceTo"]))
        with database.transaction() as tx:
            before = rows(tx)

        answer = apply(client, parameters(f"Patient/{game.patient}"))

        with database.transaction() as tx:
            after = rows(tx)
        assert {t: after[t] - before[t] for t in after if after[t] != before[t]} == {"access": 1}
        game.work(datetime.fromisoformat(step["advanceTo"]))
        assert contained(answer.get_json(), "ServiceRequest", "Task") == still_open(game)


def test_the_level_of_the_type_and_a_query_ask_the_same(client, database):
    game = StoredPlay(database=database)
    story = playing.read(STORIES / "V02.json")
    game.tell({**story, "steps": story["steps"][:1]})
    url = catalogue.pathways()[0].url

    answers = [
        apply(client, parameters(f"Patient/{game.patient}")),
        apply(client, parameters(f"Patient/{game.patient}", url=url), "/fhir/PlanDefinition/$apply"),
        client.get(PLAN, query_string={"subject": f"Patient/{game.patient}"}),
        client.get(
            "/fhir/PlanDefinition/$apply", query_string={"subject": f"Patient/{game.patient}", "url": url}
        ),
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.get_data() for answer in answers}) == 1


def test_who_applies_it_and_where_is_said(client):
    body = parameters("Patient/a", [patient("a")], encounter="Encounter/e", practitioner="Practitioner/p")

    plan = apply(client, body).get_json()

    assert plan["encounter"] == {"reference": "Encounter/e"}
    assert plan["author"] == {"reference": "Practitioner/p"}


def test_a_record_that_opens_nothing_says_so(client):
    plan = apply(client, parameters("Patient/a", [patient("a")])).get_json()

    assert "contained" not in plan
    assert plan["description"]


OTHER = "https://example.org/PlanDefinition/other"


@pytest.mark.parametrize(
    ("body", "url", "status"),
    [
        pytest.param(parameters("Patient/nobody"), PLAN, 404, id="nobody"),
        pytest.param(parameters("Patient/a"), "/fhir/PlanDefinition/other/$apply", 404, id="no pathway"),
        pytest.param(parameters("Patient/a", url=OTHER), "/fhir/PlanDefinition/$apply", 404, id="no url"),
        pytest.param(parameters("Patient/a"), "/fhir/PlanDefinition/$apply", 400, id="url missing"),
        pytest.param({"resourceType": "Parameters"}, PLAN, 400, id="subject missing"),
        pytest.param(parameters("Group/a"), PLAN, 400, id="no patient"),
        pytest.param(parameters("Patient/a", colour="red"), PLAN, 400, id="unknown parameter"),
        pytest.param(parameters("Patient/a", encounter="e"), PLAN, 400, id="no reference"),
        pytest.param(parameters("Patient/a", []), PLAN, 422, id="data without the patient"),
        pytest.param(parameters("Patient/a", [patient("b")]), PLAN, 422, id="another patient"),
        pytest.param(parameters("Patient/a", [{"resourceType": "Colour"}]), PLAN, 422, id="no resource"),
        pytest.param(
            parameters("Patient/a", [patient("a"), observation("o", "Patient/b")]), PLAN, 422, id="mixed up"
        ),
        pytest.param({"resourceType": "Patient"}, PLAN, 400, id="no parameters"),
        pytest.param({"resourceType": "Parameters", "parameter": [1]}, PLAN, 400, id="no objects"),
    ],
)
def test_what_cannot_be_applied_is_refused_with_an_outcome(body, url, status, client, nothing_stored):
    answer = apply(client, body, url)

    assert (answer.status_code, answer.get_json()["resourceType"]) == (status, "OperationOutcome")
    assert all(issue.get("diagnostics") for issue in answer.get_json()["issue"])
