"""What names a Patient that was joined with another: refused, or stored for the one that stays, and said.

Safety: SP-16. http://hl7.org/fhir/R4/patient.html#links
"""

import pytest
from fhir_visits import MRN, bundle, observation, patient, post, put, put_by
from merging import merge, said, two_records

from fhir_profiles import gate, reading


@pytest.fixture(autouse=True)
def two(database, send):
    two_records(database, send)


def read(client, reference):
    return client.get(f"/fhir/{reference}").get_json()


def by_identifier(value):
    return {"system": MRN, "value": value}


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(bundle(put(observation("late", "Patient/a"))), id="a fact"),
        pytest.param(bundle(put(observation("a1", "Patient/a", valueInteger=9))), id="a fact sent before"),
        pytest.param(bundle(put(patient("a", mrn="A"))), id="the Patient"),
        pytest.param(bundle(put_by(patient(mrn="A"), f"{MRN}|A")), id="the Patient by its identifier"),
        pytest.param(
            bundle(put(patient("a", link=[{"other": {"reference": "Patient/x"}, "type": "replaced-by"}]))),
            id="the Patient, replaced by another one",
        ),
    ],
)
def test_what_names_a_joined_patient_is_refused_and_says_whom_to_name(client, send, stored, named):
    merge(client, "a", "b")
    before = stored()

    answer = send(named)

    assert answer.status_code == 422
    assert "Patient/a was joined with Patient/b: send it for Patient/b" in said(answer)
    assert stored() == before


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param({"reference": f"Patient?identifier={MRN}|A"}, id="conditional reference"),
        pytest.param({"identifier": by_identifier("A")}, id="logical reference"),
    ],
)
def test_what_names_it_by_its_identifier_is_the_target_s_and_the_answer_says_so(client, send, subject):
    merge(client, "a", "b")

    answer = send(bundle(put(observation("late", "", subject=subject))))

    assert answer.status_code == 200
    outcome = answer.get_json()["entry"][0]["response"]["outcome"]
    assert outcome["issue"][0]["severity"] == "information"
    assert "Patient/a had: the two records were joined, and this is about Patient/b" in str(outcome)
    assert read(client, "Observation/late")["subject"]["reference"] == "Patient/b"
    assert gate.check(reading.read(answer.get_data())) == ()


def test_a_visit_that_finds_its_patient_by_the_old_identifier_is_the_target_s(client, send, stored):
    merge(client, "a", "b")
    visit = bundle(
        post(patient(mrn="A"), unless=f"{MRN}|A", full_url="urn:uuid:00000000-0000-4000-8000-000000000001"),
        put(observation("late", "urn:uuid:00000000-0000-4000-8000-000000000001")),
    )

    assert send(visit).status_code == 200

    assert read(client, "Observation/late")["subject"]["reference"] == "Patient/b"
    before = stored()
    assert send(visit).status_code == 200
    assert stored() == before


def test_the_target_keeps_what_it_was_given_whoever_sends_it_again(client, send, stored):
    merge(client, "a", "b")
    before, kept_ = stored(), read(client, "Patient/b")

    assert send(bundle(put(patient("b", mrn="B")))).status_code == 200

    assert stored() == before
    assert send(bundle(put(patient("b", mrn="B", gender="female")))).status_code == 200
    changed = read(client, "Patient/b")
    assert (changed["identifier"], changed["link"]) == (kept_["identifier"], kept_["link"])


@pytest.mark.parametrize("id_", ["a", "b"])
def test_neither_of_the_two_is_removed(client, id_):
    merge(client, "a", "b")

    answer = client.delete(f"/fhir/Patient/{id_}")

    assert answer.status_code == 409
    assert "undo it first by $unmerge" in said(answer)


def test_an_identifier_that_both_had_before_is_the_target_s_own(client, send):
    shared = [by_identifier("shared")]
    for id_ in ("c", "d"):
        send(bundle(put({**patient(id_), "identifier": shared})))
    merge(client, "c", "d")

    answer = send(bundle(put_by(patient(mrn="shared", gender="female"), f"{MRN}|shared")))

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert "outcome" not in answer.get_json()["entry"][0]["response"]
    assert read(client, "Patient/d")["gender"] == "female"
    assert "gender" not in read(client, "Patient/c")
