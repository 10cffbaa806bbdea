"""`$validate` says what a write says, tells no value, and stores nothing.

http://hl7.org/fhir/R4/resource-operation-validate.html
"""

import pytest
from cds_calls import rows
from fhir_visits import bundle, observation, patient, put

from fhir_profiles import canonical, reading

FHIR = "application/fhir+json"
GOOD = observation(None, "Patient/valid")
FAULTY = [
    pytest.param(observation(None, "Patient/valid", status="secret"), id="a status"),
    pytest.param(observation(None, "Patient/valid", colour="secret"), id="an element"),
    pytest.param(observation(None, "Patient/valid", valueInteger="secret"), id="a type"),
    pytest.param({"resourceType": "Observation", "status": "final"}, id="without a code"),
    pytest.param(observation(None, "Patient/valid", note=[{"text": None}]), id="a null"),
]


@pytest.fixture(autouse=True)
def known(send):
    assert send(bundle(put(patient("valid")))).status_code == 200


@pytest.fixture
def refused(request, client, known):
    """What a write of the test's resource is answered; that it was asked for is written down."""
    resource = request.getfixturevalue("resource")
    answer = client.post("/fhir/Observation", data=reading.write(resource), content_type=FHIR)
    assert answer.status_code == 422
    return answer.get_json()["issue"]


@pytest.fixture
def nothing_changed(request, database, known):
    """Fail the test if a row was added to any table but that of accesses."""
    if "refused" in request.fixturenames:
        request.getfixturevalue("refused")
    with database.transaction() as tx:
        before = rows(tx)
    yield
    with database.transaction() as tx:
        after = rows(tx)
    assert {t for t in after if after[t] != before[t]} <= {"access"}


def validate(client, resource, path="Observation", **query):
    url = f"/fhir/{path}/$validate"
    return client.post(url, data=reading.write(resource), content_type=FHIR, query_string=query)


def errors(answer):
    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json()["resourceType"] == "OperationOutcome"
    return [issue for issue in answer.get_json()["issue"] if issue["severity"] == "error"]


@pytest.mark.usefixtures("nothing_changed")
def test_what_is_well_is_said_to_be(client):
    answer = validate(client, GOOD)

    assert errors(answer) == []
    assert answer.get_json()["issue"][-1]["severity"] == "information"


@pytest.mark.usefixtures("nothing_changed")
@pytest.mark.parametrize("resource", FAULTY)
def test_what_a_write_refuses_is_refused_with_the_same_words(resource, refused, client):
    for query in ({}, {"mode": "create"}):
        answer = validate(client, resource, **query)
        said = [(i["code"], i["diagnostics"], i["expression"]) for i in errors(answer)]
        assert said == [(i["code"], i["diagnostics"], i["expression"]) for i in refused]
        assert "secret" not in answer.get_data(as_text=True)


@pytest.mark.usefixtures("nothing_changed")
@pytest.mark.parametrize("resource", [observation(None, "Patient/stranger")])
def test_what_only_the_write_would_be_refused_for_is_said_with_a_mode(resource, refused, client):
    assert errors(validate(client, resource)) == []
    (error,) = errors(validate(client, resource, mode="create"))
    assert error["diagnostics"] == refused[0]["diagnostics"]
    assert errors(validate(client, GOOD, mode="create")) == []


@pytest.mark.usefixtures("nothing_changed")
def test_an_update_is_tried_on_the_resource_as_it_is(client):
    body = patient("valid", active=True)

    assert errors(validate(client, body, "Patient/valid", mode="update")) == []
    assert errors(validate(client, body | {"id": "other"}, "Patient/valid", mode="update"))
    assert client.get("/fhir/Patient/valid").get_json().get("active") is None


def test_a_delete_is_tried_too(client, send):
    send(bundle(put(patient("kept")), put(observation("keeps", "Patient/kept"))))

    (error,) = errors(client.get("/fhir/Patient/kept/$validate?mode=delete"))
    assert errors(client.get("/fhir/Observation/keeps/$validate?mode=delete")) == []

    refused = client.delete("/fhir/Patient/kept").get_json()["issue"][0]
    assert error["diagnostics"] == refused["diagnostics"]
    assert client.get("/fhir/Observation/keeps").status_code == 200


@pytest.mark.usefixtures("nothing_changed")
def test_parameters_carry_resource_mode_and_profile(client):
    given = [
        {"name": "resource", "resource": GOOD},
        {"name": "mode", "valueCode": "create"},
        {"name": "profile", "valueUri": canonical.structure("hip-observation")},
    ]

    answer = validate(client, {"resourceType": "Parameters", "parameter": given})

    found = {(e["code"], e["expression"][0]) for e in errors(answer)}
    assert ("invariant", "Observation") in found


@pytest.mark.usefixtures("nothing_changed")
def test_a_profile_that_is_claimed_is_looked_at_and_one_of_r4_is_well(client):
    claims = GOOD | {"meta": {"profile": [canonical.structure("hip-observation")]}}
    of_r4 = "http://hl7.org/fhir/StructureDefinition/Observation"

    assert errors(validate(client, claims))
    assert errors(validate(client, GOOD, profile=of_r4)) == []


@pytest.mark.usefixtures("nothing_changed")
def test_what_is_stored_is_validated_where_nothing_is_sent(client):
    assert errors(client.get("/fhir/Patient/valid/$validate")) == []
    assert client.get("/fhir/Patient/nobody/$validate").status_code == 404


@pytest.mark.usefixtures("nothing_changed")
def test_the_model_is_a_second_opinion_and_no_reason_to_refuse(client):
    """R4 has an element here that R4B, of which the model is, no longer has."""
    evidence = {"resourceType": "Evidence", "status": "draft", "exposureBackground": {"display": "secret"}}

    answer = validate(client, evidence, "Evidence", mode="create")

    assert errors(answer) == []
    doubtful = [issue for issue in answer.get_json()["issue"] if issue["severity"] == "warning"]
    assert ["Evidence.exposureBackground"] in [issue["expression"] for issue in doubtful]
    assert "secret" not in answer.get_data(as_text=True)


@pytest.mark.usefixtures("nothing_changed")
@pytest.mark.parametrize(
    ("path", "body", "query", "status"),
    [
        pytest.param("Observation", GOOD, {"mode": "profile"}, 400, id="another mode"),
        pytest.param("Observation", GOOD, {"mode": "update"}, 400, id="update of a type"),
        pytest.param("Observation/a", GOOD, {"mode": "create"}, 400, id="create of an instance"),
        pytest.param("Observation", GOOD, {"profile": "https://example.org/p"}, 400, id="unknown profile"),
        pytest.param("Observation", GOOD, {"profile": canonical.SIDE}, 400, id="an extension"),
        pytest.param("Observation", {"resourceType": "Parameters"}, {}, 400, id="nothing"),
        pytest.param("Bundle", GOOD, {}, 404, id="a type that is not kept"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(path, body, query, status, client):
    answer = validate(client, body, path, **query)

    assert (answer.status_code, answer.get_json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.usefixtures("nothing_changed")
@pytest.mark.parametrize("body", [{"resourceType": "Patient"}, {"resourceType": "Colour"}, {}])
def test_another_type_than_that_of_the_url_is_an_error(body, client):
    assert errors(validate(client, body))
