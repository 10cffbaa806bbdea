"""What a call must bring along, and how one is refused that does not: never with a value of the data.

https://cds-hooks.hl7.org/2.0/#calling-a-cds-service
"""

import copy

import pytest
from cds_calls import SIGN, VIEW, post, sign, view
from fhir_visits import observation, patient

from service.cds import markdown

pytestmark = pytest.mark.usefixtures("nothing_stored")

WHO = "secret-id"
SURNAME = "Ravensworth"


def called():
    return view(
        [patient(WHO, name=[{"family": SURNAME}]), observation("o1", f"Patient/{WHO}")],
        WHO,
    )


def changed(change):
    asked = copy.deepcopy(called())
    change(asked)
    return asked


def test_discovery_names_both_services_and_what_they_ask_for(client):
    services = client.get("/cds-services").get_json()["services"]

    assert {(each["id"], each["hook"]) for each in services} == {(VIEW, "patient-view"), (SIGN, "order-sign")}
    for each in services:
        assert each["description"]
        assert each["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        assert each["prefetch"]["observations"].startswith("Observation?patient={{context.patientId}}&code=")
        assert "http://loinc.org|72514-3" in each["prefetch"]["observations"]


def test_a_call_without_findings_has_no_cards(client):
    asked = view([patient(WHO)], WHO)

    answer = post(client, VIEW, asked)

    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


@pytest.mark.parametrize("key", ["patient", "observations", "procedures", "reports"])
def test_what_is_needed_and_missing_is_412_and_named(key, client):
    answer = post(client, VIEW, changed(lambda asked: asked["prefetch"].pop(key)))

    assert answer.status_code == 412
    assert key in answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("key", ["structures", "decisions"])
def test_what_is_not_needed_may_be_missing(key, client):
    assert post(client, VIEW, changed(lambda asked: asked["prefetch"].pop(key))).status_code == 200


def test_a_call_without_any_prefetch_is_412(client):
    assert post(client, VIEW, changed(lambda asked: asked.pop("prefetch"))).status_code == 412


def test_a_patient_that_is_null_is_412(client):
    assert post(client, VIEW, changed(lambda a: a["prefetch"].update(patient=None))).status_code == 412


def test_what_the_client_could_not_read_is_missing_too(client):
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}

    answer = post(client, VIEW, changed(lambda asked: asked["prefetch"].update(observations=failed)))

    assert answer.status_code == 412


def test_one_page_of_several_is_not_all_there_is(client):
    def page(asked):
        asked["prefetch"]["observations"]["link"] = [{"relation": "next", "url": "https://ehr.example.org/2"}]

    answer = post(client, VIEW, changed(page))

    assert answer.status_code == 412
    assert "page" in answer.get_json()["issue"][0]["diagnostics"]


def _of_another(asked):
    asked["prefetch"]["observations"]["entry"][0]["resource"]["subject"]["reference"] = "Patient/somebody"


def _another_patient(asked):
    asked["prefetch"]["patient"]["id"] = "somebody"


def _wrong_status(asked):
    asked["prefetch"]["observations"]["entry"][0]["resource"]["status"] = SURNAME


def _without_id(asked):
    del asked["prefetch"]["observations"]["entry"][0]["resource"]["id"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(lambda a: a.update(hook="order-select"), "hook", id="another hook"),
        pytest.param(lambda a: a.update(hookInstance="1"), "hookInstance", id="no UUID"),
        pytest.param(lambda a: a.update(context=[SURNAME]), "context", id="no context"),
        pytest.param(lambda a: a["context"].update(patientId=7), "context.patientId", id="no patient id"),
        pytest.param(lambda a: a["context"].pop("userId"), "context.userId", id="no user"),
        pytest.param(lambda a: a.update(fhirServer=SURNAME), "fhirServer", id="no server"),
        pytest.param(lambda a: a.update(prefetch=SURNAME), "prefetch", id="no prefetch"),
        pytest.param(lambda a: a["prefetch"].update(reports=SURNAME), "prefetch.reports", id="no resource"),
        pytest.param(
            lambda a: a["prefetch"].update(reports={"a": SURNAME}),
            "prefetch.reports.resourceType",
            id="no type",
        ),
        pytest.param(_of_another, "prefetch.observations.entry[0].resource", id="of another patient"),
        pytest.param(_another_patient, "prefetch.patient", id="another patient"),
        pytest.param(_wrong_status, "prefetch.observations.entry[0].resource.status", id="not valid"),
        pytest.param(_without_id, "prefetch.observations.entry[0].resource", id="without an id"),
    ],
)
def test_what_is_malformed_is_400_and_says_where(change, where, client):
    answer = post(client, VIEW, changed(change))

    assert answer.status_code == 400
    assert where in {issue["expression"][0] for issue in answer.get_json()["issue"]}
    for value in (SURNAME, WHO, "somebody"):
        assert value not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a": 1}'], ids=["nothing", "list", "unclosed", "other"]
)
def test_what_is_no_call_is_400(body, client):
    answer = client.post(f"/cds-services/{VIEW}", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_another_form_is_415(client):
    answer = client.post(f"/cds-services/{VIEW}", data=b"<a/>", content_type="application/xml")

    assert answer.status_code == 415


def test_a_service_that_there_is_not_is_404_and_names_those_there_are(client):
    answer = post(client, "other", called())

    assert answer.status_code == 404
    assert VIEW in answer.get_json()["issue"][0]["diagnostics"]


def test_order_sign_needs_its_orders(client):
    asked = sign([patient(WHO)], WHO)
    del asked["context"]["draftOrders"]

    answer = post(client, SIGN, asked)

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["expression"] == ["context.draftOrders"]


def test_absolute_references_to_the_clients_own_server_are_followed(client):
    base = "https://ehr.example.org/fhir"
    asked = view([patient(WHO), observation("o1", f"{base}/Patient/{WHO}")], WHO)

    assert post(client, VIEW, asked).status_code == 400
    assert post(client, VIEW, asked | {"fhirServer": base}).status_code == 200


def test_a_code_with_a_sign_for_markdown_stays_text(client):
    assert markdown.escaped("[a](https://x) <b>\n# c") == r"\[a\]\(https\://x\) \<b\> \# c"
