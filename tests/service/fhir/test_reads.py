"""Reads: conditional, in part, pretty; which methods there are; and what a write answers.

http://hl7.org/fhir/R4/http.html#read
http://hl7.org/fhir/R4/search.html#summary
"""

import pytest
from fhir_visits import bundle, observation, patient, put

from fhir_profiles import gate

TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A person</div>'}


@pytest.fixture
def known(client, send):
    send(
        bundle(
            put(patient("known", gender="female", birthDate="1960-01-01", text=NARRATIVE)),
            put(observation("known-1", "Patient/known", note=[{"text": "x"}], text=NARRATIVE)),
        )
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"If-None-Match": 'W/"1"'}, 304, id="the version is known"),
        pytest.param({"If-None-Match": 'W/"7"'}, 200, id="another is known"),
        pytest.param({"If-None-Match": "*"}, 304, id="any"),
        pytest.param({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, id="not changed since"),
        pytest.param({"If-Modified-Since": "Fri, 01 Jan 2010 00:00:00 GMT"}, 200, id="changed since"),
        pytest.param(
            {"If-None-Match": 'W/"7"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
            200,
            id="the version counts before the time",
        ),
    ],
)
@pytest.mark.parametrize("url", ["/fhir/Patient/known", "/fhir/Patient/known/_history/1"])
def test_a_read_under_a_condition(url, headers, status, client, known):
    answer = client.get(url, headers=headers)

    assert (answer.status_code, bool(answer.data)) == (status, status == 200)
    assert answer.headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("wanted", "status"),
    [('W/"1"', 200), ('"1"', 200), ("*", 200), ('W/"7"', 412), ('W/"7", W/"1"', 200), ("x=y", 412)],
)
@pytest.mark.parametrize("url", ["/fhir/Patient/known", "/fhir/Patient/known/_history/1"])
def test_a_read_of_a_version_that_is_no_longer_there_shows_no_other(url, wanted, status, client, known):
    answer = client.get(url, headers={"If-Match": wanted})

    assert answer.status_code == status
    assert answer.get_json()["resourceType"] == ("Patient" if status == 200 else "OperationOutcome")


def test_head_has_the_headers_of_the_read_and_no_body(client, known):
    head, read = client.head("/fhir/Patient/known"), client.get("/fhir/Patient/known")

    assert head.data == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
        assert head.headers[name] == read.headers[name]
    assert client.head("/fhir/Patient/nobody").status_code == 404


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/fhir", {"POST"}),
        ("/fhir/metadata", {"GET", "HEAD"}),
        ("/fhir/_history", {"GET", "HEAD"}),
        ("/fhir/Patient/_history", {"GET", "HEAD"}),
        ("/fhir/Patient/known/_history", {"GET", "HEAD"}),
        ("/fhir/Patient/known/_history/1", {"GET", "HEAD"}),
    ],
)
def test_options_and_a_refusal_name_the_methods(path, methods, client, known):
    options = client.options(path)
    refused = client.put(path, json={})

    assert options.status_code == 204
    for answer in (options, refused):
        assert {name.strip() for name in answer.headers["Allow"].split(",")} == {*methods, "OPTIONS"}
    assert refused.status_code == 405
    assert refused.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("path", ["/fhir/Nonsense", "/fhir/Patient/a/b/c", "/fhir/Bundle/a"])
def test_there_are_no_methods_where_there_is_nothing(path, client):
    assert client.options(path).status_code == 404
    assert client.patch(path).status_code == 404


def test_a_pretty_answer_is_the_same(client, known):
    plain, pretty = client.get("/fhir/Patient/known"), client.get("/fhir/Patient/known?_pretty=true")

    assert pretty.get_json() == plain.get_json()
    assert pretty.data.count(b"\n") > 5 > plain.data.count(b"\n")
    assert client.get("/fhir/Patient/nobody?_pretty=true").data.count(b"\n") > 5


def test_numbers_of_a_part_stay_as_they_were_sent(client, send):
    value = b'{"value":7.10,"system":"http://unitsofmeasure.org","code":"kg"}'
    body = observation("tenth", "Patient/tenth")
    del body["valueInteger"]
    send(bundle(put(patient("tenth"))))
    import json

    client.put(
        "/fhir/Observation/tenth",
        data=json.dumps(body).encode()[:-1] + b',"valueQuantity":' + value + b"}",
        content_type="application/fhir+json",
    )

    assert b"7.10" in client.get("/fhir/Observation/tenth?_elements=value&_pretty=true").data


PARTS = {
    "_summary=text": {"code", "status", "text"},
    "_summary=data": {"code", "effectiveDateTime", "note", "status", "subject", "valueInteger"},
    "_summary=true": {"code", "effectiveDateTime", "status", "subject", "valueInteger"},
    "_elements=value,subject": {"code", "status", "subject", "valueInteger"},
    "_elements=Observation.note": {"code", "note", "status"},
}


@pytest.mark.parametrize(("query", "elements"), PARTS.items(), ids=PARTS)
def test_a_part_has_what_is_mandatory_and_says_that_it_is_one(query, elements, client, known):
    read = client.get(f"/fhir/Observation/known-1?{query}").get_json()
    found = client.get(f"/fhir/Observation?_id=known-1&{query}").get_json()

    assert set(read) - {"resourceType", "id", "meta"} == elements
    assert TAG in read["meta"]["tag"]
    assert gate.check(read) == ()
    assert found["entry"][0]["resource"] == read
    assert query.partition("=")[2] in found["link"][0]["url"]


def test_no_summary_is_the_whole_without_a_tag(client, known):
    whole = client.get("/fhir/Observation/known-1")

    assert client.get("/fhir/Observation/known-1?_summary=false").data == whole.data
    assert "tag" not in whole.get_json()["meta"]


def test_a_search_may_only_count(client, known):
    answer = client.get("/fhir/Observation?_id=known-1&_summary=count").get_json()

    assert (answer["total"], "entry" in answer) == (1, False)


@pytest.mark.parametrize(
    "query",
    [
        "Observation/known-1?_summary=count",
        "Observation/known-1?_summary=all",
        "Observation/known-1?_elements=colour",
        "Observation/known-1?_elements=code.coding",
        "Observation/known-1?_elements=code&_summary=true",
        "Observation?_elements=colour",
        "Observation?_id=nothing&_elements=colour",
        "MedicinalProduct?_summary=true",
    ],
)
def test_a_part_that_there_is_not_is_refused(query, client, known):
    answer = client.get(f"/fhir/{query}")

    assert answer.status_code == 400
    assert "colour" not in answer.text


@pytest.mark.parametrize("form", ["application/fhir+xml", "application/xml", "text/turtle"])
def test_other_forms_are_refused_with_what_to_send(form, client, known):
    accepted = client.get("/fhir/Patient/known", headers={"Accept": form})
    asked = client.get("/fhir/Patient/known", query_string={"_format": form})
    sent = client.put("/fhir/Patient/known", data=b"<Patient/>", content_type=form)

    assert [answer.status_code for answer in (accepted, asked, sent)] == [406, 406, 415]
    assert all("json" in answer.get_json()["issue"][0]["diagnostics"] for answer in (accepted, asked, sent))


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_write_answers_is_preferred_by_the_client(number, client):
    body = {"resourceType": "Practitioner", "id": f"prefer-{number}"}
    kinds = ["minimal", "representation", "OperationOutcome"]
    if number == 2:
        client.put(f"/fhir/Practitioner/prefer-{number}", json=body)

    answers = {
        kind: client.put(
            f"/fhir/Practitioner/prefer-{number}",
            json=body,
            headers={"Prefer": f"handling=strict; return={kind}"},
        )
        for kind in kinds
    }

    assert answers["minimal"].data == b""
    assert answers["representation"].get_json()["id"] == body["id"]
    assert answers["OperationOutcome"].get_json()["resourceType"] == "OperationOutcome"
    assert gate.check(answers["OperationOutcome"].get_json()) == ()
    for answer in answers.values():
        assert answer.headers["ETag"] == 'W/"1"'
        assert answer.headers["Location"].endswith(f"Practitioner/prefer-{number}/_history/1")
