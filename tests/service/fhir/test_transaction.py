"""Transactions: whole or not at all, and the same again changes nothing.

http://hl7.org/fhir/R4/http.html#transaction and the contract of the pathway, section 2.1.
"""

from pathlib import Path

import pytest
from fhir_visits import (
    MRN,
    URN,
    bundle,
    encounter,
    observation,
    patient,
    post,
    practitioner,
    put,
    put_by,
    visit,
)

from fhir_profiles import reading
from service.fhir.entries import one

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.json"))


def read(client, reference):
    return client.get(f"/fhir/{reference}").get_json()


def lines(response):
    assert response.status_code == 200, response.get_json()
    return [entry["response"] for entry in response.get_json()["entry"]]


def references(response):
    return [line["location"].partition("/_history")[0] for line in lines(response)]


def test_a_new_visit_is_created_and_answered_line_by_line(send):
    response = send(visit("t1"))

    assert response.content_type == "application/fhir+json"
    assert response.get_json()["type"] == "transaction-response"
    assert [(line["status"], line["location"], line["etag"]) for line in lines(response)] == [
        ("201 Created", "Patient/t1/_history/1", 'W/"1"'),
        ("201 Created", "Observation/t1-1/_history/1", 'W/"1"'),
    ]


def test_a_later_put_is_a_new_version(send, client):
    send(visit("t2", value=6))

    response = send(visit("t2", value=7))

    assert [line["location"] for line in lines(response)] == [
        "Patient/t2/_history/1",
        "Observation/t2-1/_history/2",
    ]
    assert read(client, "Observation/t2-1/_history/1")["valueInteger"] == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_sent_again_changes_nothing(path, send, stored):
    example = reading.read(path.read_bytes())
    if example["resourceType"] != "Bundle":
        example = one(example, method="PUT", type_=example["resourceType"], id_=example["id"])
    first = references(send(example))
    before = stored()

    again = send(example)

    assert references(again) == first
    assert stored() == before
    assert "Evaluation-Due" not in again.headers


def test_entries_in_another_order_are_the_same_bundle(send, stored):
    entries = [
        post(patient(mrn="shuffled"), unless=f"{MRN}|shuffled", full_url=URN.format(1)),
        post(encounter(URN.format(1)), full_url=URN.format(2)),
        post(observation(None, URN.format(1), encounter={"reference": URN.format(2)})),
        post(observation(None, URN.format(1), valueInteger=3)),
    ]
    first = references(send(bundle(*entries)))
    before = stored()

    again = references(send(bundle(*reversed(entries))))

    assert again == first[::-1]
    assert stored() == before


def test_a_conditional_put_finds_what_carries_the_identifier(send):
    def by(value):
        identifier = [{"system": "https://lab", "value": "A 1"}]
        resource = observation(None, "Patient/t3", identifier=identifier, valueInteger=value)
        return bundle(put(patient("t3")), put_by(resource, "https://lab|A%201"))

    (_, first) = lines(send(by(1)))
    (_, second) = lines(send(by(2)))

    assert first["status"] == "201 Created"
    assert second["location"] == first["location"].replace("_history/1", "_history/2")


def test_a_conditional_put_keeps_the_id_the_sender_gave(send):
    identifier = [{"system": "https://lab", "value": "given"}]
    resource = observation("my-id", "Patient/t4", identifier=identifier)

    made = references(send(bundle(put(patient("t4")), put_by(resource, "https://lab|given"))))

    assert made[1] == "Observation/my-id"


def test_a_post_with_a_condition_returns_the_existing_one_unchanged(send, client):
    condition = f"{MRN}|t5"
    made = references(send(bundle(post(patient(mrn="t5", gender="female"), unless=condition))))

    again = lines(send(bundle(post(patient(mrn="t5", gender="male"), unless=condition))))

    assert again[0]["status"] == "200 OK"
    assert read(client, made[0])["gender"] == "female"


def test_two_entries_with_one_condition_are_one_resource(send):
    condition = f"{MRN}|t6"
    response = send(
        bundle(
            post(patient(mrn="t6"), unless=condition, full_url=URN.format(1)),
            post(patient(mrn="t6"), unless=condition, full_url=URN.format(2)),
            put(observation("t6-1", URN.format(1))),
            put(observation("t6-2", URN.format(2))),
        )
    )

    assert [line["status"] for line in lines(response)[:2]] == ["201 Created", "200 OK"]
    assert len(set(references(response)[:2])) == 1


def test_several_matches_are_refused_and_counted(send, nothing_stored_after):
    same = [{"system": MRN, "value": "twins"}]
    send(bundle(put(practitioner("twin-1", identifier=same)), put(practitioner("twin-2", identifier=same))))
    check = nothing_stored_after()

    response = send(bundle(put_by(practitioner(None, identifier=same), f"{MRN}|twins")))

    assert response.status_code == 412
    (issue,) = response.get_json()["issue"]
    assert issue["code"] == "multiple-matches"
    assert issue["expression"] == ["Bundle.entry[0].request"]
    check()


def test_two_puts_of_different_content_into_one_resource_are_refused(send, nothing_stored):
    response = send(
        bundle(
            put(patient("t7")),
            put(observation("t7-1", "Patient/t7", valueInteger=1)),
            put(observation("t7-1", "Patient/t7", valueInteger=2)),
        )
    )

    assert response.status_code == 422
    assert response.get_json()["issue"][0]["expression"] == ["Bundle.entry[2].resource"]


def test_a_condition_must_stand_in_the_resource_too(send, nothing_stored):
    response = send(bundle(post(patient(mrn="other"), unless=f"{MRN}|asked")))

    assert response.status_code == 422


def test_a_bundle_may_carry_definitions_and_people_and_no_patient(send):
    concept_map = {"resourceType": "ConceptMap", "id": "m", "status": "active"}

    response = send(bundle(put(practitioner("alone")), put(concept_map)))

    assert len(lines(response)) == 2
    assert "Evaluation-Due" not in response.headers


def test_a_bundle_of_one_thousand_entries_is_accepted_and_one_more_names_the_limit(send):
    people = [put(practitioner(f"many-{n}")) for n in range(1000)]
    assert len(lines(send(bundle(*people)))) == 1000

    response = send(bundle(*people, put(practitioner("many-1000"))))

    assert response.status_code == 413
    assert "1000 entries" in response.get_json()["issue"][0]["diagnostics"]


def test_an_empty_bundle_is_a_transaction_too(send):
    assert send({"resourceType": "Bundle", "type": "transaction"}).status_code == 200


def test_a_version_that_moved_on_is_refused(send):
    send(visit("t8", value=1))
    send(visit("t8", value=2))
    late = visit("t8", value=3)
    late["entry"][1]["request"]["ifMatch"] = 'W/"1"'

    assert send(late).status_code == 412


NUMBERS = (b"7.10", b"0.000000001", b"1.0e2", b"1E+2", b"-0.50", b"100", b"12345678901234567890.123456789")


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.decode())
def test_a_decimal_comes_back_byte_for_byte(number, client):
    quantity = b'{"value":%s,"unit":"score"}' % number
    body = reading.write(observation("decimal", "Patient/t9", valueQuantity={"value": "HERE"}))
    body = body.replace(b'{"value":"HERE"}', quantity)
    client.put("/fhir/Patient/t9", data=reading.write(patient("t9")))

    answer = client.put("/fhir/Observation/decimal", data=body, content_type="application/fhir+json")

    assert answer.status_code in (200, 201), answer.get_json()
    assert quantity in answer.data
    assert quantity in client.get("/fhir/Observation/decimal").data
    assert quantity in client.get("/fhir/Observation?patient=t9").data
