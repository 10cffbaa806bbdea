"""Every type is stored, found and removed, also where what R4 requires is an extension alone.

A primitive may have an extension in place of its value, `_criteria` in place of `criteria`, required or not.
http://hl7.org/fhir/R4/json.html#primitive
"""

from itertools import islice

import pytest
from defects import places, resources
from fhir_visits import UNSAID, bundle, patient, post, put
from fuzz.grammar import about

from fhir_profiles import reading
from fhir_profiles.r4.primitives import PRIMITIVES
from service.fhir.searching import TYPES

WHOM = {"DiagnosticReport": "subject", "Observation": "subject", "Procedure": "subject", "Task": "for"}
#: resources of each type that are made at random
SAMPLES = 3


@pytest.fixture
def ask(client):
    """Send a request that may be refused, but is no fault of the service; return its answer."""

    def ask(method, url, body=None):
        answer = client.open(
            url,
            method=method,
            data=None if body is None else reading.write(body),
            content_type="application/fhir+json",
        )
        assert answer.status_code < 500, (method, url, body, answer.get_json())
        return answer

    return ask


def without_values(kind, resource):
    """Return the resource with an extension in place of each primitive of its own, or the first of a list."""
    made = dict(resource)
    for place in places(kind, resource):
        if len(place.path) > 1 or (place.type not in PRIMITIVES and place.type != "enum"):
            continue
        if place.is_list:
            made[place.name] = [None, *place.value]
            made[f"_{place.name}"] = [UNSAID, *[None] * len(place.value)]
        else:
            del made[place.name]
            made[f"_{place.name}"] = UNSAID
    return made


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "Patient"])
def test_a_type_is_stored_found_and_removed(kind, ask, send):
    send(bundle(put(patient("every-type"))))
    taken = 0
    for number, sample in enumerate(islice(resources(kind), SAMPLES)):
        whole = {**about(sample, "every-type"), "id": f"every-type-{number}"}
        if element := WHOM.get(kind):
            # A fact names its patient.
            whole[element] = {"reference": "Patient/every-type"}
        for resource in (whole, without_values(kind, whole)):
            url = f"/fhir/{kind}/{resource['id']}"
            answer = ask("PUT", url, resource)
            taken += answer.status_code in (200, 201)
            ask("GET", url)
            ask("GET", f"/fhir/{kind}?_id={resource['id']}&_sort=-_lastUpdated")
            ask("DELETE", url)
            ask("GET", f"{url}/_history")
    assert taken, answer.get_json()


SUBSCRIPTION = {
    "resourceType": "Subscription",
    "status": "requested",
    "reason": "a test",
    "criteria": "https://w3id.org/hipway/SubscriptionTopic/stage-entered",
    "channel": {
        "type": "rest-hook",
        "payload": "application/fhir+json",
        "endpoint": "https://93.184.215.14/",
    },
}


@pytest.mark.parametrize(
    "changed",
    [
        {"criteria": None, "_criteria": UNSAID},
        {"status": None, "_status": UNSAID},
        {"channel": {**SUBSCRIPTION["channel"], "type": None, "_type": UNSAID}},
    ],
    ids=["criteria", "status", "channel.type"],
)
def test_a_subscription_without_a_value_is_refused(changed, ask):
    body = {**SUBSCRIPTION, **changed}
    body["channel"] = {name: value for name, value in body["channel"].items() if value is not None}

    answer = ask("POST", "/fhir/Subscription", {n: v for n, v in body.items() if v is not None})

    assert answer.status_code == 422
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_a_parameter_without_a_name_is_none_that_is_known(ask):
    body = {"resourceType": "Parameters", "parameter": [{"_name": UNSAID, "valueString": "x"}]}

    assert ask("POST", "/fhir/Patient/$validate", body).status_code == 400


def test_a_part_of_a_patch_without_a_name_is_refused(ask, send):
    send(bundle(put(patient("nameless"))))
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "contact"},
        {"name": "value", "part": [{"_name": UNSAID, "valueString": "x"}]},
    ]
    for part in (parts, [*parts[:3], {"_name": UNSAID, "valueString": "x"}]):
        body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
        assert ask("PATCH", "/fhir/Patient/nameless", body).status_code in (400, 422)


@pytest.mark.parametrize("modifier", ["in", "below"])
def test_codes_without_a_value_are_no_set_to_search_by(modifier, ask, send):
    system = "https://codes.example.org/nameless"
    definitions = [
        {
            "resourceType": "ValueSet",
            "url": f"{system}/set",
            "status": "active",
            "compose": {"include": [{"system": system, "concept": [{"code": "a"}, {"_code": UNSAID}]}]},
        },
        {
            "resourceType": "CodeSystem",
            "url": system,
            "status": "active",
            "content": "complete",
            "concept": [{"code": "a"}, {"_code": UNSAID, "property": [{"_code": UNSAID, "valueCode": "a"}]}],
        },
    ]
    send(bundle(*map(post, definitions)))
    by = {"in": f"{system}/set", "below": f"{system}|a"}[modifier]

    answer = ask("GET", f"/fhir/Observation?code:{modifier}={by}")

    assert answer.status_code == 400
    assert "has no code" in answer.get_json()["issue"][0]["diagnostics"]
