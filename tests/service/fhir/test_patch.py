"""Patches: a part changed, with everything an update has to pass.

http://hl7.org/fhir/R4/http.html#patch
"""

import base64
import json
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
from fhir_visits import MRN, bundle, observation, patient, post, practitioner, put

from service.app import create_app
from service.fhir import transaction
from service.store import resources
from service.store.database import Database

FORM = "application/json-patch+json"
PATHS = "application/fhir+json"
CHANGE = [{"op": "replace", "path": "/valueInteger", "value": 3}]


def carried(operations, url, **request):
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": FORM, "data": data}
    return {"resource": binary, "request": {"method": "PATCH", "url": url, **request}}


@pytest.fixture
def patch(client):
    def patch(url, operations, **headers):
        data = operations if isinstance(operations, bytes) else json.dumps(operations)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.patch(f"/fhir/{url}", data=data, content_type=FORM, headers=names)

    return patch


@pytest.fixture
def fact(send, request):
    who = f"p{abs(hash(request.node.name)) % 10**9}"
    send(bundle(put(patient(who)), put(observation(f"{who}-1", f"Patient/{who}"))))
    return f"Observation/{who}-1"


def test_a_patch_changes_a_part_and_is_the_next_version(client, patch, fact):
    answer = patch(fact, CHANGE)

    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.get_json()["valueInteger"] == 3
    assert "Evaluation-Due" in answer.headers
    again = patch(fact, CHANGE, Prefer="return=minimal")
    assert (again.status_code, again.data, again.headers["ETag"]) == (200, b"", 'W/"2"')
    assert client.get(f"/fhir/{fact}/_history/1").get_json()["valueInteger"] == 6


@pytest.mark.parametrize(("etag", "status"), [('W/"1"', 200), ('W/"2"', 412), ("1", 400)])
def test_a_patch_may_name_the_version_it_is_for(etag, status, patch, fact):
    assert patch(fact, CHANGE, If_Match=etag).status_code == status


@pytest.mark.parametrize(("carriers", "status"), [(0, 404), (1, 200), (2, 412)])
def test_a_patch_by_identifier_means_one(carriers, status, client, patch):
    name = f"patched-{carriers}"
    for place in range(carriers):
        body = practitioner(f"{name}-{place}", identifier=[{"system": MRN, "value": name}])
        client.put(f"/fhir/Practitioner/{name}-{place}", json=body)

    answer = patch(f"Practitioner?identifier={MRN}|{name}", [{"op": "add", "path": "/active", "value": True}])

    assert answer.status_code == status


def test_what_is_not_there_is_not_patched(client, patch, fact):
    assert patch("Observation/nothing", CHANGE).status_code == 404
    client.delete(f"/fhir/{fact}")
    assert patch(fact, CHANGE).status_code == 410


@pytest.mark.parametrize(
    ("operations", "status", "expression"),
    [
        pytest.param([{"op": "remove", "path": "/status"}], 422, "Observation.status", id="not valid"),
        pytest.param(
            [{"op": "add", "path": "/colour", "value": 1}], 422, "Observation.colour", id="no element"
        ),
        pytest.param([{"op": "replace", "path": "/id", "value": "x"}], 422, "Observation", id="another id"),
        pytest.param(
            [{"op": "replace", "path": "/resourceType", "value": "Basic"}],
            422,
            "Observation",
            id="a type",
        ),
        pytest.param([{"op": "replace", "path": "", "value": 3}], 422, "Observation", id="no resource"),
        pytest.param([{"op": "remove", "path": "/note"}], 422, "Observation", id="nothing there"),
        pytest.param([{"op": "test", "path": "/status", "value": "x"}], 422, "Observation", id="a test"),
        pytest.param(
            [{"op": "replace", "path": "/subject/reference", "value": "Patient/nobody"}],
            422,
            "Observation.subject",
            id="a patient who is not there",
        ),
        pytest.param({}, 422, "Observation", id="no list"),
        pytest.param([], 422, "Observation", id="nothing"),
        pytest.param(b"[", 422, "Observation", id="no JSON"),
        pytest.param(b"", 400, None, id="no body"),
    ],
)
def test_what_a_patch_makes_passes_what_an_update_passes(
    operations, status, expression, patch, fact, nothing_stored_after
):
    check = nothing_stored_after()

    answer = patch(fact, operations)

    check()
    assert answer.status_code == status
    issue = answer.get_json()["issue"][0]
    assert issue.get("expression", [None])[0] == expression
    assert issue["diagnostics"]


def test_a_patch_does_not_make_one_patients_another_s(patch, fact, send):
    send(bundle(put(patient("another"))))

    answer = patch(fact, [{"op": "replace", "path": "/subject/reference", "value": "Patient/another"}])

    assert answer.status_code == 422


def test_what_the_engine_keeps_is_patched_no_further_than_it_is_updated(client, patch, send, database):
    send(bundle(put(patient("owner"))))
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "description": "x"}
    body["for"] = {"reference": "Patient/owner"}
    with database.transaction() as tx:
        write = resources.Write(type="Task", id="kept", body=body, patient="owner", owned=True)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC))

    assert patch("Task/kept", [{"op": "replace", "path": "/status", "value": "accepted"}]).status_code == 200
    refused = patch("Task/kept", [{"op": "remove", "path": "/description"}])
    assert refused.status_code == 403
    assert refused.get_json()["issue"][0]["expression"] == ["Task.description"]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("application/xml-patch+xml", b"<diff/>"),
        ("application/merge-patch+json", b'{"valueInteger": 3}'),
        ("application/fhir+xml", b"<Parameters/>"),
        ("application/fhir+json", b'{"resourceType": "Patient"}'),
        ("application/json", b'{"resourceType": "Observation"}'),
        ("application/json", b'{"valueInteger": 3}'),
    ],
)
def test_other_kinds_of_patch_are_refused_with_those_that_are_read(form, body, client, fact):
    answer = client.patch(f"/fhir/{fact}", data=body, content_type=form)

    assert answer.status_code == 415
    assert answer.headers["Accept-Patch"] == f"{FORM}, {PATHS}"
    assert FORM in answer.get_json()["issue"][0]["diagnostics"]
    assert client.options(f"/fhir/{fact}").headers["Accept-Patch"] == f"{FORM}, {PATHS}"


def test_a_list_is_a_json_patch_also_where_it_is_called_json(client, fact):
    answer = client.patch(f"/fhir/{fact}", json=CHANGE)

    assert answer.get_json()["valueInteger"] == 3


def by_paths(*operations):
    """A FHIRPath Patch of operations, each its type, its path and the part that carries its value."""
    rows = [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": type_},
                {"name": "path", "valueString": path},
                *({"name": "value", **value} for value in more),
            ],
        }
        for type_, path, *more in operations
    ]
    return {"resourceType": "Parameters", "parameter": rows}


TO_THREE = by_paths(("replace", "Observation.value", {"valueInteger": 3}))


@pytest.mark.parametrize("form", ["application/fhir+json", "application/json"])
def test_a_patch_by_paths_changes_a_part_and_is_the_next_version(form, client, fact):
    answer = client.patch(f"/fhir/{fact}", data=json.dumps(TO_THREE), content_type=form)

    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.get_json()["valueInteger"] == 3
    assert "Evaluation-Due" in answer.headers
    nothing = {"resourceType": "Parameters"}
    assert client.patch(f"/fhir/{fact}", json=nothing).headers["ETag"] == 'W/"2"'
    stale = client.patch(f"/fhir/{fact}", json=TO_THREE, headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        pytest.param([("delete", "Observation.status")], "required", id="not valid"),
        pytest.param([("replace", "Observation.id", {"valueId": "x"})], "business-rule", id="another id"),
        pytest.param([("replace", "Observation.note", {"valueString": "x"})], "processing", id="nothing"),
        pytest.param([("delete", "Observation.where(status.matches('f*'))")], "value", id="not taken"),
        pytest.param([("delete", "Observation.note"), ("spin", "Observation")], "value", id="no operation"),
        pytest.param(
            [("replace", "Observation.subject.reference", {"valueString": "Patient/nobody"})],
            "not-found",
            id="a patient who is not there",
        ),
        pytest.param([("replace", "Observation.value", {"valueInteger": "3"})], "value", id="not R4"),
    ],
)
def test_what_a_patch_by_paths_makes_passes_what_an_update_passes(
    operations, code, client, fact, nothing_stored_after
):
    check = nothing_stored_after()

    answer = client.patch(f"/fhir/{fact}", json=by_paths(*operations))

    check()
    assert answer.status_code == 422
    issue = answer.get_json()["issue"][0]
    assert (issue["code"], issue["expression"][0].partition(".")[0]) == (code, "Observation")
    assert issue["diagnostics"]


def test_what_the_engine_keeps_is_patched_by_paths_no_further_than_it_is_updated(client, send, database):
    send(bundle(put(patient("keeper"))))
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "description": "x"}
    body["for"] = {"reference": "Patient/keeper"}
    with database.transaction() as tx:
        write = resources.Write(type="Task", id="held", body=body, patient="keeper", owned=True)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC))

    allowed = by_paths(("replace", "Task.status", {"valueCode": "accepted"}))
    assert client.patch("/fhir/Task/held", json=allowed).status_code == 200
    refused = client.patch("/fhir/Task/held", json=by_paths(("delete", "Task.description")))
    assert refused.status_code == 403


def test_a_bundle_carries_a_patch_by_paths_as_it_is(client, send, fact):
    entry = {"resource": TO_THREE, "request": {"method": "PATCH", "url": fact, "ifMatch": 'W/"1"'}}

    answer = send(bundle(entry))
    missing = {**entry, "request": {"method": "PATCH", "url": "Observation/nothing"}}
    batch = send({**bundle(missing, {**entry, "request": {"method": "PATCH", "url": fact}}), "type": "batch"})

    assert answer.status_code == 200, answer.get_json()
    assert client.get(f"/fhir/{fact}").get_json()["valueInteger"] == 3
    assert [e["response"]["status"][:3] for e in batch.get_json()["entry"]] == ["404", "200"]


def test_a_bundle_carries_a_patch_as_a_binary(client, send, fact):
    who = fact.partition("/")[2].removesuffix("-1")
    sent = bundle(
        carried(CHANGE, fact, ifMatch='W/"1"'),
        put(patient(who, gender="female")),
        post(observation(None, f"Patient/{who}")),
    )

    first = send(sent)
    del sent["entry"][0]["request"]["ifMatch"]
    other = send(sent)
    again = send(sent)

    assert first.status_code == 200, first.get_json()
    assert [e["response"]["status"] for e in first.get_json()["entry"]] == ["200 OK", "200 OK", "201 Created"]
    assert client.get(f"/fhir/{fact}").get_json()["valueInteger"] == 3
    # The same Bundle sent again creates nothing, although the patch finds another resource.
    assert other.get_json()["entry"] == again.get_json()["entry"]
    batch = send({**bundle(carried(CHANGE, "Observation/nothing"), carried(CHANGE, fact)), "type": "batch"})
    assert [e["response"]["status"][:3] for e in batch.get_json()["entry"]] == ["404", "200"]


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ({"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]}, 422),
        ({"resourceType": "Basic", "code": {"text": "x"}}, 415),
        ({"resourceType": "Binary", "contentType": "application/xml", "data": ""}, 415),
        ({"resourceType": "Binary", "contentType": FORM, "data": "%"}, 422),
        ({"resourceType": "Binary", "contentType": FORM, "data": "ä"}, 422),
        ({"resourceType": "Binary", "contentType": FORM}, 422),
    ],
)
def test_a_patch_that_is_none_is_named(resource, status, send, fact, nothing_stored_after):
    check = nothing_stored_after()

    answer = send(bundle({"resource": resource, "request": {"method": "PATCH", "url": fact}}))

    check()
    assert answer.status_code == status
    assert answer.get_json()["issue"][0]["expression"] == ["Bundle.entry[0].resource"]


def test_digits_that_a_patch_does_not_touch_stay(client, patch, fact):
    body = client.get(f"/fhir/{fact}").get_json()
    del body["valueInteger"]
    text = json.dumps(body)[:-1] + ',"valueQuantity":{"value":7.10}}'
    client.put(f"/fhir/{fact}", data=text, content_type="application/fhir+json")

    assert b"7.10" in patch(fact, [{"op": "add", "path": "/note", "value": [{"text": "x"}]}]).data


def test_patches_at_the_same_moment_are_all_kept(database_url, settings):
    busy = Database(database_url, pool_size=10)
    app = create_app(settings, busy)
    body = {"resourceType": "Practitioner", "id": "all", "name": [{"family": "Berg"}]}
    transaction.accept(busy, bundle(put(body)), sender="test")
    barrier, statuses = threading.Barrier(8), Counter()

    def work(number):
        name = [{"op": "add", "path": "/name/-", "value": {"family": f"N{number}"}}]
        barrier.wait()
        answer = app.test_client().patch("/fhir/Practitioner/all", data=json.dumps(name), content_type=FORM)
        statuses[answer.status_code] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with busy.transaction() as tx:
        names = resources.current(tx, "Practitioner", "all", tenant=0).resource["name"]
    busy.close()

    assert statuses == {200: 8}
    assert len(names) == 9
