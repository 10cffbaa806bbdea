"""`Patient/[id]/$everything`: all of one patient, nothing of another, a page at a time.

http://hl7.org/fhir/R4/patient-operation-everything.html
"""

from pathlib import Path

import playing
import pytest
from fhir_visits import bundle, encounter, observation, patient, practitioner, put
from sqlalchemy import text
from stored_play import StoredPlay

from fhir_profiles import gate, reading

STORIES = Path(__file__).parents[2] / "stories"


@pytest.fixture(scope="module")
def game(database):
    """A patient with a plan, and beside them another one."""
    story = playing.read(STORIES / "V02.json")
    game = StoredPlay(database=database)
    game.tell(story)
    return game


@pytest.fixture(autouse=True)
def another(game, send):
    dated = observation("dated", "Patient/another", effectiveDateTime="2026-01-05T08:40:00Z")
    dated["performer"] = [{"reference": "Practitioner/dr"}]
    later = observation("later", "Patient/another", effectiveDateTime="2026-03-05")
    visit = bundle(
        put(patient("another")), put(practitioner()), put(dated), put(later),
        put(encounter("Patient/another", id_="undated")),
    )  # fmt: skip
    assert send(visit).status_code == 200


def ask(client, id_, query=None):
    return client.get(f"/fhir/Patient/{id_}/$everything", query_string=query or {})


def names(answer, mode="match"):
    assert answer.status_code == 200, answer.get_json()
    return [
        f"{e['resource']['resourceType']}/{e['resource']['id']}"
        for e in answer.get_json().get("entry", ())
        if e["search"]["mode"] == mode
    ]


def of_store(database, who):
    with database.transaction() as tx:
        statement = "SELECT type || '/' || id FROM resource WHERE patient = :who AND NOT deleted"
        return set(tx.execute(text(statement), {"who": who}).scalars())


def test_everything_of_the_patient_is_there_and_the_patient_first(client, database, game):
    answer = ask(client, game.patient, {"_count": "1000"})

    found = names(answer)
    assert found[0] == f"Patient/{game.patient}"
    assert len(found) == len(set(found)) == answer.get_json()["total"]
    assert set(found) == of_store(database, game.patient)
    assert {"CarePlan", "ServiceRequest", "Provenance", "Observation"} <= {n.partition("/")[0] for n in found}
    assert gate.check(reading.read(answer.get_data())) == ()


def test_who_is_named_is_included_and_nobody_else(client, game):
    assert names(ask(client, "another"), "include") == ["Practitioner/dr"]
    assert {n.partition("/")[0] for n in names(ask(client, game.patient, {"_count": "1000"}), "include")} <= {
        "Practitioner",
        "Device",
        "Organization",
    }


def test_the_pages_together_are_everything_once(client, database, game):
    found, url, pages = [], f"/fhir/Patient/{game.patient}/$everything?_count=7", 0
    while url:
        answer = client.get(url)
        assert len(names(answer)) <= 7
        found += names(answer)
        links = {link["relation"]: link["url"] for link in answer.get_json()["link"]}
        url = links.get("next", "").removeprefix("http://127.0.0.1:8000")
        pages += 1

    assert pages > 2
    assert len(found) == len(set(found))
    assert set(found) == of_store(database, game.patient)


def test_types_and_times_are_chosen(client, game):
    assert names(ask(client, "another", {"_type": "Patient,Encounter"})) == [
        "Patient/another",
        "Encounter/undated",
    ]
    # What has no clinical date is always there.
    assert set(names(ask(client, "another", {"end": "2026-01-31"}))) == {
        "Patient/another", "Encounter/undated", "Observation/dated",
    }  # fmt: skip
    assert set(names(ask(client, "another", {"start": "2026-03-05"}))) == {
        "Patient/another", "Encounter/undated", "Observation/later",
    }  # fmt: skip
    assert names(ask(client, "another", {"_since": "2100-01-01T00:00:00Z"})) == []
    assert len(names(ask(client, "another", {"_since": "2000-01-01T00:00:00Z"}))) == 4


def test_parameters_ask_the_same(client, game):
    given = [{"name": "_type", "valueCode": "Encounter"}, {"name": "_count", "valueInteger": 5}]

    answer = client.post(
        "/fhir/Patient/another/$everything", json={"resourceType": "Parameters", "parameter": given}
    )

    assert names(answer) == ["Encounter/undated"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"json": {"resourceType": "Parameters"}}, id="no parameter"),
        pytest.param({"content_type": "application/octet-stream"}, id="no body, called something"),
    ],
)
def test_whoever_asks_for_everything_need_not_say_more(sent, client, game):
    asked = client.post("/fhir/Patient/another/$everything", **sent)

    assert names(asked) == names(ask(client, "another"))


def test_the_access_is_written_down(client, database, game):
    ask(client, "another")

    with database.transaction() as tx:
        row = tx.execute(
            text("SELECT place, patients, reference FROM access ORDER BY key DESC LIMIT 1")
        ).one()
    assert tuple(row) == ("/fhir/Patient/<id_>/$everything", ["another"], "Patient/another")


def test_what_is_removed_is_not_there(client, game):
    assert client.delete("/fhir/Encounter/undated").status_code == 204

    assert "Encounter/undated" not in names(ask(client, "another"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("Patient/nobody/$everything", 404, id="nobody"),
        pytest.param("Patient/$everything", 400, id="everybody"),
        pytest.param("Patient/another/$everything?start=soon", 400, id="no date"),
        pytest.param("Patient/another/$everything?_count=0", 400, id="no count"),
        pytest.param("Patient/another/$everything?_type=Colour", 400, id="no type"),
        pytest.param("Patient/another/$everything?_page=1", 400, id="no page"),
        pytest.param("Patient/another/$everything?colour=red", 400, id="no parameter"),
        pytest.param("Observation/dated/$everything", 404, id="another type"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_an_outcome(path, status, client, game):
    answer = client.get(f"/fhir/{path}")

    assert (answer.status_code, answer.get_json()["resourceType"]) == (status, "OperationOutcome")
    assert answer.get_json()["issue"][0]["diagnostics"]


def test_a_patient_who_was_removed_is_gone(client, send, game):
    send(bundle(put(patient("gone"))))
    assert client.delete("/fhir/Patient/gone").status_code == 204

    assert ask(client, "gone").status_code == 410
