"""Bad input is answered in bounded time and memory, names where it is wrong, and stores nothing."""

import gzip
import time

import psycopg
import pytest
from fhir_visits import bundle, observation, patient, post, put, visit
from sqlalchemy.exc import OperationalError

from fhir_profiles import reading
from service import app as application
from service.store.database import Database

FHIR_JSON = "application/fhir+json"
VISIT = reading.write(visit("bad"))
SECRET = "Zaphod-Beeblebrox"


def post_bytes(client, body, **more):
    return client.post("/fhir", data=body, content_type=FHIR_JSON, **more)


def issues(response):
    assert response.content_type == FHIR_JSON
    outcome = response.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<Bundle/>", id="not JSON"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"resourceType":"Patient"}', id="not a Bundle"),
        pytest.param(b"{}", id="no type"),
        pytest.param(b'{"resourceType":"Bundle","type":"collection","entry":[]}', id="a collection"),
        pytest.param(b'{"resourceType":"Bundle","type":"message"}', id="another Bundle"),
        pytest.param(VISIT[:-20], id="truncated"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="nesting bomb"),
        pytest.param(b"[" * 500_000, id="open brackets"),
        pytest.param(VISIT.replace(b":6", b":NaN"), id="NaN"),
        pytest.param(VISIT.replace(b":6", b":1e9999999"), id="a huge exponent"),
        pytest.param(VISIT.replace(b":6", b":" + b"9" * 5_000), id="a huge number"),
        pytest.param(b'{"resourceType":"Bundle","resourceType":"Bundle"}', id="a key twice"),
        pytest.param(b"\xff\xfe" + VISIT, id="not UTF-8"),
        pytest.param(VISIT.replace(b"Patient/bad", b"Patient/\\u0000"), id="a zero character in a url"),
        pytest.param(VISIT.replace(b"final", b"\\ud800"), id="half a character"),
        pytest.param(VISIT.replace(b'"PUT"', b'"HEAD"'), id="a head"),
        pytest.param(VISIT.replace(b'"url":"Patient/bad"', b'"url":"Patient/else"'), id="another id"),
        pytest.param(VISIT.replace(b'"url":"Patient/bad"', b'"url":"Group/bad"'), id="another type"),
    ],
)
def test_what_cannot_be_exchanged_is_400(body, client, nothing_stored):
    begun = time.monotonic()

    response = post_bytes(client, body)

    assert response.status_code == 400, response.get_json()
    assert issues(response)
    assert time.monotonic() - begun < 5


def test_a_form_of_megabytes_is_refused_where_a_form_is_read(client):
    response = client.post("/fhir/Patient/_search", data={"identifier": "x" * 11_000_000})

    assert response.status_code == 413
    assert issues(response)


@pytest.mark.parametrize(
    "query",
    ["name=a&name=%00", "%00=a", "name=a&name%00=b"],
    ids=["a second value", "a name", "a second name"],
)
def test_a_zero_character_is_refused_wherever_it_stands_in_a_query(query, client):
    """No text of the database can hold one, so that a search for it ended in an error."""
    by_form = client.post(
        "/fhir/Practitioner/_search", data=query, content_type="application/x-www-form-urlencoded"
    )

    for response in (client.get(f"/fhir/Practitioner?{query}"), by_form):
        assert response.status_code == 400
        assert "not allowed" in issues(response)[0]["diagnostics"]


def test_a_body_over_the_limit_is_413_and_names_it(client, nothing_stored):
    response = post_bytes(client, VISIT + b" " * (11 * 1024 * 1024))

    assert response.status_code == 413
    assert "10 MiB" in issues(response)[0]["diagnostics"]


def test_a_body_of_millions_of_values_is_413(client, nothing_stored):
    assert post_bytes(client, b"[" * 5_000_000).status_code == 413


def test_a_gzip_bomb_is_not_unpacked(client, nothing_stored):
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=1)
    begun = time.monotonic()

    response = post_bytes(client, bomb, headers={"Content-Encoding": "gzip"})

    assert response.status_code == 413
    assert time.monotonic() - begun < 5


def test_a_gzip_body_is_read(client):
    response = post_bytes(client, gzip.compress(VISIT), headers={"Content-Encoding": "gzip"})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content-Encoding": "br"}, 415, id="another encoding"),
        pytest.param({"Content-Type": "application/fhir+xml"}, 415, id="XML"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param({"Content-Type": f"{FHIR_JSON}; fhirVersion=5.0"}, 415, id="another release"),
        pytest.param({"Accept": "application/fhir+xml"}, 406, id="an answer in XML"),
        pytest.param({"Accept": f"{FHIR_JSON}; fhirVersion=3.0"}, 406, id="an answer of another release"),
    ],
)
def test_other_forms_are_refused(headers, status, client, nothing_stored):
    headers = {"Content-Type": FHIR_JSON, **headers}

    response = client.post("/fhir", data=VISIT, headers=headers)

    assert response.status_code == status
    assert issues(response)


@pytest.mark.parametrize(
    "form",
    [
        f"{FHIR_JSON}; fhirVersion=4.0",
        f"{FHIR_JSON};charset=utf-8",
        f"{FHIR_JSON}; fhirVersion=3.0, application/json; fhirVersion=4.0; q=0.5",
    ],
)
def test_a_media_type_may_name_the_release_and_the_charset(form, client):
    """http://hl7.org/fhir/R4/http.html#version-parameter"""
    answer = client.get("/fhir/metadata", headers={"Accept": form})

    assert answer.status_code == 200
    sent = {"Content-Type": form.partition(", ")[0].replace("3.0", "4.0")}
    assert client.post("/fhir", data=VISIT, headers=sent).status_code == 200


FAULTS = [
    pytest.param({"status": SECRET}, "status", id="a code that is none"),
    pytest.param({"valueInteger": SECRET}, "valueInteger", id="text for a number"),
    pytest.param({"effectiveDateTime": "05.01.2026"}, "effectiveDateTime", id="no date"),
    pytest.param({SECRET.replace("-", ""): True}, None, id="an unknown element"),
    pytest.param({"subject": SECRET}, "subject", id="text for a reference"),
    pytest.param({"note": None, "interpretation": []}, "interpretation", id="an empty list"),
    pytest.param({"component": [{"valueBoolean": True}]}, "component[0].code", id="a missing element"),
]


@pytest.mark.parametrize(("change", "path"), FAULTS)
def test_an_entry_that_is_not_valid_is_422_and_says_where(change, path, send, nothing_stored):
    broken = {**observation("bad-1", "Patient/bad"), **{k: v for k, v in change.items() if v is not None}}

    response = send(bundle(put(patient("bad")), put(broken)))

    assert response.status_code == 422, response.get_json()
    expressions = [issue["expression"][0] for issue in issues(response)]
    assert all(expression.startswith("Bundle.entry[1].resource") for expression in expressions)
    if path:
        assert f"Bundle.entry[1].resource.{path}" in expressions
    assert SECRET not in response.text


def test_every_fault_of_every_entry_is_listed(send, nothing_stored):
    broken = {**observation("bad-1", "Patient/bad"), "status": "x"}
    response = send(bundle(put({**patient("bad"), "gender": "x", "active": "x"}), put(broken)))

    expressions = {issue["expression"][0] for issue in issues(response)}
    assert expressions == {
        "Bundle.entry[0].resource.gender",
        "Bundle.entry[0].resource.active",
        "Bundle.entry[1].resource.status",
    }


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("text", id="not an object"),
        pytest.param({"resource": patient("bad")}, id="no request"),
        pytest.param({"request": {"method": "PUT", "url": "Patient/bad"}}, id="no resource"),
        pytest.param({**put(patient("bad")), "fullUrl": 7}, id="a fullUrl that is a number"),
    ],
)
def test_an_entry_without_its_parts_is_refused(entry, send, nothing_stored):
    response = send(bundle(entry))

    assert response.status_code == 422
    assert issues(response)[0]["expression"][0].startswith("Bundle.entry[0]")


@pytest.mark.parametrize("part", [{"entry": {}}, {"entry": "x"}])
def test_entries_that_are_no_list_are_refused(part, send, nothing_stored):
    assert send({"resourceType": "Bundle", "type": "transaction", **part}).status_code == 422


@pytest.mark.parametrize("kind", ["Bundle", "Parameters", "OperationOutcome"])
def test_what_only_carries_others_is_not_stored(kind, send, nothing_stored):
    resource = {"resourceType": kind, "id": "x", "type": "collection"}

    assert send(bundle(post(resource))).status_code in (400, 422)


def test_a_fault_of_ours_is_500_with_an_id_that_is_in_the_log(client, monkeypatch, capsys):
    def fails(*_, **__):
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr("service.fhir.transaction.store", fails)

    response = post_bytes(client, VISIT)

    assert response.status_code == 500
    (issue,) = issues(response)
    error_id = issue["diagnostics"].rpartition(" ")[2]
    output = capsys.readouterr()
    logged = output.out + output.err
    assert error_id in logged
    assert "ZeroDivisionError" in logged
    assert SECRET not in response.text + logged


def test_without_its_database_the_service_asks_to_come_again(settings):
    gone = Database("postgresql://nobody:x@127.0.0.1:1/none")
    client = application.create_app(settings, gone).test_client()

    for response in (post_bytes(client, VISIT), client.get("/fhir/Patient/bad")):
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert issues(response)[0]["code"] == "transient"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(psycopg.errors.AdminShutdown("x"), id="shutting down"),
        pytest.param(psycopg.errors.LockNotAvailable("x"), id="a lock took too long"),
        pytest.param(psycopg.errors.DeadlockDetected("x"), id="a deadlock after all retries"),
        pytest.param(OperationalError("x", {}, psycopg.OperationalError("x")), id="the connection broke"),
    ],
)
def test_a_database_that_is_busy_or_away_is_503(error, client, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("service.fhir.transaction.store", fails)

    assert post_bytes(client, VISIT).status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/fhir/metadata", 405),
        ("PATCH", "/fhir/Patient/known/_history", 405),
        ("GET", "/fhir", 405),
        ("TRACE", "/fhir", 405),
        ("BREW", "/fhir/Patient/none", 405),
        ("GET", "/fhir/Nonsense/1", 404),
        ("GET", "/fhir/Nonsense", 404),
        ("GET", "/fhir/Patient/none", 404),
        ("GET", "/fhir/Patient/none/_history", 404),
        ("GET", "/fhir/Patient/none/_history/x", 404),
        ("GET", "/fhir/Patient/a/b/c", 404),
        ("POST", "/fhir/Patient/$match", 404),
        ("POST", "/fhir/Bundle", 404),
    ],
)
def test_what_is_not_offered_is_said_as_an_outcome(method, path, status, client):
    response = client.open(path, method=method)

    assert response.status_code == status
    assert issues(response)
