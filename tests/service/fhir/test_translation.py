"""Local codes: the contract of the pathway, section 2.3."""

import pytest
from fhir_visits import LOCAL, STANDARD, bundle, concept, concept_map, observation, patient, put, translated

from service.fhir import translation

MAP = translation.of([concept_map(("A", "a"), ("B", "b"))])


@pytest.mark.parametrize(
    ("type_", "element"),
    [
        ("Observation", "code"),
        ("Observation", "valueCodeableConcept"),
        ("Observation", "bodySite"),
        ("Procedure", "code"),
        ("DiagnosticReport", "code"),
    ],
)
def test_the_translation_stands_behind_the_original(type_, element):
    resource = {"resourceType": type_, element: concept("A")}

    assert translation.applied(resource, MAP)[element] == translated("A", "a")
    assert resource[element] == concept("A")


def test_each_body_site_of_a_procedure_is_translated():
    resource = {"resourceType": "Procedure", "bodySite": [concept("A"), concept("X")]}

    assert translation.applied(resource, MAP)["bodySite"] == [translated("A", "a"), concept("X")]


def test_components_are_translated_in_question_and_answer():
    component = {"code": concept("A"), "valueCodeableConcept": concept("B")}
    resource = {"resourceType": "Observation", "component": [component]}

    assert translation.applied(resource, MAP)["component"] == [
        {"code": translated("A", "a"), "valueCodeableConcept": translated("B", "b")}
    ]


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param({"resourceType": "Observation", "code": concept("unknown")}, id="an unknown code"),
        pytest.param({"resourceType": "Condition", "code": concept("A")}, id="another type"),
        pytest.param({"resourceType": "Observation", "method": concept("A")}, id="another element"),
        pytest.param({"resourceType": "Observation", "code": translated("A", "a")}, id="translated before"),
        pytest.param({"resourceType": "Observation", "code": {"text": "A"}}, id="no coding"),
        pytest.param(
            {"resourceType": "Observation", "code": concept("a")}, id="the sender's own standard code"
        ),
    ],
)
def test_what_is_not_to_be_translated_stays_the_same_object(resource):
    assert translation.applied(resource, MAP) is resource


def test_what_no_map_translates_any_more_is_taken_away():
    resource = {"resourceType": "Observation", "code": translated("A", "a")}

    assert translation.applied(resource, {})["code"] == concept("A")


def test_what_is_translated_otherwise_now_is_replaced():
    resource = {"resourceType": "Observation", "code": translated("A", "old")}

    assert translation.applied(resource, MAP)["code"] == translated("A", "a")


def test_what_the_sender_said_stays_whatever_the_maps_say():
    both = {"coding": [{"system": LOCAL, "code": "A"}, {"system": STANDARD, "code": "a"}]}
    resource = {"resourceType": "Observation", "code": both}

    assert translation.applied(resource, MAP) is translation.applied(resource, {}) is resource


def test_a_translation_is_not_translated_further():
    further = translation.of(
        [
            {
                "status": "active",
                "group": [
                    {
                        "source": LOCAL,
                        "target": STANDARD,
                        "element": [{"code": "A", "target": [{"code": "a", "equivalence": "equal"}]}],
                    },
                    {
                        "source": STANDARD,
                        "target": LOCAL,
                        "element": [{"code": "a", "target": [{"code": "Z", "equivalence": "equal"}]}],
                    },
                ],
            }
        ]
    )
    once = translation.applied({"resourceType": "Observation", "code": concept("A")}, further)

    assert [coding["code"] for coding in once["code"]["coding"]] == ["A", "a"]
    assert translation.applied(once, further) is once


@pytest.mark.parametrize("equivalence", ["wider", "narrower", "relatedto", "unmatched", "disjoint"])
def test_only_the_same_meaning_translates(equivalence):
    assert translation.of([concept_map(("A", "a"), equivalence=equivalence)]) == {}


def test_a_retired_map_translates_nothing():
    assert translation.of([concept_map(("A", "a"), status="retired")]) == {}


def test_a_loaded_map_translates_what_comes_after_it(send, client):
    before = bundle(put(patient("p")), put(observation("before", "Patient/p", code=concept("A"))))
    after = bundle(put(patient("p")), put(observation("after", "Patient/p", code=concept("A"))))

    assert send(before).status_code == 200
    assert send(bundle(put(concept_map(("A", "a"))))).status_code == 200
    assert send(after).status_code == 200

    assert client.get("/fhir/Observation/before").get_json()["code"] == concept("A")
    assert client.get("/fhir/Observation/after").get_json()["code"] == translated("A", "a")
    assert [e["resource"]["id"] for e in client.get("/fhir/Observation?code=a").get_json()["entry"]] == [
        "after"
    ]


def test_a_changed_map_holds_at_once(send, client):
    send(bundle(put(concept_map(("A", "a")))))
    send(bundle(put(concept_map(("A", "other")))))
    send(bundle(put(patient("p")), put(observation("changed", "Patient/p", code=concept("A")))))

    assert client.get("/fhir/Observation/changed").get_json()["code"] == translated("A", "other")
