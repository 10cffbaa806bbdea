"""The services advise, from what a record sends along alone, what the pathway proposes step by step.

https://cds-hooks.hl7.org/2.0/#cds-service-response
"""

from datetime import datetime
from pathlib import Path

import playing
import pytest
from cds_calls import SIGN, VIEW, at, held, post, sign, view
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import gate

STORIES = Path(__file__).parents[2] / "stories"
#: mild and severe, urgent, both sides, an ultrasound first, taken back, relapse, after an operation
TOLD = (
    "V02", "V07", "V09", "V17", "V20", "V22", "V29", "V54", "V84", "V89", "V106", "V111", "V121",
)  # fmt: skip


def drafts(answer):
    """Return the drafts that the cards suggest."""
    return [
        action["resource"]
        for card in answer["cards"]
        for suggestion in card.get("suggestions", ())
        for action in suggestion["actions"]
    ]


def told(resource):
    return resource["code"]["text"], resource["priority"], resource["id"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("name", TOLD)
def test_each_proposal_of_a_story_is_a_card_at_its_step(name, client, database):
    game = playing.Play()
    asked = 0

    for step, outcome, written in playing.lived(playing.read(STORIES / f"{name}.json"), game):
        proposed = [r for r in written if r["resourceType"] == "ServiceRequest" and r["status"] == "draft"]
        if not any(one.activity.resource == "ServiceRequest" for s in outcome.steps for one in s.raised):
            continue
        with_time(database, step)
        answer = post(client, VIEW, view(held(game), game.patient.id))
        asked += 1

        assert answer.status_code == 200, answer.get_json()
        suggested = drafts(answer.get_json())
        assert {told(r)[:2] for r in proposed} <= {told(r)[:2] for r in suggested}
        assert {told(r)[:2] for r in suggested} == {
            (game.own[f"ServiceRequest/{o.id}"].body["code"]["text"], o.priority)
            for memory in game.memories.values()
            for o in memory.orders
            if o.state == "draft"
        }

    assert asked


def with_time(database, step):
    at(database, datetime.fromisoformat(step["advanceTo"]))


def played(name, steps):
    """Return the patient of a story after its first steps, and the last of them."""
    game = playing.Play()
    for number, (step, _, _) in enumerate(playing.lived(playing.read(STORIES / f"{name}.json"), game), 1):
        if number == steps:
            return game, step
    raise AssertionError


def test_a_card_says_what_is_proposed_why_and_on_what_it_rests(client, database):
    game, step = played("V02", 4)
    with_time(database, step)

    (card,) = post(client, VIEW, view(held(game), game.patient.id)).get_json()["cards"]

    assert set(card) == {
        "uuid", "summary", "detail", "indicator", "source", "overrideReasons", "suggestions",
        "selectionBehavior",
    }  # fmt: skip
    assert card["indicator"] == "info"
    assert len(card["summary"]) < 140
    assert "right" in card["summary"]
    assert card["source"]["url"].startswith("https://")
    assert "rule T06, 2026\\-02\\-16" in card["detail"]
    assert "2026\\-02\\-16" in card["detail"].split("Values used:")[1]
    assert ": met" in card["detail"]
    assert all(reason["display"] for reason in card["overrideReasons"])


def test_a_draft_is_valid_and_points_to_nothing_that_only_this_service_has(client, database):
    game, step = played("V02", 4)
    with_time(database, step)

    (draft,) = drafts(post(client, VIEW, view(held(game), game.patient.id)).get_json())

    assert (draft["status"], draft["intent"]) == ("draft", "proposal")
    assert not {"basedOn", "reasonReference", "relevantHistory"} & set(draft)
    assert {r["reference"] for r in draft["supportingInfo"]} <= set(game.entries)
    assert gate.check(draft) == ()
    get_fhir_model_class("ServiceRequest").model_validate(draft)


def test_the_same_call_has_the_same_answer(client, database):
    game, step = played("V09", 3)
    with_time(database, step)
    asked = view(held(game), game.patient.id)

    answers = [post(client, VIEW, asked).get_json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[0]["cards"]


def test_a_red_flag_is_a_critical_card_before_all_others(client, database):
    game, step = played("V08", 1)
    with_time(database, step)

    cards = post(client, VIEW, view(held(game), game.patient.id)).get_json()["cards"]

    flags = [e.id for e in game.own.values() if e.type == "Flag" and e.body["status"] == "active"]
    assert flags
    assert [card["uuid"] for card in cards if card["indicator"] == "critical"] == flags
    assert cards[0]["indicator"] == "critical"


def test_a_proposal_on_hold_suggests_nothing_to_sign(client, database):
    game, step = played("V103", 5)
    with_time(database, step)

    cards = post(client, VIEW, view(held(game), game.patient.id)).get_json()["cards"]

    on_hold = [o for m in game.memories.values() for o in m.orders if o.state == "on-hold"]
    assert on_hold
    found = [card for card in cards if "on hold" in card["summary"]]
    assert len(found) == len(on_hold)
    assert all("suggestions" not in card and card["indicator"] == "warning" for card in found)


def order(game, resource):
    """Return a draft that a clinician wrote, as the proposal but with an id of its own."""
    kept = ("resourceType", "status", "code", "subject", "bodySite", "priority")
    return {name: resource[name] for name in kept} | {"id": "own-draft", "intent": "order", "status": "draft"}


def proposed(game, state="draft"):
    (one,) = [o for m in game.memories.values() for o in m.orders if o.state == state][:1]
    return game.own[f"ServiceRequest/{one.id}"].body


def test_an_order_that_may_be_signed_has_no_card(client, database):
    game, step = played("V02", 1)
    with_time(database, step)

    answer = post(client, SIGN, sign(held(game), game.patient.id, order(game, proposed(game))))

    assert answer.get_json() == {"cards": []}


def test_an_order_whose_preconditions_are_missing_is_advised_against(client, database):
    game, step = played("V03", 1)
    with_time(database, step)

    resources = [
        game.own[f"ServiceRequest/{o.id}"].body | {"id": o.kind.lower()}
        for m in game.memories.values()
        for o in m.orders
    ]
    answer = post(client, SIGN, sign(held(game), game.patient.id, *resources))

    cards = answer.get_json()["cards"]
    assert any("missing" in card["summary"] for card in cards)
    assert all(card["indicator"] == "warning" and "suggestions" not in card for card in cards)


def test_an_order_that_is_signed_already_is_advised_against(client, database):
    game, step = played("V02", 2)
    with_time(database, step)

    answer = post(client, SIGN, sign(held(game), game.patient.id, order(game, proposed(game, "active"))))

    assert ["signed already" in card["summary"] for card in answer.get_json()["cards"]] == [True]


def test_an_order_that_was_superseded_is_advised_against(client, database):
    game, step = played("V29", 6)
    with_time(database, step)

    answer = post(
        client, SIGN, sign(held(game), game.patient.id, order(game, proposed(game, state="revoked")))
    )

    assert any("superseded" in card["summary"] for card in answer.get_json()["cards"])


def test_an_order_without_a_side_is_advised_against(client, database):
    game, step = played("V09", 3)
    with_time(database, step)
    draft = order(game, proposed(game))
    del draft["bodySite"]

    cards = post(client, SIGN, sign(held(game), game.patient.id, draft)).get_json()["cards"]

    assert [card["summary"] for card in cards if "names no side" in card["summary"]]


def test_an_order_that_is_none_of_the_pathway_has_no_card(client, database):
    game, step = played("V02", 1)
    with_time(database, step)
    other = order(game, proposed(game)) | {
        "code": {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}
    }

    answer = post(client, SIGN, sign(held(game), game.patient.id, other))

    assert answer.get_json() == {"cards": []}
