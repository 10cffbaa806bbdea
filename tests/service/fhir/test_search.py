"""Reading back: read, vread, history and the searches of the contract, section 2.2.

http://hl7.org/fhir/R4/search.html
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from fhir_visits import MRN, bundle, observation, patient, put

from service import clock
from service.store import resources
from service.store.resources import Write

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SYSTEM = "http://loinc.org"


def engine(type_, id_, of, **content):
    body = {"resourceType": type_, "id": id_, **content}
    return Write(type=type_, id=id_, body=body, patient=of, owned=True)


def code(value):
    return {"coding": [{"system": "ours", "code": value}]}


def to(reference):
    return {"reference": reference}


OURS = [
    engine("CarePlan", "plan", "a", status="active"),
    engine("CarePlan", "plan-b", "b", status="completed"),
    engine("ServiceRequest", "mri", "a", status="draft", intent="proposal", code=code("mri")),
    engine(
        "ServiceRequest",
        "order",
        "a",
        status="active",
        intent="order",
        code=code("mri"),
        basedOn=[{"reference": "ServiceRequest/mri"}],
    ),
    engine(
        "Task", "sign", "a", status="requested", code=code("sign"), focus={"reference": "ServiceRequest/mri"}
    ),
    engine(
        "Task", "call", "a", status="completed", code=code("call"), basedOn=[{"reference": "CarePlan/plan"}]
    ),
    engine("CommunicationRequest", "tell", "a", status="active", category=[code("education")]),
    engine("DetectedIssue", "issue", "a", status="final", code=code("no-side")),
    engine("Flag", "flag", "b", status="active", code=code("flag")),
    engine("AuditEvent", "audit", "a", type={"system": "ours", "code": "decided"}),
    engine("Provenance", "why", "a", target=[{"reference": "CarePlan/plan"}, {"reference": "Task/sign"}]),
    engine("Goal", "goal", "a", lifecycleStatus="active"),
    engine("Condition", "condition", "a", code=code("pain")),
]


@pytest.fixture(scope="module", autouse=True)
def _record(database):
    with database.transaction() as tx:
        clock.set_(tx, NOW, held=False)
        resources.save(tx, OURS, tenant=0, now=NOW)


def visit(of, *ids):
    findings = (
        put(observation(id_, f"Patient/{of}", identifier=[{"system": MRN, "value": id_}])) for id_ in ids
    )
    return bundle(put(patient(of, mrn=f"mrn-{of}")), *findings)


@pytest.fixture(autouse=True)
def _visits(_record, send):
    assert send(visit("a", "a1", "a2", "a3")).status_code == 200
    assert send(visit("b", "b1")).status_code == 200


def found(client, query, **headers):
    response = client.get(f"/fhir/{query}", headers=headers)
    assert response.status_code == 200, response.get_json()
    return [entry["resource"]["id"] for entry in response.get_json().get("entry", ())]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("CarePlan?patient=Patient/a", ["plan"]),
        ("CarePlan?patient=a&status=active", ["plan"]),
        ("CarePlan?patient=a&status=completed", []),
        ("CarePlan?status=active,completed", ["plan", "plan-b"]),
        ("CarePlan?patient=http://127.0.0.1:8000/fhir/Patient/b", ["plan-b"]),
        ("ServiceRequest?patient=a&intent=proposal", ["mri"]),
        ("ServiceRequest?patient=a&code=ours|mri", ["mri", "order"]),
        ("ServiceRequest?patient=a&code=mri&status=active", ["order"]),
        ("ServiceRequest?code=|mri", []),
        ("ServiceRequest?code=ours|", ["mri", "order"]),
        ("ServiceRequest?code=other|mri", []),
        ("ServiceRequest?patient=a&based-on=ServiceRequest/mri", ["order"]),
        ("ServiceRequest?based-on=mri", ["order"]),
        ("Task?patient=a&status=requested", ["sign"]),
        ("Task?patient=a&code=ours|call,ours|sign", ["sign", "call"]),
        ("Task?patient=a&focus=ServiceRequest/mri", ["sign"]),
        ("Task?patient=a&based-on=CarePlan/plan", ["call"]),
        ("CommunicationRequest?patient=a&category=education", ["tell"]),
        ("DetectedIssue?patient=a", ["issue"]),
        ("Flag?patient=b", ["flag"]),
        ("AuditEvent?patient=a", ["audit"]),
        ("Provenance?target=CarePlan/plan", ["why"]),
        ("Provenance?target=Task/none", []),
        ("Goal?patient=a", ["goal"]),
        ("Condition?patient=a", ["condition"]),
        ("Observation?patient=a", ["a1", "a2", "a3"]),
        (f"Observation?patient=b&code={SYSTEM}|72514-3", ["b1"]),
        (f"Patient?identifier={MRN}|mrn-a", ["a"]),
        ("Patient?_id=a,b,c", ["a", "b"]),
        ("Observation?patient=a&_lastUpdated=ge2026-01-05", ["a1", "a2", "a3"]),
        ("Observation?patient=a&_lastUpdated=gt2026-01-05", []),
        ("Observation?patient=a&_lastUpdated=lt2026-01-05T09:00:00Z", []),
        ("Observation?patient=a&_lastUpdated=2026-01", ["a1", "a2", "a3"]),
        ("Observation?patient=a&_lastUpdated=ge2026-01-05T10:00:00%2B01:00", ["a1", "a2", "a3"]),
        ("Observation?patient=a&_lastUpdated=ne2026", []),
    ],
)
def test_a_search_finds_what_matches(query, ids, client):
    assert found(client, query) == ids


def test_a_search_by_form_finds_the_same(client):
    response = client.post("/fhir/Patient/_search", data={"identifier": f"{MRN}|mrn-b"})

    assert [entry["resource"]["id"] for entry in response.get_json()["entry"]] == ["b"]


@pytest.mark.parametrize(
    "query",
    [
        "Task?colour=magenta",
        "Task?patient:exact=a",
        "Task?_include=Task:colour",
        "Practitioner?patient=a",
        "Task?_count=many",
        "Task?code=%00",
        "Task/%00",
        "Task?_lastUpdated=soon",
        "Task?patient=Group/a",
    ],
)
def test_what_is_not_understood_is_refused_by_name(query, client):
    response = client.get(f"/fhir/{query}")

    assert response.status_code == 400
    assert "magenta" not in response.text


def test_a_lenient_client_gets_the_rest_and_a_self_link_of_what_was_used(client):
    response = client.get(
        "/fhir/Task?colour=magenta&status=requested", headers={"Prefer": "handling=lenient"}
    )

    bundle_ = response.get_json()
    assert bundle_["link"][0]["url"] == "http://127.0.0.1:8000/fhir/Task?status=requested&_count=50"
    assert [entry["resource"]["id"] for entry in bundle_["entry"]] == ["sign"]


def pages(client, query):
    url = f"/fhir/{query}"
    while url:
        bundle_ = client.get(url).get_json()
        yield bundle_
        links = {link["relation"]: link["url"] for link in bundle_["link"]}
        after = urlsplit(links["next"]) if "next" in links else None
        url = f"{after.path}?{after.query}" if after else None


def test_pages_hold_everything_once(client):
    found_pages = list(pages(client, "Observation?patient=a&_count=2"))

    assert [len(page["entry"]) for page in found_pages] == [2, 1]
    assert {page["total"] for page in found_pages} == {3}
    assert [e["resource"]["id"] for page in found_pages for e in page["entry"]] == ["a1", "a2", "a3"]


def test_pages_stay_while_resources_change_and_come(client, send):
    walk = pages(client, "Observation?patient=c&_count=2")
    send(visit("c", "c1", "c2", "c3"))
    first = next(walk)
    send(bundle(put(observation("c1", "Patient/c", valueInteger=1)), put(observation("c4", "Patient/c"))))

    rest = [entry["resource"]["id"] for page in walk for entry in page["entry"]]

    assert [e["resource"]["id"] for e in first["entry"]] == ["c1", "c2"]
    assert rest == ["c3", "c4"]


def test_count_zero_tells_only_the_total(client):
    bundle_ = client.get("/fhir/Observation?patient=a&_count=0").get_json()

    assert bundle_["total"] == 3
    assert "entry" not in bundle_


def test_a_search_without_matches_has_no_entry(client):
    bundle_ = client.get("/fhir/Task?patient=nobody").get_json()

    assert (bundle_["type"], bundle_["total"], "entry" in bundle_) == ("searchset", 0, False)


def test_a_read_has_its_version_and_a_client_that_has_it_gets_304(client):
    response = client.get("/fhir/Observation/a1")

    assert response.headers["ETag"] == 'W/"1"'
    assert response.headers["Last-Modified"] == "Mon, 05 Jan 2026 09:00:00 GMT"
    again = client.get("/fhir/Observation/a1", headers={"If-None-Match": 'W/"1"'})
    assert (again.status_code, again.data) == (304, b"")


def test_the_history_is_newest_first(client, send):
    send(bundle(put(patient("h", gender="male"))))
    send(bundle(put(patient("h", gender="female"))))

    history = client.get("/fhir/Patient/h/_history").get_json()

    assert (history["type"], history["total"]) == ("history", 2)
    assert [entry["resource"]["gender"] for entry in history["entry"]] == ["female", "male"]
    assert client.get("/fhir/Patient/h/_history/1").get_json()["gender"] == "male"
    assert client.get("/fhir/Patient/h/_history/3").status_code == 404


def test_one_resource_is_posted_and_put_like_a_bundle_of_one(client):
    made = client.post("/fhir/Patient", json={"resourceType": "Patient", "active": True})
    assert made.status_code == 201
    id_ = made.get_json()["id"]
    assert made.headers["Location"] == f"http://127.0.0.1:8000/fhir/Patient/{id_}/_history/1"

    same = client.put(f"/fhir/Patient/{id_}", json=made.get_json())
    changed = client.put(
        f"/fhir/Patient/{id_}", json={"resourceType": "Patient", "id": id_}, headers={"If-Match": 'W/"1"'}
    )
    late = client.put(f"/fhir/Patient/{id_}", json=made.get_json(), headers={"If-Match": 'W/"1"'})

    assert (same.status_code, same.headers["ETag"]) == (200, 'W/"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert late.status_code == 412


def test_a_single_post_twice_is_two_resources_and_with_a_condition_one(client):
    body = {"resourceType": "Practitioner", "identifier": [{"system": MRN, "value": "single"}]}
    ids = {client.post("/fhir/Practitioner", json=body).get_json()["id"] for _ in range(2)}
    assert len(ids) == 2
    body["identifier"][0]["value"] = "cond"
    headers = {"If-None-Exist": f"identifier={MRN}|cond"}

    answers = [client.post("/fhir/Practitioner", json=body, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert len({answer.get_json()["id"] for answer in answers}) == 1


def test_a_fault_of_a_single_resource_is_named_without_a_bundle(client):
    response = client.post("/fhir/Patient", json={"resourceType": "Patient", "gender": "x"})

    assert response.status_code == 422
    assert response.get_json()["issue"][0]["expression"] == ["Patient.gender"]


def test_the_capability_statement_says_what_is_served(client):
    statement = client.get("/fhir/metadata").get_json()

    rest = statement["rest"][0]
    served = {resource["type"]: resource for resource in rest["resource"]}
    names = {parameter["name"] for parameter in served["Task"]["searchParam"]}
    assert statement["fhirVersion"] == "4.0.1"
    assert {"code": "transaction"} in rest["interaction"]
    assert {"patient", "status", "code", "focus", "based-on", "_id", "_lastUpdated"} <= names
    assert "Bundle" not in served


def test_the_capability_statement_is_valid_itself(client):
    from fhir_profiles import gate

    assert gate.check(client.get("/fhir/metadata").get_json()) == ()
    assert gate.check(client.get("/fhir/Observation?patient=a").get_json()) == ()


@pytest.mark.parametrize("query", ["Task?patient=", "Task?focus=", "CarePlan?patient=&status=active"])
def test_a_parameter_without_a_value_never_widens_the_answer(query, client):
    assert client.get(f"/fhir/{query}").status_code == 400
