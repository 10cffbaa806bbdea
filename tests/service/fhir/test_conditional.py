"""A condition means the same wherever a client writes it.

http://hl7.org/fhir/R4/http.html#ccreate
"""

from urllib.parse import quote

import pytest
from fhir_visits import MRN, bundle, patient, post, put_by

BASE = "http://127.0.0.1:8000/fhir"


@pytest.fixture
def create(client):
    def create(mrn, path="Patient", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(f"/fhir/{path}", json=patient(mrn=mrn), headers=named)

    return create


def condition(mrn):
    return f"identifier={quote(f'{MRN}|{mrn}', safe='')}"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "?",
        "Patient?_format=json&_pretty=true&",
        "Patient?",
        "/Patient?",
        f"{BASE}/Patient?",
        "https://public.example.org/fhir/Patient?",
    ],
)
def test_the_condition_of_a_create_may_be_the_whole_search(before, create):
    mrn = f"whole-{len(before)}"

    first, second = (create(mrn, If_None_Exist=f"{before}{condition(mrn)}") for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.get_json() == second.get_json()


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ("Practitioner?", 400),
        ("Patient/1?", 400),
        (f"{BASE}?", 400),
        # A system may well look like an address of ours; this one the Patient does not carry.
        ("identifier=https://x.example.org/Patient?", 422),
    ],
)
def test_a_search_of_something_else_is_no_condition(before, status, create, nothing_stored):
    refused = create("else", If_None_Exist=f"{before}{condition('else')}")

    assert refused.status_code == status


def test_the_condition_of_an_entry_may_be_the_whole_search(send):
    entry = post(patient(mrn="entry"), unless=f"{MRN}|entry")
    entry["request"]["ifNoneExist"] = f"Patient?{entry['request']['ifNoneExist']}"

    answers = [send(bundle(entry)).get_json()["entry"][0]["response"]["status"] for _ in range(2)]

    assert [answer[:3] for answer in answers] == ["201", "200"]


@pytest.mark.parametrize("more", ["", "&_format=json", "&_pretty=true"])
def test_a_condition_in_the_url_of_a_create_is_not_passed_over(more, create):
    mrn = f"url{more[:3]}".replace("&", "-")

    first, second = (create(mrn, f"Patient?{condition(mrn)}{more}") for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)


def test_a_create_has_one_condition(create, nothing_stored):
    refused = create("two", f"Patient?{condition('two')}", If_None_Exist=condition("two"))

    assert refused.status_code == 400


def test_a_create_with_any_other_query_is_refused(create, nothing_stored):
    assert create("other", "Patient?name=Rossi").status_code == 400
    assert create("form", "Patient?_format=json", If_None_Exist="x").status_code == 400


def test_a_key_is_of_the_condition_in_the_url_as_well(create):
    key = {"Idempotency_Key": "of-the-condition"}
    assert create("key", f"Patient?{condition('key')}", **key).status_code == 201

    assert create("key", **key).status_code == 422
    assert create("key", f"Patient?{condition('key')}", **key).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_what_shapes_the_answer_is_no_part_of_a_condition(method, client, create):
    create(f"shaped-{method}")
    body = [{"op": "add", "path": "/active", "value": True}]
    sent = {"put": patient(mrn="shaped-put"), "patch": body}.get(method)

    answer = client.open(
        f"/fhir/Patient?_format=json&{condition(f'shaped-{method}')}&_pretty=true", method=method, json=sent
    )

    assert answer.status_code == (204 if method == "delete" else 200)


def test_a_plus_in_a_url_is_a_space_in_a_condition_as_in_a_search(client):
    of_it = f"identifier={quote(MRN, safe='')}%7Ctwo+words"
    named = patient(mrn="two words")

    created = client.post(f"/fhir/Patient?{of_it}", json=named)
    found = client.get(f"/fhir/Patient?{of_it}").get_json()["entry"]
    updated = client.put(f"/fhir/Patient?{of_it}", json={**named, "gender": "female"})
    removed = client.delete(f"/fhir/Patient?{of_it}")

    assert [answer.status_code for answer in (created, updated, removed)] == [201, 200, 204]
    assert [entry["resource"]["id"] for entry in found] == [created.get_json()["id"]]
    assert client.get(f"/fhir/Patient/{created.get_json()['id']}").status_code == 410


def test_a_percent_sign_of_a_number_is_decoded_once(client):
    of_it = f"identifier={quote(f'{MRN}|5%41', safe='')}"

    created = client.put(f"/fhir/Patient?{of_it}", json=patient(mrn="5%41"))

    assert created.status_code == 201
    assert client.put(f"/fhir/Patient?{of_it}", json=patient(mrn="5%41")).status_code == 200


def test_a_condition_that_was_left_empty_is_no_create_without_one(create, nothing_stored):
    assert create("left-empty", If_None_Exist="").status_code == 400


@pytest.mark.parametrize("more", ["&_format=json", "&_pretty=true", "&", "&&"])
def test_what_shapes_the_answer_may_stand_beside_the_condition_of_an_entry(more, send):
    mrn = f"shaped{more.translate(str.maketrans('&_=', '...'))}"
    entry = put_by(patient(mrn=mrn), f"{MRN}|{mrn}")
    entry["request"]["url"] += more

    answers = [send(bundle(entry)).get_json()["entry"][0]["response"]["status"] for _ in range(2)]

    assert [answer[:3] for answer in answers] == ["201", "200"]
