"""A patient whose plan is stored here is advised on from that plan, with what was sent along over it."""

from datetime import datetime
from pathlib import Path

import playing
import pytest
from cds_calls import VIEW, at, post, rows, view
from sqlalchemy import text
from stored_play import StoredPlay

from fhir_profiles import reading

STORIES = Path(__file__).parents[2] / "stories"


@pytest.fixture
def game(database):
    """The patient of a story, stored and evaluated up to the last visit but one, and that visit."""
    story = playing.read(STORIES / "V02.json")
    game = StoredPlay(database=database)
    game.tell({**story, "steps": story["steps"][:3]})
    return game, story["steps"][3]


def sent(step):
    return [entry["resource"] for entry in step["bundle"]["entry"]]


def asked(client, database, game, step, who):
    at(database, datetime.fromisoformat(step["advanceTo"]))
    return post(client, VIEW, view([who, *sent(step)], game.patient)).get_json()["cards"]


def stored_patient(client, game):
    body = reading.read(client.get(f"/fhir/Patient/{game.patient}").get_data())
    return {name: value for name, value in body.items() if name != "meta"}


def test_what_a_visit_would_bring_is_proposed_from_the_plan_and_links_to_it(client, database, game):
    game, step = game

    (card,) = asked(client, database, game, step, stored_patient(client, game))

    game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
    game.work(datetime.fromisoformat(step["advanceTo"]))
    (order,) = [o for m in game.memories.values() for o in m.orders if o.unsigned]
    assert card["uuid"] == order.id
    (link,) = card["links"]
    assert link["type"] == "absolute"
    plan = link["url"].rpartition("/")[2]
    assert client.get(f"/fhir/CarePlan/{plan}").get_json()["subject"] == {
        "reference": f"Patient/{game.patient}"
    }
    (resource,) = [a["resource"] for a in card["suggestions"][0]["actions"]]
    assert resource["basedOn"] == [{"reference": f"http://127.0.0.1:8000/fhir/CarePlan/{plan}"}]


def test_a_proposal_that_is_stored_says_why_it_was_made(client, database, game):
    game, step = game
    game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
    game.work(datetime.fromisoformat(step["advanceTo"]))

    (card,) = asked(client, database, game, step, stored_patient(client, game))

    assert "rule T06" in card["detail"]
    assert ": met" in card["detail"]


def test_an_access_is_written_and_nothing_else(client, database, game):
    game, step = game
    at(database, datetime.fromisoformat(step["advanceTo"]))
    body = view([stored_patient(client, game), *sent(step)], game.patient)
    with database.transaction() as tx:
        before = rows(tx)

    assert post(client, VIEW, body).status_code == 200

    with database.transaction() as tx:
        after = rows(tx)
        place = tx.execute(text("SELECT place FROM access ORDER BY key DESC LIMIT 1")).scalar_one()
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "access": 1
    }
    assert place == "/cds-services/<id_>"


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param([{"system": "https://hospital.example.org/mrn", "value": "another"}], id="another"),
        pytest.param([{"value": "GMT-1002"}], id="of no system"),
        pytest.param([], id="none, and the same birth date"),
    ],
)
def test_somebody_else_with_the_same_id_is_not_advised_on_from_this_plan(client, database, game, identifier):
    game, step = game
    other = stored_patient(client, game)
    assert other.pop("identifier")
    if identifier:
        other["identifier"] = identifier

    cards = asked(client, database, game, step, other)

    assert all("links" not in card for card in cards)
    # A first visit: what needs a therapy before is not proposed of a stranger.
    assert all("rule T06" not in card["detail"] for card in cards)
