"""What references mean, and that one Bundle is about one patient.

http://hl7.org/fhir/R4/references.html and http://hl7.org/fhir/R4/bundle.html#references
"""

import pytest
from fhir_visits import (
    MRN,
    URN,
    bundle,
    decision,
    encounter,
    observation,
    patient,
    post,
    practitioner,
    put,
    visit,
)

from service.fhir import references

HOSPITAL = "https://fhir.hospital.example.org/r4"


@pytest.fixture(autouse=True)
def _known(send):
    identifier = [{"system": "https://staff", "value": "7"}]
    assert send(visit("known")).status_code == 200
    assert send(visit("other")).status_code == 200
    assert send(bundle(put(patient("mrn-known", mrn="known")))).status_code == 200
    assert send(bundle(put(practitioner("staff-7", identifier=identifier)))).status_code == 200


def made(client, response, index):
    assert response.status_code == 200, response.get_json()
    location = response.get_json()["entry"][index]["response"]["location"]
    return client.get(f"/fhir/{location}").get_json()


def refused(response):
    assert response.status_code == 422, response.get_json()
    return [issue["expression"][0] for issue in response.get_json()["issue"]]


def test_a_urn_becomes_the_reference_of_its_entry(send, client):
    response = send(
        bundle(
            post(patient(mrn="urn"), unless=f"{MRN}|urn", full_url=URN.format(1)),
            post(encounter(URN.format(1)), full_url=URN.format(2)),
            put(observation("urn-1", URN.format(1), encounter={"reference": URN.format(2)})),
        )
    )

    patient_, encounter_, finding = (made(client, response, index) for index in range(3))
    assert finding["subject"] == {"reference": f"Patient/{patient_['id']}"}
    assert finding["encounter"] == {"reference": f"Encounter/{encounter_['id']}"}
    assert encounter_["subject"] == {"reference": f"Patient/{patient_['id']}"}


@pytest.mark.parametrize(
    "written", [f"{HOSPITAL}/Patient/p-77", "Patient/p-77"], ids=["absolute", "relative"]
)
def test_a_full_url_is_found_as_absolute_and_as_relative_to_its_base(written, send, client):
    response = send(
        bundle(
            post(patient(mrn="full"), unless=f"{MRN}|full", full_url=f"{HOSPITAL}/Patient/p-77"),
            put(observation("full-1", written), full_url=f"{HOSPITAL}/Observation/full-1"),
        )
    )

    subject = made(client, response, 1)["subject"]["reference"]
    assert subject == f"Patient/{made(client, response, 0)['id']}"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        pytest.param("Patient/known", "Patient/known", id="relative"),
        pytest.param("http://127.0.0.1:8000/fhir/Patient/known", "Patient/known", id="our own base"),
        pytest.param("Patient/known/_history/1", "Patient/known/_history/1", id="a version"),
        pytest.param(f"Patient?identifier={MRN}|known", "Patient/mrn-known", id="conditional"),
    ],
)
def test_a_reference_to_a_known_patient_is_settled(written, stored, send, client):
    response = send(bundle(post(observation(None, written))))

    assert made(client, response, 0)["subject"]["reference"] == stored


def test_a_patient_named_by_identifier_alone_is_found(send, client):
    resource = observation(None, "", subject={"identifier": {"system": MRN, "value": "known"}})

    response = send(bundle(post(resource)))

    assert made(client, response, 0)["subject"]["reference"] == "Patient/mrn-known"


def test_a_conditional_reference_to_a_person_is_settled(send, client):
    performer = [{"reference": "Practitioner?identifier=https://staff|7"}]

    response = send(bundle(post(observation(None, "Patient/known", performer=performer))))

    assert made(client, response, 0)["performer"] == [{"reference": "Practitioner/staff-7"}]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(URN.format(99), id="a urn of no entry"),
        pytest.param("Patient/nobody", id="an unknown patient"),
        pytest.param(f"Patient?identifier={MRN}|nobody", id="a condition without a match"),
        pytest.param("https://elsewhere.example.org/Patient/1", id="a patient of another server"),
        pytest.param("#contained", id="a contained patient"),
    ],
)
def test_a_reference_to_no_patient_is_refused(written, send, nothing_stored):
    resource = observation(None, written, contained=[{"resourceType": "Patient", "id": "contained"}])

    (expression,) = refused(send(bundle(post(resource))))

    assert expression == "Bundle.entry[0].resource.subject"


def test_each_reference_that_fails_is_named(send, nothing_stored):
    performer = [{"reference": "Practitioner/anyone"}, {"reference": URN.format(8)}]
    response = send(bundle(post(observation(None, URN.format(9), performer=performer))))

    assert set(refused(response)) == {
        "Bundle.entry[0].resource.subject",
        "Bundle.entry[0].resource.performer[1]",
    }
    assert URN.format(9) not in response.text


def test_an_absent_subject_of_an_input_is_refused(send, nothing_stored):
    resource = observation(None, "")
    del resource["subject"]

    assert refused(send(bundle(post(resource)))) == ["Bundle.entry[0].resource.subject"]


OTHER = [
    pytest.param(post(observation(None, "Patient/other")), id="subject"),
    pytest.param(put(patient("third")), id="a second Patient"),
    pytest.param(
        post(observation(None, "Patient/known", performer=[{"reference": "Patient/other"}])), id="performer"
    ),
    pytest.param(
        post(observation(None, "Patient/known", hasMember=[{"reference": "Observation/other-1"}])),
        id="a finding of another",
    ),
    pytest.param(put(observation("other-1", "Patient/known")), id="another's finding taken over"),
    pytest.param(post(observation(None, "Patient/other/_history/1")), id="a version"),
    pytest.param(post(observation(None, "http://127.0.0.1:8000/fhir/Patient/other")), id="absolute"),
    pytest.param(
        post(
            observation(
                None,
                "Patient/known",
                contained=[{**encounter("Patient/other"), "id": "in"}],
                encounter={"reference": "#in"},
            )
        ),
        id="contained",
    ),
]


@pytest.mark.parametrize("entry", OTHER)
def test_what_belongs_to_a_second_patient_is_refused_and_named(entry, send, nothing_stored):
    expressions = refused(send(bundle(put(patient("known")), entry)))

    assert expressions
    assert all(expression.startswith("Bundle.entry[1].resource") for expression in expressions)


@pytest.mark.parametrize(
    "focus", ["ServiceRequest/nothing", "Observation/other-1", "Patient/nobody", URN.format(5)]
)
def test_the_focus_of_a_decision_may_point_to_nothing_known(focus, send, client):
    response = send(bundle(post(decision("Patient/known", focus))))

    assert made(client, response, 0)["focus"]["reference"] == focus


def test_what_the_focus_may_point_to_no_other_element_may(send, nothing_stored):
    response = send(bundle(post(decision("Patient/nobody", "Patient/nobody"))))

    assert refused(response) == ["Bundle.entry[0].resource.for"]


def test_a_reference_says_where_it_stands():
    resource = {"a": [{"b": {"reference": "A/1"}}, {"reference": "#in"}], "c": {"reference": "A/1"}}

    found = references.literal(resource)

    assert [(each.path, each.element, each.target) for each in found] == [
        ("a[0].b", "a", "A/1"),
        ("c", "c", "A/1"),
    ]


def test_a_merged_patient_may_point_to_the_other_record(send):
    link = [{"other": {"reference": "Patient/other"}, "type": "replaced-by"}]

    assert send(bundle(put(patient("merged", link=link)))).status_code == 200


def test_untouched_parts_of_a_resource_are_shared_not_copied():
    resource = {"a": [{"reference": "A/1"}], "b": {"c": [1]}}

    found = references.literal(resource)
    unchanged = references.replaced(resource, found, {})
    changed = references.replaced(resource, found, {"A/1": "B/2"})

    assert unchanged["a"] is resource["a"]
    assert changed == {"a": [{"reference": "B/2"}], "b": {"c": [1]}}
    assert changed["b"] is resource["b"]
    assert resource["a"] == [{"reference": "A/1"}]


@pytest.mark.parametrize(
    ("query", "token"),
    [
        ("identifier=s|v", ("s", "v")),
        ("identifier=|v", ("", "v")),
        ("identifier=s%7Cv%20w", ("s", "v w")),
        ("identifier=s|a+b", ("s", "a+b")),
        ("identifier=v", None),
        ("identifier=s|", None),
        ("name=x", None),
        ("identifier=s|v&name=x", None),
    ],
)
def test_a_condition_is_one_identifier_with_its_system(query, token):
    assert references.identifier_token(query) == token
