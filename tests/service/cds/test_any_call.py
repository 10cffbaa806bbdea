"""Whatever is wrong with a call, it is answered and never an error of this service.

A seeded sample; each call has one or two of its parts replaced by something odd, or taken away.
"""

import copy
import json
import random
from datetime import datetime
from pathlib import Path

import playing
import pytest
from cds_calls import SIGN, VIEW, at, held, sign, view
from fhir_visits import UNSAID

from fhir_profiles import canonical

STORIES = Path(__file__).parents[2] / "stories"
ODD = (
    None, 0, 1.5, True, "", "x", [], {}, [None], [1], {"a": 1}, {"resourceType": "Patient"}, "Patient/1",
    "2026-13-45", [[]], "urn:uuid:1",
)  # fmt: skip
EACH = 40


@pytest.fixture(scope="module")
def calls(database):
    """Return, by URL, what is well and will be spoilt."""
    game = playing.Play()
    *_, (step, _, _) = playing.lived(playing.read(STORIES / "V09.json"), game)
    at(database, datetime.fromisoformat(step["advanceTo"]))
    order = next(e.body for e in game.own.values() if e.type == "ServiceRequest") | {"status": "draft"}
    entries = [{"resource": resource} for resource in held(game)]
    data = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    finding = next(resource for resource in held(game) if "component" in resource)
    found = {
        f"/cds-services/{VIEW}": view(held(game), game.patient.id),
        f"/cds-services/{SIGN}": sign(held(game), game.patient.id, order),
        "/fhir/PlanDefinition/gluteus-medius-tear/$apply": {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "subject", "valueString": f"Patient/{game.patient.id}"},
                {"name": "data", "resource": data},
            ],
        },
        "/fhir/Observation/$validate": {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": finding}, {"name": "mode", "valueCode": "create"}],
        },
    }
    return json.loads(json.dumps(found, default=playing.number))


def places(node, steps=()):
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, value in inside:
        yield (*steps, step)
        yield from places(value, (*steps, step))


def spoilt(call, chance):
    call = copy.deepcopy(call)
    for _ in range(chance.choice([1, 1, 2])):
        found = list(places(call))
        if not found:
            break
        *steps, last = chance.choice(found)
        node = call
        for step in steps:
            node = node[step]
        if chance.random() < 0.3:
            del node[last]
        elif isinstance(last, str) and isinstance(node[last], str | int) and chance.random() < 0.3:
            # An extension in place of the value, which R4 allows of every primitive.
            del node[last]
            node[f"_{last}"] = copy.deepcopy(UNSAID)
        else:
            node[last] = copy.deepcopy(chance.choice(ODD))
    return call


@pytest.mark.parametrize("side", [{"valueString": "left"}, {"valueCoding": {"code": "y"}}, {}])
def test_an_order_may_state_any_side_in_our_form(side, client, calls):
    url = f"/cds-services/{SIGN}"
    asked = copy.deepcopy(calls[url])
    (entry,) = asked["context"]["draftOrders"]["entry"]
    entry["resource"]["extension"] = [{"url": canonical.SIDE, **side}]

    assert client.post(url, json=asked).status_code in (200, 400)


def test_a_page_of_several_may_have_a_link_without_a_relation(client, calls):
    url = f"/cds-services/{VIEW}"
    asked = copy.deepcopy(calls[url])
    asked["prefetch"]["observations"]["link"] = [{"_relation": UNSAID, "url": "https://x.example.org/"}]

    assert client.post(url, json=asked).status_code == 200


@pytest.mark.parametrize("seed", [5, 28])
def test_what_is_spoilt_is_answered_with_cards_or_an_outcome(seed, client, calls):
    chance = random.Random(seed)
    answered = set()

    for url, call in calls.items():
        for _ in range(EACH):
            asked = spoilt(call, chance)
            answer = client.post(url, json=asked)
            answered.add(answer.status_code)
            assert answer.status_code in (200, 400, 404, 412, 422), (url, asked, answer.get_json())
            assert answer.status_code == 200 or answer.get_json()["resourceType"] == "OperationOutcome"

    assert {200, 400} <= answered
